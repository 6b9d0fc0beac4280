import { equalBytes, fromHex, utf8 } from "../../src/bytes/index.ts";
import {
  type Card,
  type CardApplication,
  type CardObject,
  type CardProfile,
  type CardToken,
  type CardTokenInfo,
  PinError,
  type PinRole,
  type PinStatus,
  type PinUser,
} from "../../src/card/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";

/** A card that says yes to every command. What it is, {@link twoPins} knows. */
export const AGREEABLE: InProcessCard = {
  atr: fromHex("3b00"),
  reset: () => undefined,
  transmit: () => Promise.resolve(fromHex("9000")),
};

const TRIES = 3;
const SO_PIN = "officer";
const PUK = "87654321";

/** A PIN and its tries. */
class Secret {
  value: string;
  tries = TRIES;

  constructor(value: string) {
    this.value = value;
  }

  /** @throws {PinError} */
  compare(given: Uint8Array): void {
    if (this.tries === 0) throw new PinError("blocked", "blocked", 0);
    this.tries--;
    if (!equalBytes(utf8(this.value), given)) {
      throw new PinError(this.tries === 0 ? "blocked" : "incorrect", "wrong", this.tries);
    }
    this.tries = TRIES;
  }

  set(given: Uint8Array): void {
    if (given.length < 4) throw new PinError("length", "too short");
    if (equalBytes(given, utf8("0000"))) throw new PinError("unacceptable", "too easy");
    this.value = Buffer.from(given).toString();
    this.tries = TRIES;
  }
}

export interface FakeTokenOptions {
  readonly name?: string;
  readonly pinLabel: string;
  readonly writeProtected?: boolean;
  /** The reader has keys for the PIN. */
  readonly pinPad?: boolean;
}

/** A token of a card application that exists in this test only: one PIN, one PUK, an officer, and every way to set the PIN. */
export class FakeToken implements CardToken {
  readonly pin: Secret;
  readonly puk = new Secret(PUK);
  readonly officer = new Secret(SO_PIN);
  readonly mechanisms = [{ primitive: "rsa-pkcs1", minBits: 2048, maxBits: 3072 }] as const;
  readonly pinPad?: NonNullable<CardToken["pinPad"]>;
  /** What was asked, in words. */
  readonly asked: string[] = [];
  label: string;
  #challenge: Uint8Array | undefined;
  readonly #card: Card;
  readonly #options: FakeTokenOptions;

  constructor(card: Card, options: FakeTokenOptions) {
    this.#card = card;
    this.#options = options;
    this.label = options.name ?? "Identity Card";
    this.pin = new Secret(options.pinLabel);
    if (options.pinPad) {
      this.pinPad = {
        login: (user) => this.#ask(`pad login ${user}`),
        changePin: (role) => this.#ask(`pad change ${role}`),
        unlockPin: () => this.#ask("pad unlock"),
      };
    }
  }

  info(): Promise<CardTokenInfo> {
    return Promise.resolve({
      label: this.label,
      manufacturer: "",
      model: "",
      serialNumber: "12345678901234567890",
      pin: { label: this.#options.pinLabel, minLength: 4, maxLength: 12 },
      puk: { label: "PUK", minLength: 8, maxLength: 8 },
      application: "PKCS #15",
      ...(this.#options.writeProtected && { writeProtected: true }),
    });
  }

  objects(): Promise<readonly CardObject[]> {
    const label = this.#options.pinLabel;
    const certificate: CardObject = {
      class: "certificate",
      reference: `${label}.certificate`,
      label,
      id: utf8(label),
      private: false,
      isPresent: () => Promise.resolve(true),
      value: () => Promise.resolve(utf8("no certificate")),
    };
    return Promise.resolve([certificate]);
  }

  pinStatus(role: PinRole): Promise<PinStatus> {
    return Promise.resolve({ triesLeft: this.#secretOf(role).tries, maxTries: TRIES, verified: false });
  }

  login(user: PinUser, pin: Uint8Array): Promise<void> {
    return this.#ask(`login ${user}`, () => {
      this.#secretOf(user).compare(pin);
    });
  }

  logout(): Promise<void> {
    return this.#ask("logout");
  }

  use(): Promise<Uint8Array> {
    return Promise.reject(new Error("there are no keys on this card"));
  }

  changePin(role: PinRole, oldPin: Uint8Array, newPin: Uint8Array): Promise<void> {
    return this.#ask(`change ${role}`, () => {
      const secret = this.#secretOf(role);
      new Secret("").set(newPin);
      secret.compare(oldPin);
      secret.set(newPin);
    });
  }

  unlockPin(puk: Uint8Array, newPin: Uint8Array): Promise<void> {
    return this.#ask("unlock", () => {
      new Secret("").set(newPin);
      this.puk.compare(puk);
      this.pin.set(newPin);
    });
  }

  initPin(newPin: Uint8Array): Promise<void> {
    return this.#ask("init", () => {
      this.pin.set(newPin);
    });
  }

  async unlockChallenge(): Promise<Uint8Array> {
    await this.#ask("challenge");
    return (this.#challenge = utf8("challenge"));
  }

  /** The right response is the challenge backwards. */
  unlockWithResponse(response: Uint8Array, newPin: Uint8Array): Promise<void> {
    return this.#ask("response", () => {
      const expected = this.#challenge?.toReversed();
      this.#challenge = undefined;
      if (!expected || !equalBytes(expected, response)) throw new PinError("incorrect", "wrong response");
      this.pin.set(newPin);
    });
  }

  initToken(soPin: Uint8Array, label: string, variables: ReadonlyMap<string, string>): Promise<void> {
    return this.#ask(`init token ${JSON.stringify([...variables])}`, () => {
      this.officer.compare(soPin);
      this.label = label;
    });
  }

  resetToken(pin: Uint8Array): Promise<void> {
    return this.#ask("reset token", () => {
      this.pin.compare(pin);
    });
  }

  #secretOf(role: PinRole): Secret {
    return { user: this.pin, so: this.officer, puk: this.puk }[role];
  }

  /** Has the card to itself, and exchanges one command with it. */
  #ask(what: string, work: () => void = () => undefined): Promise<void> {
    return this.#card.exclusively(async (channel) => {
      this.asked.push(what);
      await channel.send({ cla: 0, ins: 0x20, p1: 0, p2: 0 });
      // As a card would, it forgets the challenge at any other command.
      if (what !== "challenge" && what !== "response") this.#challenge = undefined;
      work();
    });
  }
}

/** Recognises {@link AGREEABLE} as a card with these tokens, which last as long as the profile: a card keeps what it is told. */
export function fakeProfile(...options: readonly FakeTokenOptions[]): CardProfile & { readonly tokens: FakeToken[] } {
  const tokens: FakeToken[] = [];
  return {
    name: "pkcs15",
    tokens,
    claim: (card): Promise<CardApplication> => {
      const made = options.map((one) => new FakeToken(card, one));
      for (const [index, token] of made.entries()) {
        const before = tokens[index];
        if (before) token.label = before.label;
      }
      tokens.splice(0, tokens.length, ...made);
      return Promise.resolve({ profile: "pkcs15", tokens: made });
    },
  };
}

export const FAKE = { SO_PIN, PUK } as const;
