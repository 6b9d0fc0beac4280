import { expect, test } from "@jest/globals";
import { Condition, Deadline, SerialQueue } from "../../src/async/index.ts";

const never = new Promise<never>(() => undefined);

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

test("work runs in the order of the calls, one at a time", async () => {
  const queue = new SerialQueue();
  const gate = deferred();
  const order: string[] = [];
  const first = queue.run(async () => {
    order.push("first begins");
    await gate.promise;
    order.push("first ends");
  });
  const second = queue.run(() => {
    order.push("second");
  });
  const third = queue.run(() => order.push("third"));
  gate.resolve();
  await Promise.all([first, second, third]);
  expect(order).toEqual(["first begins", "first ends", "second", "third"]);
  expect(queue.busy).toBe(false);
});

test("a call that is made as the last one ends does not overtake one that waits", async () => {
  const queue = new SerialQueue();
  const gate = deferred();
  const order: string[] = [];
  const first = queue.run(() => gate.promise);
  const second = queue.run(() => order.push("second"));
  const late = first.then(() => queue.run(() => order.push("late")));
  gate.resolve();
  await Promise.all([second, late]);
  expect(order).toEqual(["second", "late"]);
});

test("a failure reaches its caller only", async () => {
  const queue = new SerialQueue();
  const broken = queue.run(() => {
    throw new Error("broken");
  });
  const next = queue.run(() => "fine");
  await expect(broken).rejects.toThrow("broken");
  await expect(next).resolves.toBe("fine");
});

test("an abort leaves the line at once, and the work behind it moves up", async () => {
  const queue = new SerialQueue((reason) => new Error(`given up: ${String(reason)}`));
  const gate = deferred();
  const first = queue.run(() => gate.promise);
  const controller = new AbortController();
  let ran = false;
  const left = queue.run(() => {
    ran = true;
  }, [undefined, controller.signal]);
  const third = queue.run(() => "third");
  controller.abort("enough");
  await expect(left).rejects.toThrow("given up: enough");
  gate.resolve();
  await first;
  await expect(third).resolves.toBe("third");
  expect(ran).toBe(false);
});

test("work whose signal is aborted already never runs", async () => {
  const queue = new SerialQueue();
  await expect(queue.run(() => "ran", AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
  expect(queue.busy).toBe(false);
});

test("work that has begun is not stopped by its signal", async () => {
  const queue = new SerialQueue();
  const controller = new AbortController();
  const gate = deferred();
  const begun = queue.run(async () => {
    await gate.promise;
    return "done";
  }, controller.signal);
  controller.abort();
  gate.resolve();
  await expect(begun).resolves.toBe("done");
});

test("a signal that outlives a wait keeps no listener", async () => {
  const queue = new SerialQueue();
  const signal = new AbortController().signal;
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>): void => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
    listeners--;
    remove(...args);
  };
  const gate = deferred();
  const calls = [queue.run(() => gate.promise, signal), queue.run(() => 1, signal), queue.run(() => 2, signal)];
  // One for all calls that wait with it.
  expect(listeners).toBe(1);
  gate.resolve();
  await Promise.all(calls);
  expect(listeners).toBe(0);
});

test("a condition wakes its callers in the order in which they came", async () => {
  const condition = new Condition();
  const order: number[] = [];
  const waits = [1, 2, 3].map(async (number) => {
    await condition.wait();
    order.push(number);
  });
  condition.notifyAll();
  await Promise.all(waits);
  expect(order).toEqual([1, 2, 3]);
});

test("a wait for a condition ends with its deadline, or with its signal", async () => {
  const condition = new Condition((reason) => new Error(`given up: ${String(reason)}`));
  await expect(condition.wait(new Deadline(1))).resolves.toBeUndefined();
  await expect(condition.wait(undefined, AbortSignal.abort("now"))).rejects.toThrow("given up: now");
  const controller = new AbortController();
  const wait = condition.wait(new Deadline(60_000), controller.signal);
  controller.abort("later");
  await expect(wait).rejects.toThrow("given up: later");
});

test("a deadline ends a wait with the error that its caller makes", async () => {
  await expect(new Deadline(1).race(never, () => new Error("too late"))).rejects.toThrow("too late");
  await expect(new Deadline(Infinity).race(Promise.resolve("in time"), () => new Error("late"))).resolves.toBe(
    "in time",
  );
  expect(new Deadline(0).passed).toBe(true);
  expect(new Deadline(60_000).passed).toBe(false);
});
