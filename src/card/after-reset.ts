import { CardResetError } from "./access-error.ts";

/** Runs work on a card, once more if another program resets it in the middle. Not for what a card must not do twice. */
export async function afterReset<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof CardResetError)) throw error;
    return read();
  }
}
