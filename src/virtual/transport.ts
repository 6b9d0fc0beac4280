import { type CommandApdu, decodeCommand, encodeResponse, type LengthForm, SW } from "../apdu/index.ts";
import { concat, DataError, wipe } from "../bytes/index.ts";
import { Refusal } from "./card.ts";

/** A whole command: its chained parts are joined. */
export interface CardCommand {
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  readonly data: Uint8Array;
  /** Most bytes of the answer; undefined if the command has no Le. */
  readonly ne: number | undefined;
  /** Ordinal numbers of the first and last APDU of the command, since the card was made. */
  readonly first: number;
  readonly last: number;
}

/** Runs a command and returns the data of its answer. Refuses by throwing a {@link Refusal}. */
export type CommandHandler = (command: CardCommand) => Uint8Array | Promise<Uint8Array>;

/** A card's transmission properties. */
export interface TransportTraits {
  /** Supports extended length fields; otherwise answers them with 6700. */
  readonly extended: boolean;
  /** Ne for a command without Le; 0 as in the standard, which leaves the whole answer to GET RESPONSE. */
  readonly impliedNe: number;
  /** Commands that it also accepts with a nonstandard class byte, as if it were 00; default: none. */
  readonly takesClass?: (cla: number, ins: number) => boolean;
  /** Refuses command chaining with 6884. */
  readonly noChaining?: boolean;
  /** Keeps no answer for GET RESPONSE: one longer than Le is refused with 6C00. */
  readonly noGetResponse?: boolean;
}

const CHAINING = 0x10;
const GET_RESPONSE = 0xc0;
/** Most data of a chain: as much as in one extended command. */
const MAX_CHAIN = 65_535;

interface Chain {
  readonly header: string;
  readonly parts: Uint8Array[];
  readonly first: number;
  length: number;
}

/**
 * The card's side of ISO/IEC 7816-4 transmission: lengths, command chaining (section 5.3.3), and answers in parts by
 * GET RESPONSE (section 5.3.4). The handler executes the commands.
 */
export class CardTransport {
  readonly #handler: CommandHandler;
  readonly #traits: TransportTraits;
  #chain: Chain | undefined;
  #uncollected: Uint8Array = new Uint8Array();
  #received = 0;

  constructor(traits: TransportTraits, handler: CommandHandler) {
    this.#traits = traits;
    this.#handler = handler;
  }

  /** Drops an incomplete chain and an uncollected answer. */
  reset(): void {
    this.#dropChain();
    this.#uncollected = new Uint8Array();
  }

  /** Answers one command APDU; never rejects. */
  async transmit(bytes: Uint8Array): Promise<Uint8Array> {
    this.#received++;
    try {
      return await this.#answer(decode(bytes));
    } catch (error) {
      this.#dropChain();
      return encodeResponse({ data: new Uint8Array(), sw: statusOf(error) });
    }
  }

  async #answer(apdu: CommandApdu & { readonly form: LengthForm }): Promise<Uint8Array> {
    if (apdu.form === "extended" && !this.#traits.extended) throw new Refusal(SW.WRONG_LENGTH);
    if (this.#traits.takesClass?.(apdu.cla, apdu.ins)) return this.#answer({ ...apdu, cla: 0x00 });
    checkClass(apdu.cla);
    if (this.#traits.noChaining === true && (apdu.cla & CHAINING) !== 0) {
      throw new Refusal(SW.CHAINING_NOT_SUPPORTED);
    }
    if (apdu.ins === GET_RESPONSE && this.#traits.noGetResponse !== true) return this.#getResponse(apdu);
    this.#uncollected = new Uint8Array();
    const command = this.#collect(apdu);
    if (command === undefined) return encodeResponse({ data: new Uint8Array(), sw: SW.OK });
    try {
      return this.#part(await this.#handler(command), apdu.ne);
    } finally {
      // The chained data may be a key or a PIN, and the joined copy is this card's own.
      if (command.first !== command.last) wipe(command.data);
    }
  }

  #getResponse({ p1, p2, data, ne, cla }: CommandApdu): Uint8Array {
    const rest = this.#uncollected;
    if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
    if (data !== undefined || cla !== 0) throw new Refusal(SW.WRONG_LENGTH);
    if (rest.length === 0) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    return this.#part(rest, ne);
  }

  /** Up to `ne` bytes of `data`; the rest waits for GET RESPONSE. */
  #part(data: Uint8Array, ne = this.#traits.impliedNe): Uint8Array {
    const part = data.subarray(0, ne);
    if (this.#traits.noGetResponse === true && part.length < data.length) throw new Refusal(SW.CORRECT_LE);
    this.#uncollected = data.subarray(part.length);
    const left = this.#uncollected.length;
    return encodeResponse({
      data: part,
      sw: left === 0 ? SW.OK : SW.BYTES_AVAILABLE | (left < 256 ? left : 0),
    });
  }

  /** The whole command once its last part has arrived; a command with another header drops an incomplete chain. */
  #collect(apdu: CommandApdu): CardCommand | undefined {
    const { ins, p1, p2, ne, data = new Uint8Array() } = apdu;
    const header = [ins, p1, p2].join();
    if (this.#chain?.header !== header) this.#dropChain();
    const more = (apdu.cla & CHAINING) !== 0;
    const chain = this.#chain ?? { header, parts: [], first: this.#received, length: 0 };
    if (!more && chain.parts.length === 0)
      return { ins, p1, p2, data, ne, first: this.#received, last: this.#received };
    chain.length += data.length;
    if (chain.length > MAX_CHAIN) throw new Refusal(SW.WRONG_LENGTH);
    chain.parts.push(data.slice());
    this.#chain = chain;
    if (more) return undefined;
    const whole = concat(...chain.parts);
    this.#dropChain();
    return { ins, p1, p2, data: whole, ne, first: chain.first, last: this.#received };
  }

  #dropChain(): void {
    wipe(...(this.#chain?.parts ?? []));
    this.#chain = undefined;
  }
}

function decode(bytes: Uint8Array): ReturnType<typeof decodeCommand> {
  try {
    return decodeCommand(bytes);
  } catch (cause) {
    if (cause instanceof DataError) throw new Refusal(SW.WRONG_LENGTH);
    throw cause;
  }
}

/** Interindustry class, basic channel, no secure messaging; with or without chaining (ISO/IEC 7816-4 section 5.4.1). */
function checkClass(cla: number): void {
  if ((cla & 0xe0) !== 0) throw new Refusal(SW.CLASS_NOT_SUPPORTED);
  if ((cla & 0x0c) !== 0) throw new Refusal(SW.SECURE_MESSAGING_NOT_SUPPORTED);
  if ((cla & 0x03) !== 0) throw new Refusal(SW.LOGICAL_CHANNEL_NOT_SUPPORTED);
}

/** Malformed data get 6A80; any other unexpected error is the card's own fault, without a diagnosis. */
function statusOf(error: unknown): number {
  if (error instanceof Refusal) return error.sw;
  return error instanceof DataError ? SW.WRONG_DATA : SW.NO_PRECISE_DIAGNOSIS;
}
