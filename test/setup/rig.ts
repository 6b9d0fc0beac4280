import { PcscError } from "../../src/pcsc/index.ts";
import { Card, CardRecognition } from "../../src/card/index.ts";
import { profiles } from "../../src/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { isYubiKey } from "../../src/piv/index.ts";
import { readPlan, type SetupResult, type SetupTools, setUpCard } from "../../src/setup/index.ts";
import { utf8 } from "../../src/bytes/index.ts";
import { decodeImage } from "../../src/virtual/piv/image.ts";
import { VirtualPivCard } from "../../src/virtual/piv/card.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";

const READER = "Memory Reader";

/** What goes wrong at one exchange. */
export type Fault = "before the card did it" | "after the card did it" | "the card is out";
export const FAULTS: readonly Fault[] = ["before the card did it", "after the card did it", "the card is out"];

/** A card in a reader, and the files of its setups. */
export class SetupBench {
  readonly card: InProcessCard;
  readonly files = new Map<string, Uint8Array>();
  /** Names of the files that were written as secret. */
  readonly secretFiles = new Set<string>();
  readonly questions: string[] = [];
  readonly warnings: string[] = [];
  /** Answers the questions. */
  answer = false;
  exchanges = 0;
  readonly #readers = new MemoryReaders();
  #strike: { readonly position: number; readonly fault: Fault } | undefined;

  constructor(card: InProcessCard) {
    this.card = card;
    this.#readers.plug(READER);
    this.insert();
  }

  insert(): void {
    this.card.reset();
    this.#readers.insert(READER, {
      atr: this.card.atr,
      reset: () => {
        this.card.reset();
      },
      transmit: (command) => this.#transmit(command),
    });
  }

  /** Has the exchange with this number, from 1, go wrong. */
  strikeAt(position: number, fault: Fault): void {
    this.exchanges = 0;
    this.#strike = { position, fault };
  }

  /** Ends the faults, and brings back a card that is out. */
  heal(): void {
    if (this.#strike?.fault === "the card is out" && this.exchanges >= this.#strike.position) this.insert();
    this.#strike = undefined;
  }

  async #transmit(command: Uint8Array): Promise<Uint8Array> {
    this.exchanges++;
    const strike = this.#strike;
    if (strike?.position !== this.exchanges) return this.card.transmit(command);
    if (strike.fault !== "before the card did it") await this.card.transmit(command);
    if (strike.fault === "the card is out") this.#readers.eject(READER);
    throw new PcscError(strike.fault === "the card is out" ? "SCARD_W_REMOVED_CARD" : "SCARD_F_COMM_ERROR");
  }

  /** Sets up the card by a plan in JSON. */
  async setUp(plan: object, tools: Partial<SetupTools> = {}): Promise<SetupResult> {
    const source = utf8(JSON.stringify(plan));
    return setUpCard(readPlan(source), source, { ...this.tools(), ...tools });
  }

  tools(): SetupTools {
    return {
      version: "0.0.0",
      store: {
        read: (name) => Promise.resolve(this.files.get(name)?.slice()),
        write: (name, bytes, secret) => {
          this.files.set(name, bytes.slice());
          if (secret) this.secretFiles.add(name);
          return Promise.resolve();
        },
        remove: (name) => {
          this.files.delete(name);
          return Promise.resolve();
        },
      },
      connect: async (work) => {
        await using card = new Card(await this.#readers.client({ patience: 2000 }).connect(READER));
        const application = await new CardRecognition(profiles).claim(card);
        const token = application?.tokens[0];
        if (!token) throw new Error("no card");
        return await work({ token, profile: application.profile, isYubiKey: isYubiKey(card.atr) });
      },
      readCertificates: () => Promise.reject(new Error("no file of certificates")),
      readSecret: () => Promise.reject(new Error("no secret")),
      currentSecret: () => Promise.resolve(undefined),
      contents: async ({ subject }, serial) => {
        await import("reflect-metadata");
        const { Name } = await import("@peculiar/x509");
        return { name: new Name(subject.replace("{serial}", serial)), extensions: [] };
      },
      confirm: (consequence) => {
        this.questions.push(consequence);
        return this.answer ? Promise.resolve() : Promise.reject(new Error(`not confirmed: ${consequence}`));
      },
      tell: (event) => {
        if (event.kind === "warning") this.warnings.push(event.message);
      },
      now: () => new Date(),
    };
  }

  /** The secrets in a file, by name. */
  secrets(name: string): Readonly<Record<string, string>> {
    const text = Buffer.from(this.files.get(name) ?? []).toString();
    return Object.fromEntries(
      text
        .trim()
        .split("\n")
        .map((line) => line.split(" ") as [string, string]),
    );
  }

  text(name: string): string {
    return Buffer.from(this.files.get(name) ?? []).toString();
  }
}

/** What a virtual card holds, as its image tells. */
export interface CardImage {
  readonly pin: { readonly value: string; readonly tries: number; readonly maxTries: number };
  readonly puk: { readonly value: string; readonly tries: number; readonly maxTries: number };
  readonly managementKey: { readonly algorithm: string; readonly value: string };
  readonly keys: Readonly<Record<string, { readonly pinPolicy: string; readonly touchPolicy: string }>>;
  readonly objects: Readonly<Record<string, string>>;
  readonly attestationKey: { readonly root: string };
}

export const imageOf = (card: InProcessCard): CardImage => JSON.parse(imageText(card)) as CardImage;

/** The image of a virtual card. */
export function imageText(card: InProcessCard): string {
  if (card instanceof VirtualPivCard) return card.image();
  throw new Error("not a virtual PIV card");
}

/** The digits of a PIN or PUK on a card. */
export const digitsOf = ({ value }: { readonly value: string }): string =>
  Buffer.from(value, "hex").toString("latin1").replaceAll("\u00ff", "");

/** A card from an image. */
export const cardOf = (image: string): VirtualPivCard => new VirtualPivCard(decodeImage(image));
