/** Logins with the right PIN, each followed by a logout. */
export const ROUNDS = 200;
/** Before these a wrong PIN is tried: never two in a row, which would block the card's PIN sooner or later. */
export const WRONG_ROUNDS: readonly number[] = [60, 140];
/** Bytes of every PIN here. */
export const PIN_LENGTH = 8;
