/**
 * ISO/IEC 7816-3 and -4: command and response APDUs, status words, BER-TLV, answer to reset, the channel that carries
 * commands to a card, and the trace that shows them.
 */
export {
  type Atr,
  type CardCapabilities,
  type CardServiceData,
  type HistoricalBytes,
  type InterfaceByte,
  parseAtr,
  parseHistoricalBytes,
  readCardCapabilities,
  supportsExtendedLength,
} from "./atr.ts";
export type { CallOptions } from "../async/index.ts";
export { ByteReader, type Concealment, DataError } from "../bytes/index.ts";
export { CardChannel, type ChannelOptions, type SendOptions, type Transmit, type TransmitOptions } from "./channel.ts";
export {
  type CommandApdu,
  decodeCommand,
  decodeResponse,
  encodeCommand,
  encodeResponse,
  type LengthForm,
  type ResponseApdu,
} from "./command.ts";
export {
  CardError,
  explainStatus,
  isExecutionError,
  MalformedAnswerError,
  StatusError,
  type StatusExplanation,
  type StatusKind,
  statusName,
  SW,
} from "./status.ts";
export {
  commandText,
  explainCommand,
  explainResponse,
  type CommandExplanation,
  type NamedCommand,
  namedCommands,
  type ResponseExplanation,
} from "./explain/explain.ts";
export { type CommandSearch, findCommandNamed } from "./explain/named.ts";
export { CONCEALED, Concealer, concealExchange, type ConcealedExchange } from "./secrets.ts";
export { encodeTlv, findTlv, readTlv, readTlvs, type Tlv } from "./tlv.ts";
export { type ExchangeEnd, ExchangeObserver } from "./observed.ts";
export { traceText, traceTransmit, type TraceClock, type TraceEvent, type TraceSink } from "./trace.ts";
