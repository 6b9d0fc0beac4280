import { type CallOptions, signalOf } from "../async/index.ts";
import { type Concealment, concatSecret, DataError, wipe } from "../bytes/index.ts";
import {
  APDU_LIMITS,
  commandConcealment,
  type CommandApdu,
  decodeResponse,
  encodeCommand,
  type LengthForm,
  type ResponseApdu,
} from "./command.ts";
import { CardError, MalformedAnswerError, SW } from "./status.ts";

export interface TransmitOptions extends CallOptions {
  /** The command takes long ({@link CommandApdu.long}). */
  readonly long?: boolean;
  /** The builder's declaration ({@link CommandApdu.conceal}); for traces and recordings. */
  readonly conceal?: Concealment | undefined;
}

export interface SendOptions extends CallOptions {
  /**
   * Stop collecting once there are this many bytes: for a caller who wants the head of a long data object. The card drops the rest
   * with the next command, and the status word is then 61xx. Default: the whole answer is collected.
   */
  readonly enough?: number | undefined;
}

/** Sends the bytes of one command APDU and gives those of the response. */
export type Transmit = (command: Uint8Array, options?: TransmitOptions) => Promise<Uint8Array>;

export interface ChannelOptions {
  /** "extended" only if the card announces support; default: "short". */
  readonly form?: LengthForm;
  /** Whether the card uses T=0, whose command header has one length byte for both directions. */
  readonly t0?: boolean;
  /**
   * Whether a transport's error may mean that the reader does not support extended commands. Default: no error does.
   */
  readonly isReaderRefusal?: (error: unknown) => boolean;
  /**
   * The reader's limit for data bytes of an extended command or answer; undefined if unknown. Called before extended
   * commands. Default: unknown.
   */
  readonly readerLimit?: () => Promise<number | undefined>;
}

function badOptions(problem: string): CardError {
  return new CardError(problem);
}

/** Most bytes that one command may collect through GET RESPONSE: far above any data object of a card. */
const MAX_ANSWER = 1 << 20;
/** Most GET RESPONSE commands for one answer, also if the card returns a byte at a time. */
const MAX_PARTS = 8192;
const CHAINING = 0x10;

/**
 * A logical exchange with a card: {@link send} is one call for commands and answers of any length. It chooses short or
 * extended length, chains longer commands (ISO/IEC 7816-4 section 5.3.3), collects the answer with GET RESPONSE after
 * 61xx, and repeats the command with the length in 6Cxx (section 5.3.4).
 */
export class CardChannel {
  readonly #transmit: Transmit;
  readonly #t0: boolean;
  readonly #isReaderRefusal: (error: unknown) => boolean;
  readonly #readerLimit: () => Promise<number | undefined>;
  #form: LengthForm;
  #refusals = 0;

  constructor(transmit: Transmit, options: ChannelOptions = {}) {
    this.#transmit = transmit;
    this.#t0 = options.t0 ?? false;
    this.#readerLimit = options.readerLimit ?? ((): Promise<undefined> => Promise.resolve(undefined));
    this.#isReaderRefusal = options.isReaderRefusal ?? ((): boolean => false);
    this.#form = this.#t0 ? "short" : (options.form ?? "short");
  }

  /**
   * The present length form: falls from "extended" to "short" permanently when the card refuses it twice; one refusal
   * may be an accident.
   */
  get form(): LengthForm {
    return this.#form;
  }

