import { SW } from "../../apdu/index.ts";
import { SerialQueue } from "../../async/index.ts";
import { buildAtr, Refusal, type VirtualCard } from "../card.ts";
import { type CardCommand, CardTransport } from "../transport.ts";
import { moveKey, resetCard, setManagementKey, setPinRetries } from "./administration.ts";
import { attest } from "./attestation.ts";
import { generalAuthenticate } from "./authenticate.ts";
import { newSession, type PivContents, type PivContext, type PivSession, TAG } from "./model.ts";
import {
  generateAsymmetricKeyPair,
  getData,
  getMetadata,
  getSerial,
  getVersion,
  PIV_AID,
  putData,
  READ_CONFIG,
  readConfig,
  select,
} from "./commands.ts";
import { type PinUsage, pinUsageOf } from "./identity.ts";
import { encodeImage } from "./image.ts";
import { importAsymmetricKey } from "./import-key.ts";
import { personalise, type PivCardOptions } from "./personalise.ts";
import { changeReferenceData, resetRetryCounter, verify } from "./pin.ts";

type Instruction = (context: PivContext, command: CardCommand) => Uint8Array | Promise<Uint8Array>;

/** Persists the card image. */
type Keep = (image: string) => Promise<void>;

/** What the answer to reset has room for of the application's identifier: registered provider, PIV, its version. */
const SELECTED = /* @__PURE__ */ PIV_AID.subarray(0, 8);

const SELECT = 0xa4;
/** Commands without lasting effects: SELECT, GET DATA and GENERAL AUTHENTICATE. */
const UNCHANGING: readonly number[] = [SELECT, 0xcb, 0x87];

/** The card commands of SP 800-73-4 part 2 by instruction byte. */
const INSTRUCTIONS = new Map<number, Instruction>([
  [0x20, verify],
  [0x24, changeReferenceData],
  [0x2c, resetRetryCounter],
  [0x47, generateAsymmetricKeyPair],
  [0x87, generalAuthenticate],
  [SELECT, select],
  [0xcb, getData],
  [0xdb, putData],
]);

/** Yubico's additional commands. */
const YUBICO_INSTRUCTIONS = new Map<number, Instruction>([
  [0xf6, moveKey],
  [0xf7, getMetadata],
  [0xf8, getSerial],
  [0xf9, attest],
  [0xfa, setPinRetries],
  [0xfb, resetCard],
  [0xfd, getVersion],
  [0xfe, importAsymmetricKey],
  [0xff, setManagementKey],
]);

/**
 * A PIV card in software that answers APDUs according to SP 800-73-4 part 2. It is a test card: its keys are
 * unprotected in the memory of this process and in its file.
 */
export class VirtualPivCard implements VirtualCard {
  readonly atr: Uint8Array;
  readonly #contents: PivContents;
  readonly #transport: CardTransport;
  readonly #keep: Keep | undefined;
  #kept: string;
  #session: PivSession;
  readonly #queue = new SerialQueue();

  /**
   * See {@link VirtualPivCard.create} for a card with defaults.
   * @param contents The card owns it.
   * @param keep Called with the card's new image after each lasting change, before the command is answered.
   * @internal
   */
  constructor(contents: PivContents, keep?: Keep) {
    this.#contents = contents;
    const { extended, yubico, defaultSelected } = contents.traits;
    this.atr = buildAtr(yubico ? "YubiKey" : defaultSelected ? { selected: SELECTED } : "virtual", extended);
    // Yubico's programs send no Le, and their cards answer anyway.
    this.#transport = new CardTransport({ extended, impliedNe: yubico ? 256 : 0 }, (command) => this.#run(command));
    this.#session = newSession(defaultSelected);
    this.#keep = keep;
    this.#kept = keep ? this.image() : "";
  }

  /**
   * Makes a card. Defaults: PIN 123456, PUK 12345678, the well-known management key, and four keys with certificates.
   * Generating RSA keys takes a while.
   * @throws {DataError} for a key, certificate, PIN or object that no card can hold.
   */
  static async create(options: PivCardOptions = {}): Promise<VirtualPivCard> {
    return new VirtualPivCard(await personalise(options));
  }

  reset(): void {
    this.#session = newSession(this.#contents.traits.defaultSelected);
    this.#transport.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#queue.run(() => this.#transport.transmit(command));
  }

  /** Which PINs the card accepts, and which is the primary one, by its discovery object. */
  get pinUsage(): PinUsage {
    return pinUsageOf(this.#contents.objects.get(TAG.DISCOVERY));
  }

  /** Everything on the card, keys and PINs too, as the text of its file. */
  image(): string {
    return encodeImage(this.#contents);
  }

  async #run(command: CardCommand): Promise<Uint8Array> {
    if (this.#session.managementSelected && command.ins === READ_CONFIG) {
      return readConfig({ contents: this.#contents, session: this.#session }, command);
    }
    const vendor = this.#contents.traits.yubico ? YUBICO_INSTRUCTIONS.get(command.ins) : undefined;
    const instruction = INSTRUCTIONS.get(command.ins) ?? vendor;
    if (instruction === undefined) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    if (!this.#session.selected && command.ins !== SELECT) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    try {
      return await instruction({ contents: this.#contents, session: this.#session }, command);
    } finally {
      if (!UNCHANGING.includes(command.ins)) await this.#keepChanges();
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
