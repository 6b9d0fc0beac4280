import { CardError } from "../apdu/index.ts";

export type PinFailure =
  /** The card compared and refused; a try is spent. */
  | "incorrect"
  /** No tries left. */
  | "blocked"
  /** Shorter or longer than the card takes; the card was not asked. */
  | "length"
  /** A character that this PIN cannot hold; the card was not asked. */
  | "characters"
  /** A new PIN that the card's rules do not allow, whatever they are; no try is spent. */
  | "unacceptable"
  /** This PIN has not been set yet. */
  | "not-set";

/** A PIN was not accepted. The PIN itself is never in it. */
export class PinError extends CardError {
  override readonly name = "PinError";
  readonly reason: PinFailure;
  readonly triesLeft: number | undefined;

  constructor(reason: PinFailure, message: string, triesLeft?: number, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.triesLeft = triesLeft;
  }
}

/** The card wants the PIN before it does this: never given, forgotten after a reset, or wanted anew for each use. */
export class LoginRequiredError extends CardError {
  override readonly name = "LoginRequiredError";
}

/**
 * The card refused this use of a key, and not for lack of a login: nobody touched it in time, or its holder or its rules do not allow
 * it. The login stays, and the use may be tried again.
 */
export class UseRefusedError extends CardError {
  override readonly name = "UseRefusedError";
}

/** The object is not on the card any more: another program took it off. */
export class ObjectGoneError extends CardError {
  override readonly name = "ObjectGoneError";
}

/** The card, or this profile, cannot do what was asked. */
export class UnsupportedError extends CardError {
  override readonly name = "UnsupportedError";
  /** What the request lacked, where that is the reason: the identifier of a new key that names its place. */
  readonly lacks: "id" | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly lacks?: "id" }) {
    super(message, options);
    this.lacks = options?.lacks;
  }
}
