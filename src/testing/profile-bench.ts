import { type TraceEvent, traceTransmit } from "../apdu/index.ts";
import { equalBytes, fromHex, utf8 } from "../bytes/index.ts";
import { type Card, type CardApplication, type CardProfile, type CardToken, connectCard } from "../card/index.ts";
import { type CardConnection, type InProcessCard, MemoryReaders, type Pcsc } from "../pcsc/index.ts";
import { check } from "./check.ts";

/** A card profile, and a card to try it with. */
export interface ProfileSubject {
  readonly profile: CardProfile;
  /** A new card, with all tries of its PIN. Called for each test, some of which spend a try. */
  card(): InProcessCard | Promise<InProcessCard>;
  /** The user's PIN of the token. */
  readonly pin: string | Uint8Array;
  /** A PIN of the right form that is not the card's. Default: the PIN with its last byte changed. */
  readonly wrongPin?: string | Uint8Array;
  /** Which of the card's tokens; default: the first. */
  readonly token?: number;
}

const READER = "Conformance Reader";

/** SELECT of an application that the card has besides (any name that the profile does not use). */
const SELECT_OTHER = fromHex("00a4040007f0000000000001");
const SELECT = 0xa4;
const VERIFY = 0x20;

/** One test of the suite. */
export type ProfileTest = (bench: ProfileBench, subject: ProfileSubject) => Promise<void>;

/** A card in a reader of this process, behind an ear at its contacts. */
export class ProfileBench implements AsyncDisposable {
  readonly subject: ProfileSubject;
  readonly #readers = new MemoryReaders();
  readonly #clients: Pcsc[] = [];
  /** The commands that reached the card. */
  readonly commands: Uint8Array[] = [];
  /** Commands with data that may be PINs and reached the other application. */
  readonly strayPins: Uint8Array[] = [];
  readonly trace: TraceEvent[] = [];
  /** Called before a command reaches the card, with its number since {@link countFromHere}; an answer replaces the card's. */
  before: ((number: number) => Uint8Array | undefined) | undefined;
  #counted = 0;
  #isOtherSelected = false;

  constructor(subject: ProfileSubject) {
    this.subject = subject;
    this.#readers.plug(READER);
  }

  static async with(subject: ProfileSubject, card?: InProcessCard): Promise<ProfileBench> {
    const bench = new ProfileBench(subject);
    bench.#insert(card ?? (await subject.card()));
    return bench;
  }

  #insert(card: InProcessCard): void {
    this.#readers.insert(READER, {
      atr: card.atr,
      reset: () => {
        this.#isOtherSelected = false;
        card.reset();
      },
      transmit: async (command) => {
        this.commands.push(command.slice());
        const answer = this.before?.(++this.#counted);
        if (answer) return answer;
        if (command[1] === SELECT) this.#isOtherSelected = equalBytes(command, SELECT_OTHER);
        return this.#isOtherSelected ? this.#otherAnswers(command) : card.transmit(command);
      },
    });
  }

  #otherAnswers(command: Uint8Array): Uint8Array {
    if (command[1] === SELECT) return fromHex("9000");
    if (command[1] !== VERIFY) return fromHex("6d00");
    if (command.length > 5) this.strayPins.push(command.slice());
    return fromHex("63c2");
  }

  /** A program of its own. */
  pcsc(): Pcsc {
    const pcsc = this.#readers.client({ patience: 1_000 });
    this.#clients.push(pcsc);
    return pcsc;
  }

  /** The card, as the driver has it. */
  connect(): Promise<Card> {
    return connectCard(this.pcsc(), READER, {
      wrap: (transmit, reader) => traceTransmit(transmit, (event) => void this.trace.push(event), reader),
    });
  }

  /** The card as another program has it. */
  connectOther(): Promise<CardConnection> {
    return this.pcsc().connect(READER);
  }

  /** Another program selects another application, and leaves. */
  async selectOther(): Promise<void> {
    await using connection = await this.connectOther();
    await connection.transmit(SELECT_OTHER);
  }

  /** Another program resets the card, and leaves. */
  async resetByOther(): Promise<void> {
    await using connection = await this.connectOther();
    await connection.reconnect(1);
  }

  takeOut(): void {
    this.#readers.eject(READER);
  }

  countFromHere(): void {
    this.#counted = 0;
  }

  get counted(): number {
    return this.#counted;
  }

  async claim(card?: Card): Promise<CardApplication> {
    const application = await this.subject.profile.claim(card ?? (await this.connect()), "thorough");
    check(application !== undefined, "a thorough claim does not recognise the profile's own card");
    return application;
  }

  async token(card?: Card): Promise<CardToken> {
    const index = this.subject.token ?? 0;
    const token = (await this.claim(card)).tokens[index];
    check(token !== undefined, `the application has no token ${index}`);
    return token;
  }

  /** The PIN; a copy, because a profile may wipe it. */
  get pin(): Uint8Array {
    return bytesOf(this.subject.pin);
  }

  get wrongPin(): Uint8Array {
    if (this.subject.wrongPin !== undefined) return bytesOf(this.subject.wrongPin);
    const pin = this.pin;
    const last = pin.length - 1;
    pin[last] = pin[last] === 0x31 ? 0x32 : 0x31;
    return pin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.before = undefined;
    for (const pcsc of this.#clients) await pcsc.close();
  }
}

const bytesOf = (pin: string | Uint8Array): Uint8Array => (typeof pin === "string" ? utf8(pin) : pin.slice());

/** Instructions that a claim has no business with: PINs with data, and what changes a card. */
const HARMFUL: ReadonlySet<number | undefined> = new Set([
  ...[0x21, 0x24, 0x25, 0x26, 0x28, 0x2c, 0x2d, 0x46, 0x47, 0xd0, 0xd1, 0xd2, 0xd6, 0xd7, 0xda, 0xdb, 0xdc, 0xdd],
  ...[0xe0, 0xe2, 0xe4, 0xe6, 0xfe],
]);

export const isHarmful = (command: Uint8Array): boolean =>
  HARMFUL.has(command[1]) || (command[1] === VERIFY && command.length > 5);

/** The tries that the user's PIN has left, as far as the card tells. */
export async function tries(token: CardToken): Promise<number | undefined> {
  return (await token.pinStatus("user")).triesLeft;
}
