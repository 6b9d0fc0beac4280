/** Events for observers: what is published, and the channels of node:diagnostics_channel that carry it. No secret is in any of them. */
export {
  type ApduExchange,
  type CallEnd,
  type CallStart,
  type CardChange,
  type CardWait,
  type ChannelName,
  type ChannelPayloads,
  CHANNELS,
  CHANNELS_BY_NAME,
  type EventChannel,
  type Failure,
  type LoginOutcome,
} from "./channels.ts";
