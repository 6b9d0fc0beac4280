import { DataError } from "../../bytes/index.ts";
import {
  afterReset,
  CardError,
  isAnswer,
  isExecutionError,
  MalformedAnswerError,
  StatusError,
} from "../../card/index.ts";

/**
 * Reads something of an object.
 * @returns `refused` where the card has no such thing, keeps it back, or holds something else than it should.
 * @throws What is an accident, and not an answer about the object: an execution error, and all errors of the way to the card.
 *   Any other status word may be either, so it is asked about once more: a card that repeats it means it.
 */
export async function unlessRefused<T>(read: () => Promise<T>, refused: T): Promise<T> {
  try {
    return await afterReset(read);
  } catch (error) {
    if (isAnswer(error) || isSaidByProfile(error)) return refused;
    if (!mayBeRefusal(error)) throw error;
  }
  try {
    return await afterReset(read);
  } catch (error) {
    if (mayBeRefusal(error)) return refused;
    throw error;
  }
}

/** A profile's own word about the object: it is gone, or guarded, or of a kind that cannot be read. */
function isSaidByProfile(error: unknown): boolean {
  return error instanceof CardError && !(error instanceof StatusError || error instanceof MalformedAnswerError);
}

function mayBeRefusal(error: unknown): boolean {
  if (error instanceof StatusError) return !isExecutionError(error.sw);
  return error instanceof CardError || error instanceof DataError;
}
