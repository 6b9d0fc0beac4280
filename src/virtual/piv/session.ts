/** A challenge or witness that the host has still to answer. */
export interface Challenge {
  readonly kind: "external" | "mutual";
  /** What the host has to send. */
  readonly expected: Uint8Array;
}

/** What the card knows until the next reset. */
export interface PivSession {
  selected: boolean;
  pinVerified: boolean;
  globalPinVerified: boolean;
  /** Ordinal number of the APDU that last verified a PIN, for keys that want it just before each use. */
  pinVerifiedAt: number;
  /** The card management key was authenticated. */
  administrator: boolean;
  challenge: Challenge | undefined;
  /** Keys whose touch was missed since the reset, on a card with the deviation "missed-touch". */
  readonly missedTouches: Set<number>;
}

/** The state after a reset. */
export function newSession(selected: boolean): PivSession {
  return {
    selected,
    pinVerified: false,
    globalPinVerified: false,
    pinVerifiedAt: Number.NEGATIVE_INFINITY,
    administrator: false,
    challenge: undefined,
    missedTouches: new Set(),
  };
}
