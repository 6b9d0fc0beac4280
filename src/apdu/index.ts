/** ISO/IEC 7816-3 and -4: command and response APDUs, status words, BER-TLV, and the channel that carries them. */
export { CardChannel, type ChannelOptions, type Transmit } from "./channel.ts";
export { decodeCommand, encodeCommand, type CommandApdu, type LengthForm } from "./command.ts";
export { CardError, MalformedAnswerError, StatusError } from "./error.ts";
export { decodeResponse, encodeResponse, type ResponseApdu } from "./response.ts";
export { statusName, SW } from "./status.ts";
export { encodeTlv, findTlv, readTlv, readTlvs, type Tlv } from "./tlv.ts";
