import { DataError } from "../bytes/index.ts";
import { CardError, MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";

/** How a card says that it has no such file, record or object (ISO/IEC 7816-4 section 5.6, table 6). */
const NOT_FOUND: ReadonlySet<number> = new Set([SW.FILE_NOT_FOUND, SW.RECORD_NOT_FOUND, SW.REFERENCED_DATA_NOT_FOUND]);

/** Whether the card says that it does not have what was asked for. */
export function isNotFound(sw: number): boolean {
  return NOT_FOUND.has(sw);
}

/**
 * Whether `error` is the card's answer about the file or object that was asked for: it is not there, or it wants a PIN. Only such
 * an answer may be remembered. Any other status word is an accident of this one exchange.
 */
export function isAnswer(error: unknown): error is StatusError {
  return error instanceof StatusError && (isNotFound(error.sw) || error.sw === SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** A Java Card without an applet that could answer says so (ISO7816.SW_APPLET_SELECT_FAILED of its API). */
const NO_APPLET = 0x6999;

const isNothingThere = (sw: number): boolean => isNotFound(sw) || sw === NO_APPLET;

/**
 * Sends a command whose refusal has a meaning of its own, such as the selection of an application that most cards do not have.
 * Cards refuse it in many ways, so a status word that may be an accident is asked about once more: a card that repeats it means it.
 */
export async function confirmedAnswer(send: () => Promise<ResponseApdu>): Promise<ResponseApdu> {
  const first = await send();
  const certain = first.sw === SW.OK || first.sw >> 8 === SW.BYTES_AVAILABLE >> 8 || isNothingThere(first.sw);
  return certain ? first : send();
}

/**
 * What `look` finds; undefined where the card refuses, or where what it answers does not parse. As with {@link confirmedAnswer},
 * a failure that is not an answer counts only when it comes twice.
 */
export async function unlessRefused<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (isAnswer(error) || (error instanceof StatusError && isNothingThere(error.sw))) return undefined;
    if (!isRefusal(error)) throw error;
  }
  try {
    return await look();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/**
 * What `read` gives. What does not parse is read once more: it may have been broken on its way, and only what comes broken twice
 * stands so on the card.
 */
export async function readTwiceIfMalformed<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isMalformed(error)) throw error;
  }
  return read();
}

/** Whether something that the card holds does not parse. */
export function isMalformed(error: unknown): error is DataError | MalformedAnswerError {
  return error instanceof DataError || error instanceof MalformedAnswerError;
}

const isRefusal = (error: unknown): boolean => error instanceof CardError || error instanceof DataError;
