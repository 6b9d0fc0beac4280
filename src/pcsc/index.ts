/**
 * PC/SC from TypeScript. A *reader* holds a *card*; a *connection* carries APDUs to the card; a *transaction* keeps other
 * connections away from it for a while. The resource manager (pcscd, SCardSvr) knows all readers and tells of changes.
 */
export { openAddon, type AddonOptions } from "./addon.ts";
export { SCARD_DISPOSITION, SCARD_PROTOCOL, SCARD_SHARE } from "./constants.ts";
export type { Disposition, Initialization, ShareMode } from "./constants.ts";
export { PcscError } from "./error.ts";
export { MemoryReaders } from "./memory.ts";
export type { InProcessCard, MemoryClientOptions } from "./memory.ts";
export { Pcscd, type PcscdOptions } from "./pcscd.ts";
export { record } from "./recorder.ts";
export type { ExchangeConcealer } from "./recorder.ts";
export type { WaitLimits } from "./waiting.ts";
export { replay } from "./replay.ts";
export type { ScardErrorName } from "./status.ts";
export type { CallOptions, CardConnection, ConnectOptions, ExchangeOptions, Pcsc, ReaderState } from "./types.ts";
