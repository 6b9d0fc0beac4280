import { getEventListeners } from "node:events";
import { expect, test } from "@jest/globals";
import { onAbort, pause, throwIfAborted, untilAborted } from "../../src/async/index.ts";

const never = new Promise<never>(() => undefined);

test("without a signal the promise itself is waited for", async () => {
  const promise = Promise.resolve("value");
  expect(untilAborted(promise, undefined)).toBe(promise);
  await expect(untilAborted(promise, [undefined])).resolves.toBe("value");
});

test("the first signal that aborts ends the wait, with its reason or what is made of it", async () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const wait = untilAborted(never, [first.signal, second.signal], (reason) => new Error(`given up: ${String(reason)}`));
  second.abort("second");
  first.abort("first");
  await expect(wait).rejects.toThrow("given up: second");
  await expect(untilAborted(never, AbortSignal.abort("plain"))).rejects.toBe("plain");
});

test("a failure after the abort is not an unhandled rejection", async () => {
  const late = Promise.reject(new Error("late"));
  await expect(untilAborted(late, AbortSignal.abort("first"))).rejects.toBe("first");
});

test("an aborted signal is refused before anything is begun", () => {
  expect(() => {
    throwIfAborted([undefined, AbortSignal.abort("before")], (reason) => new Error(`refused: ${String(reason)}`));
  }).toThrow("refused: before");
  expect(() => {
    throwIfAborted(undefined);
  }).not.toThrow();
});

test("a listener that was stopped hears nothing", () => {
  const controller = new AbortController();
  const heard: unknown[] = [];
  const stop = onAbort(controller.signal, (reason) => heard.push(reason));
  stop();
  controller.abort("unheard");
  onAbort(controller.signal, (reason) => heard.push(reason));
  expect(heard).toEqual(["unheard"]);
});

test("any number of waits with one signal are one listener, and none is left when they are over", async () => {
  const controller = new AbortController();
  const waits = Array.from({ length: 50 }, () => untilAborted(never, controller.signal));
  expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
  await untilAborted(Promise.resolve(), controller.signal);
  expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
  controller.abort("all");
  expect(await Promise.all(waits.map((wait) => wait.catch((reason: unknown) => reason)))).toEqual(
    Array.from({ length: 50 }, () => "all"),
  );
  expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
});

test("a listener that another one stops hears nothing of the same abort", () => {
  const controller = new AbortController();
  const heard: unknown[] = [];
  onAbort(controller.signal, (reason) => {
    heard.push(reason);
    stop();
  });
  const stop = onAbort(controller.signal, () => heard.push("stopped"));
  controller.abort("first");
  expect(heard).toEqual(["first"]);
});

test("a pause ends early with its signal", async () => {
  await expect(pause(1)).resolves.toBeUndefined();
  const controller = new AbortController();
  const paused = pause(60_000, controller.signal);
  controller.abort("enough");
  await expect(paused).rejects.toBe("enough");
});
