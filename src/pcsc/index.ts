/**
 * PC/SC in TypeScript. A *reader* holds a *card*; a *connection* carries APDUs to the card; a *transaction* keeps other
 * connections away from it for a while. The resource manager (pcscd, SCardSvr) knows all readers and reports changes.
 */
export type { CallOptions } from "../async/index.ts";
export { openAddon, type AddonOptions } from "./addon/client.ts";
export {
  type CardConnection,
  type ConnectOptions,
  type Disposition,
  type ExchangeOptions,
  type Initialization,
  type Pcsc,
  type ReaderState,
  SCARD_DISPOSITION,
  SCARD_PROTOCOL,
  SCARD_SHARE,
  type ShareMode,
} from "./types.ts";
export { PcscError, type ScardErrorName } from "./error.ts";
export { type InProcessCard, type MemoryClientOptions, MemoryReaders } from "./memory/readers.ts";
export { type NativeOptions, openNative } from "./native/client.ts";
export { Pcscd, type PcscdOptions } from "./pcscd/client.ts";
export { type ExchangeConcealer, record } from "./recording/record.ts";
export type { WaitLimits } from "./waiting.ts";
export { openSystemPcsc, type PcscTransport, type SystemPcsc, type SystemPcscOptions } from "./system.ts";
export { replay } from "./recording/replay.ts";
export {
  type ConnectLine,
  type ControlLine,
  type Exchange as RecordedExchange,
  type LineBase as RecordingLineBase,
  type Numbered,
  parseRecording,
  type Recording,
  type RecordingHeader,
  type RecordingLine,
  type TransmitLine,
} from "./recording/format.ts";
