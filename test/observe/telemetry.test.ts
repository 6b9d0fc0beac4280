import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { context, metrics, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { CKU } from "../../src/cryptoki/index.ts";
import { observe } from "../../src/observe/index.ts";
import { PIN, rig } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";

const manager = new AsyncLocalStorageContextManager();
beforeAll(() => {
  context.setGlobalContextManager(manager.enable());
});
afterAll(() => {
  context.disable();
  metrics.disable();
});

describe("the bridge to OpenTelemetry", () => {
  test("makes a span of each call, below the active one, with a child for each APDU", async () => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    const tracer = provider.getTracer("test");
    await using cards = await rig(await testCard());
    const session = await cards.session();
    {
      using bridge = await observe({ tracer });
      expect(bridge).toBeDefined();
      const request = tracer.startSpan("a request");
      await context.with(trace.setSpan(context.active(), request), () =>
        Promise.all([cards.cryptoki.C_Login(session, CKU.USER, PIN), cards.cryptoki.C_GetInfo()]),
      );
      await cards.cryptoki.C_GetObjectSize(session, 999).catch(() => undefined);
      request.end();
    }
    await cards.cryptoki.C_GetInfo();
    const spans = exporter.getFinishedSpans();
    const named = (name: string): (typeof spans)[number] | undefined => spans.find((span) => span.name === name);
    const [request, login] = [named("a request"), named("C_Login")];
    expect(login?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(login?.attributes).toEqual({ "cryptoki.session": session, "cryptoki.rv": "CKR_OK" });
    const verify = spans.filter(({ name }) => name === "VERIFY");
    expect(verify.length).toBeGreaterThan(0);
    for (const one of verify) expect(one.parentSpanContext?.spanId).toBe(login?.spanContext().spanId);
    expect(spans.filter(({ name }) => name === "C_GetInfo")).toHaveLength(1);
    expect(named("C_GetObjectSize")?.status).toEqual({ code: 2, message: "CKR_OBJECT_HANDLE_INVALID" });
    expect(JSON.stringify(spans.map(({ name, attributes, status }) => ({ name, attributes, status })))).not.toContain(
      PIN,
    );
  });

  test("counts calls, exchanges, waits, logins and errors", async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({ readers: [reader] });
    await using cards = await rig(await testCard());
    const session = await cards.session();
    {
      using bridge = await observe({ meter: provider.getMeter("test") });
      expect(bridge).toBeDefined();
      await cards.cryptoki.C_Login(session, CKU.USER, "999999").catch(() => undefined);
      await cards.cryptoki.C_Login(session, CKU.USER, PIN);
    }
    await provider.forceFlush();
    const found = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: all }) => all));
    expect(found.map(({ descriptor }) => descriptor.name).sort()).toEqual([
      "cryptoki.apdu.duration",
      "cryptoki.call.duration",
      "cryptoki.errors",
      "cryptoki.logins",
      "cryptoki.queue.wait",
    ]);
    const logins = found.find(({ descriptor }) => descriptor.name === "cryptoki.logins");
    expect(logins?.dataPoints.map(({ attributes, value }) => [attributes["outcome"], value])).toEqual([
      ["incorrect", 1],
      ["accepted", 1],
    ]);
    await provider.shutdown();
  });
});
