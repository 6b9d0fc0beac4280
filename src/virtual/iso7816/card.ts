import { SW } from "../../apdu/index.ts";
import { SerialQueue } from "../../async/index.ts";
import { Refusal, type VirtualCard } from "../card.ts";
import { type CardCommand, CardTransport } from "../transport.ts";
import { deviates, type IsoContents, type IsoSession, type Make, newSession } from "./model.ts";
import { encodeImage, MAKES } from "./image.ts";

/** Persists the card image. */
type Keep = (image: string) => Promise<void>;

/** Instructions after which the image is saved: they may change files, keys or tries. */
const CHANGING: readonly number[] = [0x0e, 0x20, 0x24, 0x2c, 0x44, 0x46, 0x82, 0xd6, 0xda, 0xdb, 0xdc, 0xe0, 0xe4];

/** The only command that uses a challenge. */
const EXTERNAL_AUTHENTICATE = 0x82;

/**
 * A card with a file system in software: ISO/IEC 7816-4 files with access rules and PINs, and the security operations
 * of 7816-8 as on one make of card. It is a test card: its keys are unprotected in the memory of this process and in
 * its file.
 */
export class VirtualFileCard implements VirtualCard {
  readonly atr: Uint8Array;
  readonly #contents: IsoContents;
  readonly #make: Make;
  readonly #transport: CardTransport;
  readonly #keep: Keep | undefined;
  #kept: string;
  #session: IsoSession;
  readonly #queue = new SerialQueue();
  #commandsLeft = Number.POSITIVE_INFINITY;

  /**
   * @param contents The card owns it.
   * @param keep Called with the card's new image after each lasting change, before the command is answered.
   * @internal
   */
  constructor(contents: IsoContents, keep?: Keep) {
    this.#contents = contents;
    const { extended, make } = contents.traits;
    this.#make = MAKES[make];
    this.atr = this.#make.atr(extended);
    const { onlyExtended = false } = this.#make;
    this.#transport = new CardTransport(
      {
        extended: extended || onlyExtended,
        impliedNe: 0,
        takesClass: (cla, ins) => this.#make.takesClass?.(cla, ins) ?? false,
        noChaining: onlyExtended || deviates({ contents }, "no-chaining"),
        noGetResponse: onlyExtended || deviates({ contents }, "no-get-response"),
      },
      (command) => this.#run(command),
    );
    this.#session = newSession(contents, this.#make);
    this.#keep = keep;
    this.#kept = keep ? this.image() : "";
  }

  reset(): void {
    this.#session = newSession(this.#contents, this.#make);
    this.#transport.reset();
    this.#commandsLeft = Number.POSITIVE_INFINITY;
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    if (this.#commandsLeft <= 0) return new Promise(() => undefined);
    this.#commandsLeft--;
    return this.#queue.run(() => this.#transport.transmit(command));
  }

  /**
   * Simulates the removal of the card: it answers `commands` more; later ones do not reach the card and are never
   * answered. A reset ends this.
   */
  tearAfter(commands: number): void {
    this.#commandsLeft = commands;
  }

  /** Everything on the card, keys and PINs too, as the text of its file. */
  image(): string {
    return encodeImage(this.#contents);
  }

  async #run(command: CardCommand): Promise<Uint8Array> {
    const instruction = this.#make.instructions.get(command.ins);
    if (command.ins !== EXTERNAL_AUTHENTICATE) this.#session.challenge = undefined;
    if (instruction === undefined) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    try {
      return await instruction({ make: this.#make, contents: this.#contents, session: this.#session }, command);
    } finally {
      if (CHANGING.includes(command.ins)) await this.#keepChanges();
    }
  }

  async #keepChanges(): Promise<void> {
    if (this.#keep === undefined) return;
    const image = this.image();
    if (image === this.#kept) return;
    try {
      await this.#keep(image);
    } catch {
      throw new Refusal(SW.MEMORY_FAILURE);
    }
    this.#kept = image;
  }
}
