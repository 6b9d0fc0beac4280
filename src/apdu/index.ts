/**
 * ISO/IEC 7816-3 and -4: command and response APDUs, status words, BER-TLV, answer to reset, the channel that carries
 * commands to a card, and the trace that shows them.
 */
export { parseAtr, supportsExtendedLength, type Atr, type InterfaceByte } from "./atr.ts";
export { CardChannel, type ChannelOptions, type Transmit, type TransmitOptions } from "./channel.ts";
export { decodeCommand, encodeCommand, type CommandApdu, type LengthForm } from "./command.ts";
export { CardError, MalformedAnswerError, StatusError } from "./error.ts";
export {
  commandText,
  explainCommand,
  explainResponse,
  type CommandExplanation,
  type ResponseExplanation,
} from "./explain/index.ts";
export {
  parseHistoricalBytes,
  readCardCapabilities,
  type CardCapabilities,
  type CardServiceData,
  type HistoricalBytes,
} from "./historical-bytes.ts";
export { decodeResponse, encodeResponse, type ResponseApdu } from "./response.ts";
export { CONCEALED, Concealer, concealExchange, type ConcealedExchange } from "./secrets.ts";
export { explainStatus, statusName, isExecutionError, SW, type StatusExplanation, type StatusKind } from "./status.ts";
export { encodeTlv, findTlv, readTlv, readTlvs, type Tlv } from "./tlv.ts";
export { traceText, traceTransmit, type TraceClock, type TraceEvent, type TraceSink } from "./trace.ts";