  /** Announces that the card supports extended length. T=0 has none. */
  takesExtended(): void {
    if (!this.#t0) this.#form = "extended";
  }

  /**
   * @returns The whole answer and its last status word, whichever that is.
   * @throws {MalformedAnswerError} if the answer is not a response APDU or does not end; the transport's errors.
   */
  async send(apdu: CommandApdu, options: SendOptions = {}): Promise<ResponseApdu> {
    const signal = signalOf(options, badOptions);
    const { enough = Infinity } = options;
    const conceal = commandConcealment(apdu);
    const command = conceal === undefined ? apdu : { ...apdu, conceal };
    if (this.#form === "short" || !needsExtended(command)) {
      return this.#collect(command, await this.#sendChained(command, signal), enough, signal);
    }
    const fitting = withinLimit(command, (await this.#readerLimit()) ?? Infinity);
    if (!fitting) return this.#collect(command, await this.#sendChained(command, signal), enough, signal);
    let answer: ResponseApdu;
    try {
      answer = await this.#exchange(fitting, "extended", signal);
    } catch (error) {
      if (!REPEATABLE.has(command.ins) || !this.#isReaderRefusal(error)) throw error;
      answer = await this.#sendChained(command, signal);
      // The short form succeeded: perhaps the reader supports only short commands.
      this.#countRefusal();
      return this.#collect(command, answer, enough, signal);
    }
    if (refusesForm(command, answer)) {
      answer = await this.#sendChained(command, signal);
      // If it refuses the short form too, the command is wrong, not its form.
      if (!refusesForm(command, answer)) this.#countRefusal();
    }
    return this.#collect(command, answer, enough, signal);
  }

  /** One refusal may be an accident. */
  #countRefusal(): void {
    if (++this.#refusals > 1) this.#form = "short";
  }

  async #sendChained(command: CommandApdu, signal?: AbortSignal): Promise<ResponseApdu> {
    const { ne, data = new Uint8Array(), ...header } = command;
    const size = APDU_LIMITS.short.data;
    let offset = 0;
    for (; data.length - offset > size; offset += size) {
      const part = { ...header, cla: header.cla | CHAINING, data: data.subarray(offset, offset + size) };
      const answer = await this.#exchange(part, "short", signal);
      if (answer.sw !== SW.OK) return answer;
    }
    const shortNe = ne === undefined ? {} : { ne: Math.min(ne, APDU_LIMITS.short.ne) };
    return this.#exchange({ ...header, data: data.subarray(offset), ...shortNe }, "short", signal);
  }

  /** Sends one command; after 6Cxx once more with the length that the card requires. */
  async #exchange(
    command: CommandApdu,
    form: LengthForm,
    signal?: AbortSignal,
    isRepeated = false,
  ): Promise<ResponseApdu> {
    const { long = false, conceal } = command;
    const bytes = encodeCommand(this.#t0 ? forT0(command) : command, form);
    let answer: ResponseApdu;
    try {
      answer = decodeResponse(await this.#transmit(bytes, { signal, long, conceal }));
    } catch (cause) {
      if (cause instanceof DataError) throw new MalformedAnswerError(cause.message, { cause });
      throw cause;
    } finally {
      // It may contain a PIN. A transport that keeps commands must copy them.
      wipe(bytes);
    }
    if (isRepeated || answer.sw >> 8 !== SW.CORRECT_LE >> 8 || command.ne === undefined) return answer;
    return this.#exchange({ ...command, ne: answer.sw & 0xff || 256 }, form, signal, true);
  }

  async #collect(
    command: CommandApdu,
    first: ResponseApdu,
    enough: number,
    signal?: AbortSignal,
  ): Promise<ResponseApdu> {
    const parts = [first.data];
    let length = first.data.length;
    let last = first;
    while (last.sw >> 8 === SW.BYTES_AVAILABLE >> 8 && length < enough) {
      if (parts.length > MAX_PARTS || length > MAX_ANSWER) {
        throw new MalformedAnswerError(
          `the card's answer does not end: ${length} bytes in ${parts.length} parts so far`,
        );
      }
      const getResponse = { cla: interindustry(command.cla), ins: 0xc0, p1: 0, p2: 0, ne: last.sw & 0xff || 256 };
      last = await this.#exchange(getResponse, "short", signal);
      if (last.data.length === 0 && last.sw >> 8 === SW.BYTES_AVAILABLE >> 8) {
        throw new MalformedAnswerError(
          "the card's answer does not end: the card announces more bytes and returns none",
        );
      }
      parts.push(last.data);
      length += last.data.length;
    }
    if (parts.length === 1) return first;
    const data = concatSecret(...parts);
    // It may be deciphered data: the caller wipes the whole; the parts are wiped here.
    wipe(...parts);
    return { data, sw: last.sw };
  }
}

/**
 * T=0 always has P3 and cannot have Lc and Le in one command: case 1 is sent with P3 = 00, case 4 without Le, and the
 * card answers 61xx (ISO/IEC 7816-3 sections 12.2.2 and 12.2.5).
 */
function forT0(command: CommandApdu): CommandApdu {
  const { ne, ...rest } = command;
  if ((command.data?.length ?? 0) > 0) return rest;
  return { ...rest, ne: ne ?? 256 };
}

/**
 * The class byte of GET RESPONSE after a command of class `cla`: an interindustry command on the same logical channel,
 * without secure messaging (ISO/IEC 7816-4 section 11.7.1). For an unknown class (A0 of GSM) the same class.
 */
function interindustry(cla: number): number {
  if (cla >= 0x90 && cla < 0xc0) return cla;
  return (cla & 0x40) === 0 ? cla & 0x03 : cla & 0x4f;
}

/**
 * Uses the short form if command and answer fit, because extended length gains nothing; a command that is too long even
 * for extended length is chained.
 */
function needsExtended({ data, ne = 0 }: CommandApdu): boolean {
  const length = data?.length ?? 0;
  if (length > APDU_LIMITS.extended.data) return false;
  return length > APDU_LIMITS.short.data || ne > APDU_LIMITS.short.ne;
}

/** Limits a command's data and requested answer to the reader's limits; undefined if only its short form fits. */
function withinLimit(command: CommandApdu, limit: number): CommandApdu | undefined {
  if (limit <= APDU_LIMITS.short.ne || (command.data?.length ?? 0) > limit) return undefined;
  return command.ne === undefined || command.ne <= limit ? command : { ...command, ne: limit };
}

/**
 * Instructions that may be repeated safely; the effect of another extended command before the reader refused it is
 * unknown. READ BINARY, READ RECORD, GET DATA; PERFORM SECURITY OPERATION, GENERAL AUTHENTICATE; UPDATE BINARY, PUT
 * DATA.
 */
const REPEATABLE: ReadonlySet<number> = new Set([
  0xb0, 0xb1, 0xb2, 0xb3, 0xca, 0xcb, 0x2a, 0x87, 0xd6, 0xd7, 0xda, 0xdb,
]);

/**
 * 6700 without data is how cards refuse an extended length that they, or their reader, do not support; some refuse GET
 * DATA by 6D00 or 6F00, where a repetition is harmless.
 */
function refusesForm({ ins }: CommandApdu, { data, sw }: ResponseApdu): boolean {
  if (data.length > 0) return false;
  if (sw === SW.WRONG_LENGTH) return true;
  const getsData = ins === 0xca || ins === 0xcb;
  return getsData && (sw === SW.INSTRUCTION_NOT_SUPPORTED || sw === SW.NO_PRECISE_DIAGNOSIS);
}
