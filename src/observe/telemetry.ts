import type * as api from "@opentelemetry/api";
import { AsyncLocalStorage } from "node:async_hooks";
import type { Channel } from "node:diagnostics_channel";
import { type CallStart, CHANNELS } from "../channels/index.ts";
import { follow } from "./figures.ts";

/** What a span or a measurement is told with. */
export type TelemetryAttributes = Record<string, string | number | boolean>;

/** The part of a span of OpenTelemetry that is used here. */
export interface TelemetrySpan {
  setAttributes(attributes: TelemetryAttributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(endTime?: number): void;
}

/** A context of OpenTelemetry. */
export interface TelemetryContext {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): TelemetryContext;
  deleteValue(key: symbol): TelemetryContext;
}

/** The part of a tracer of OpenTelemetry that is used here. */
export interface TelemetryTracer {
  startSpan(
    name: string,
    options?: { startTime?: number; kind?: number; attributes?: TelemetryAttributes },
    parent?: TelemetryContext,
  ): TelemetrySpan;
}

/** The part of a meter of OpenTelemetry that is used here. */
export interface TelemetryMeter {
  createCounter(
    name: string,
    options?: { description?: string },
  ): {
    add(value: number, attributes?: TelemetryAttributes): void;
  };
  createHistogram(
    name: string,
    options?: { description?: string; unit?: string },
  ): {
    record(value: number, attributes?: TelemetryAttributes): void;
  };
}

export interface ObserveOptions {
  /** `trace.getTracer("cryptoki")` of @opentelemetry/api: a span for each call of a C_ function, with a child for each APDU. */
  readonly tracer?: TelemetryTracer;
  /** `metrics.getMeter("cryptoki")`: counters and histograms; durations in seconds. */
  readonly meter?: TelemetryMeter;
}

/** The package @opentelemetry/api is not installed. */
export class TelemetryMissingError extends Error {
  override readonly name = "TelemetryMissingError";
}

/** Values of SpanKind and SpanStatusCode of @opentelemetry/api. */
const CLIENT = 2;
const ERROR = 2;

/**
 * Sends what this package does to OpenTelemetry, until the result is disposed of. A call's span is a child of the span that is active where
 * the call is made.
 * @throws {TelemetryMissingError} if @opentelemetry/api is not installed.
 */
export async function observe({ tracer, meter }: ObserveOptions): Promise<Disposable> {
  const ends = [...(tracer ? await traced(tracer) : []), ...(meter ? measured(meter) : [])];
  return {
    [Symbol.dispose]: () => {
      for (const end of ends.splice(0)) end();
    },
  };
}

/** @throws {TelemetryMissingError} */
async function loadTelemetry(): Promise<typeof api> {
  try {
    return await import("@opentelemetry/api");
  } catch (cause) {
    throw new TelemetryMissingError("OpenTelemetry needs one package beside this one: npm install @opentelemetry/api", {
      cause,
    });
  }
}

async function traced(tracer: TelemetryTracer): Promise<(() => void)[]> {
  const { context, trace } = await loadTelemetry();
  const spans = new AsyncLocalStorage<{ readonly id: number; readonly span: TelemetrySpan }>();
  const begin = ({ id, time, function: name, session, slot }: CallStart): { id: number; span: TelemetrySpan } => ({
    id,
    span: tracer.startSpan(name, {
      startTime: time,
      attributes: {
        ...(session !== undefined && { "cryptoki.session": session }),
        ...(slot !== undefined && { "cryptoki.slot": slot }),
      },
    }),
  });
  const start = CHANNELS.callStart as unknown as Channel;
  start.bindStore(spans, (event) => begin(event as CallStart));
  return [
    () => void start.unbindStore(spans),
    follow("cryptoki:call", ({ id, time, duration, rv }) => {
      const call = spans.getStore();
      // A call that began before the observation has no span of its own.
      if (call?.id !== id) return;
      call.span.setAttributes({ "cryptoki.rv": rv });
      if (rv !== "CKR_OK") call.span.setStatus({ code: ERROR, message: rv });
      call.span.end(time + duration);
    }),
    follow("cryptoki:apdu", ({ time, duration, reader, name, ins, sw, failed }) => {
      const call = spans.getStore();
      const options = {
        ...{ startTime: time, kind: CLIENT },
        attributes: {
          ...{ "cryptoki.reader": reader, "apdu.ins": ins },
          ...(sw !== undefined && { "apdu.sw": sw.toString(16) }),
        },
      };
      const parent = call ? trace.setSpan(context.active(), call.span as never) : context.active();
      const span = tracer.startSpan(name, options, parent);
      if (failed) span.setStatus({ code: ERROR });
      span.end(time + duration);
    }),
  ];
}

function measured(meter: TelemetryMeter): (() => void)[] {
  const duration = (name: string, description: string): ReturnType<TelemetryMeter["createHistogram"]> =>
    meter.createHistogram(name, { description, unit: "s" });
  const calls = duration("cryptoki.call.duration", "Calls of C_ functions");
  const apdus = duration("cryptoki.apdu.duration", "Exchanges with cards");
  const waits = duration("cryptoki.queue.wait", "Waits of callers for a card");
  const logins = meter.createCounter("cryptoki.logins", { description: "PINs that cards compared" });
  const changes = meter.createCounter("cryptoki.card.changes", { description: "Cards that came or went" });
  const errors = meter.createCounter("cryptoki.errors", { description: "Failures by layer and code" });
  return [
    follow("cryptoki:call", (event) => {
      calls.record(event.duration / 1000, { function: event.function, rv: event.rv });
    }),
    follow("cryptoki:apdu", (event) => {
      apdus.record(event.duration / 1000, { reader: event.reader, command: event.name });
    }),
    follow("cryptoki:queue", ({ reader, queued, transaction }) => {
      waits.record((queued + transaction) / 1000, { reader });
    }),
    follow("cryptoki:login", ({ user, outcome }) => {
      logins.add(1, { user, outcome });
    }),
    follow("cryptoki:card", ({ reader, change }) => {
      changes.add(1, { reader, change });
    }),
    follow("cryptoki:error", ({ layer, code }) => {
      errors.add(1, { layer, code });
    }),
  ];
}
