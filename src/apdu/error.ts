import { countedTries, statusName } from "./status.ts";

const hex4 = (sw: number): string => sw.toString(16).toUpperCase().padStart(4, "0");

/** What a card did wrong, or refused. Every error of the card layers is one of these. */
export class CardError extends Error {
  override readonly name: string = "CardError";
}

/** The card answered a command with a status word other than success. */
export class StatusError extends CardError {
  override readonly name = "StatusError";
  readonly sw: number;

  /** @param action What was asked of the card, for the message: "VERIFY", "GET DATA 5FC105". */
  constructor(action: string, sw: number) {
    super(`${statusName(sw)} (${hex4(sw)}) from ${action}`);
    this.sw = sw;
  }

  /** Tries left, where the status word tells them: 63Cx and 630x (not 6300) tell x; 6983 tells that there are none. */
  get triesLeft(): number | undefined {
    if (this.sw === 0x6983) return 0;
    return countedTries(this.sw);
  }
}

/** The card's answer breaks the rules of its own format: cut off, too long, a length that lies, a chain without end. */
export class MalformedAnswerError extends CardError {
  override readonly name = "MalformedAnswerError";
}
