import type { Registry } from "prom-client";
import { type ChannelName, type ChannelPayloads, follow } from "../observe/index.ts";

/** Upper bounds in seconds: host work takes milliseconds, a signature of a card up to seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The metrics of this process, in a registry of their own. Disposing of them ends their subscriptions. */
export interface Metrics extends Disposable {
  readonly registry: Registry;
  /** Enters a request of HTTP. @param route Its pattern, never its address. */
  request(method: string, route: string, status: number, seconds: number): void;
}

/** @returns Undefined if the package prom-client is not installed. */
export async function createMetrics(): Promise<Metrics | undefined> {
  const prometheus = await import("prom-client").catch(() => undefined);
  if (!prometheus) return undefined;
  const { Counter, Gauge, Histogram, Registry: Registers } = prometheus.default;
  const registry = new Registers();
  const registers = [registry];
  const seconds = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Histogram({ name, help, labelNames, buckets: BUCKETS, registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const calls = seconds("cryptoki_call_duration_seconds", "Calls of C_ functions.", ["function", "rv"]);
  const apdus = seconds("cryptoki_apdu_duration_seconds", "Exchanges with cards.", ["reader", "command"]);
  const waits = seconds("cryptoki_queue_wait_seconds", "Waits of callers for a card.", ["reader"]);
  const logins = counter("cryptoki_logins_total", "PINs, by the card's verdict.", ["user", "outcome"]);
  const changes = counter("cryptoki_card_changes_total", "Cards that came or went.", ["reader", "change"]);
  const errors = counter("cryptoki_errors_total", "Failures by layer and code.", ["layer", "code"]);
  const tries = new Gauge({
    ...{ name: "cryptoki_pin_tries_left", help: "Tries left after the last PIN that a card refused." },
    ...{ labelNames: ["slot", "user"], registers },
  });
  const requests = seconds("cryptoki_http_request_duration_seconds", "Requests of HTTP.", [
    ...(["method", "route", "status"] as const),
  ]);
  const ends: (() => void)[] = [];
  const on = <Name extends ChannelName>(name: Name, listener: (event: ChannelPayloads[Name]) => void): void => {
    ends.push(follow(name, listener));
  };
  on("cryptoki:call", (event) => {
    calls.observe({ function: event.function, rv: event.rv }, event.duration / 1000);
  });
  on("cryptoki:apdu", (event) => {
    apdus.observe({ reader: event.reader, command: event.name }, event.duration / 1000);
  });
  on("cryptoki:queue", ({ reader, queued, transaction }) => {
    waits.observe({ reader }, (queued + transaction) / 1000);
  });
  on("cryptoki:login", ({ slot, user, outcome, triesLeft }) => {
    logins.inc({ user, outcome });
    if (triesLeft !== undefined) tries.set({ slot, user }, triesLeft);
    // The card sets its counter back, to a number that it does not say.
    else if (outcome === "accepted") tries.remove({ slot, user });
  });
  on("cryptoki:card", ({ reader, change }) => {
    changes.inc({ reader, change });
  });
  on("cryptoki:error", ({ layer, code }) => {
    errors.inc({ layer, code });
  });
  return {
    registry,
    request: (method, route, status, duration) => {
      requests.observe({ method, route, status }, duration);
    },
    [Symbol.dispose]: () => {
      for (const end of ends.splice(0)) end();
    },
  };
}
