/**
 * What this package does, for observers: the names and payloads of its channels of node:diagnostics_channel, a bridge to OpenTelemetry
 * ({@link observe}), and figures of this process ({@link Figures}).
 *
 *     import { subscribe } from "node:diagnostics_channel";
 *     subscribe("cryptoki:call", (event) => console.log((event as CallEnd).function));
 */
export type {
  ApduExchange,
  CallEnd,
  CallStart,
  CardChange,
  CardWait,
  ChannelName,
  ChannelPayloads,
  Failure,
  LoginOutcome,
} from "../channels/index.ts";
export {
  type DurationFigures,
  type ErrorFigures,
  Figures,
  type FiguresReport,
  follow,
  type ReaderFigures,
} from "./figures.ts";
export {
  observe,
  type ObserveOptions,
  type TelemetryAttributes,
  type TelemetryContext,
  type TelemetryMeter,
  TelemetryMissingError,
  type TelemetrySpan,
  type TelemetryTracer,
} from "./telemetry.ts";
