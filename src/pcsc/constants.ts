/** Share modes of SCardConnect. */
export const SCARD_SHARE = { EXCLUSIVE: 1, SHARED: 2, DIRECT: 3 } as const;
export type ShareMode = (typeof SCARD_SHARE)[keyof typeof SCARD_SHARE];

/** Card protocols, as a bit mask in requests. */
export const SCARD_PROTOCOL = { UNDEFINED: 0, T0: 1, T1: 2, RAW: 4, ANY: 3 } as const;

/** What becomes of the card when a connection or a transaction ends, or what a reconnect does first. */
export const SCARD_DISPOSITION = { LEAVE_CARD: 0, RESET_CARD: 1, UNPOWER_CARD: 2, EJECT_CARD: 3 } as const;
export type Disposition = (typeof SCARD_DISPOSITION)[keyof typeof SCARD_DISPOSITION];
export type Initialization = 0 | 1 | 2;
