import type { CommandApdu, ResponseApdu } from "../apdu/index.ts";

/** The way to a card for work that has it to itself ({@link ExclusiveAccess.exclusively}). */
export interface CardExchange {
  /**
   * One logical command: however long it and its answer are ({@link CardChannel.send}).
   * @param enough Stop collecting the answer once there are this many bytes.
   * @returns The answer, whatever its status word.
   * @throws {CardCancelledError} before the command is sent, if the caller has left; {CardAccessError}; {MalformedAnswerError}.
   */
  readonly send: (command: CommandApdu, enough?: number) => Promise<ResponseApdu>;
}

/** The way to a card for one sequence of commands at a time: the card itself, or a hold of it. */
export interface ExclusiveAccess {
  exclusively<T>(work: (card: CardExchange) => Promise<T>, signal?: AbortSignal): Promise<T>;
}
