import { CardError, encodeCommand, type CommandApdu, decodeResponse, MalformedAnswerError } from "../apdu/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import { CardAccessError, CardCancelledError, PinError } from "./errors.ts";
import type { Card } from "./card.ts";
import { READER_FEATURE } from "./reader-features.ts";

/** How the reader writes the typed digits into the command (PC/SC part 10 section 2.5.2). */
export interface PinBlock {
  readonly format: "binary" | "bcd" | "ascii";
  /** Bytes that the PIN is padded to, with the bytes of the command; 0 for no padding. */
  readonly size: number;
  /** Whether the block begins with a byte whose lower half is the number of digits: ISO 9564-1 format 2. */
  readonly withLength: boolean;
  readonly minDigits: number;
  readonly maxDigits: number;
}

/** The places of the PINs in a command that changes one. */
export interface PinPlaces {
  /** Offsets after the command's header and length byte. */
  readonly old: number;
  readonly fresh: number;
  /** Whether the present PIN, or the PUK, is typed too. */
  readonly asksOld: boolean;
}

/** bTimerOut and bTimerOut2: seconds until the first key, and from there until the PIN is complete. */
const TIMEOUT = 30;
/** Milliseconds beyond the reader's own timeouts after which a silent reader is abandoned. */
const GRACE = 10_000;
/** The entry ends with the validation key. */
const VALIDATION_KEY = 0x02;
/** US English: the number of its language in USB's list. */
const LANGUAGE = 0x0409;
const FORMAT: Readonly<Record<PinBlock["format"], number>> = { binary: 0x00, bcd: 0x01, ascii: 0x02 };
const CONFIRM = { NEW_TWICE: 0x01, ASKS_OLD: 0x02 } as const;

/** A reader with a keypad: typed PINs reach the card, and no program. */
export class PinPadReader {
  readonly #card: Card;
  readonly #verify: number;
  readonly #modify: number | undefined;

  private constructor(card: Card, verify: number, modify: number | undefined) {
    this.#card = card;
    this.#verify = verify;
    this.#modify = modify;
  }

  /** Asks the reader whether it has a keypad; undefined if not. */
  static async find(card: Card): Promise<PinPadReader | undefined> {
    // Within a transaction: during another program's, the reader would refuse the query.
    const features = await card
      .exclusively(() => card.features())
      .catch((error: unknown) => {
        if (error instanceof CardAccessError) return new Map<number, number>();
        throw error;
      });
    const verify = features.get(READER_FEATURE.VERIFY_PIN_DIRECT);
    return verify === undefined
      ? undefined
      : new PinPadReader(card, verify, features.get(READER_FEATURE.MODIFY_PIN_DIRECT));
  }

  get canModify(): boolean {
    return this.#modify !== undefined;
  }

  /**
   * Lets the user type a PIN for `command`, and sends it. The caller holds the card, by {@link Card.exclusively}.
   * @returns The card's status word.
   * @throws {CardCancelledError} if the user cancels; {PinError} for too few or too many digits; {CardError} after a
   *   timeout.
   */
  verify(command: CommandApdu, block: PinBlock): Promise<number> {
    const structure = concat(
      Uint8Array.of(TIMEOUT, TIMEOUT),
      blockFormat(block),
      Uint8Array.of(block.maxDigits, block.minDigits, VALIDATION_KEY, 0x01, ...littleEndian(LANGUAGE, 2), 0x00),
      // T=1 prologue, for readers that do not add it themselves.
      Uint8Array.of(0, 0, 0),
    );
    return this.#ask(this.#verify, structure, command, 1);
  }

  /** Lets the user type the old PIN, if needed, and the new one twice. Errors as for {@link verify}. */
  modify(command: CommandApdu, block: PinBlock, places: PinPlaces): Promise<number> {
    if (this.#modify === undefined) throw new CardError("the reader's keypad cannot change PINs");
    this.#card.endHolds();
    const confirm = CONFIRM.NEW_TWICE | (places.asksOld ? CONFIRM.ASKS_OLD : 0);
    const structure = concat(
      Uint8Array.of(TIMEOUT, TIMEOUT),
      blockFormat(block),
      Uint8Array.of(places.old, places.fresh, block.maxDigits, block.minDigits, confirm, VALIDATION_KEY),
      Uint8Array.of(places.asksOld ? 0x03 : 0x02, ...littleEndian(LANGUAGE, 2), 0x00, 0x01, 0x02),
      Uint8Array.of(0, 0, 0),
    );
    return this.#ask(this.#modify, structure, command, places.asksOld ? 3 : 2);
  }

  /** @param entries How many times a PIN is typed; the reader's timeouts apply to each. */
  async #ask(code: number, structure: Uint8Array, command: CommandApdu, entries: number): Promise<number> {
    const answersWithin = entries * 2 * TIMEOUT * 1_000 + GRACE;
    const answer = await this.#card.control(code, concat(structure, commandData(command)), answersWithin);
    const sw = statusOf(answer);
    switch (sw) {
      // Status words of the reader itself (PC/SC part 10 section 2.5.2).
      case 0x6400:
        throw new CardError("no PIN was typed on the reader in time");
      case 0x6401:
        throw new CardCancelledError("the PIN entry was cancelled on the reader");
      case 0x6402:
        throw new PinError("unacceptable", "the two entries of the new PIN on the reader differ");
      case 0x6403:
        throw new PinError("length", "the PIN that was typed on the reader is too short or too long");
      default:
        return sw;
    }
  }
}

function statusOf(answer: Uint8Array): number {
  try {
    return decodeResponse(answer).sw;
  } catch (cause) {
    if (cause instanceof DataError) throw new MalformedAnswerError(cause.message, { cause });
    throw cause;
  }
}

/** bmFormatString, bmPINBlockString, bmPINLengthFormat. */
function blockFormat({ format, size, withLength }: PinBlock): Uint8Array {
  // The PIN's offset is counted in bytes, after the length byte, if there is one.
  const place = 0x80 | (withLength ? 1 << 3 : 0) | FORMAT[format];
  const block = (withLength ? 0x40 : 0x00) | ((withLength ? size - 1 : size) & 0x0f);
  // 4 bits in the length's own byte.
  return Uint8Array.of(place, block, withLength ? 0x04 : 0x00);
}

/** ulDataLength and abData: the command with the length byte, also without data. */
function commandData(command: CommandApdu): Uint8Array {
  const encoded = encodeCommand(command);
  const whole = command.data && command.data.length > 0 ? encoded : concat(encoded, Uint8Array.of(0));
  return concat(littleEndian(whole.length, 4), whole);
}

function littleEndian(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => (value >> (8 * at)) & 0xff);
}
