import { expect, test } from "@jest/globals";
import { memoizeAsync, MemoizedMap } from "../../src/async/index.ts";

test("a value is computed once, for all who ask meanwhile", async () => {
  let calls = 0;
  const value = memoizeAsync(() => Promise.resolve(++calls));
  await expect(Promise.all([value(), value()])).resolves.toEqual([1, 1]);
  await expect(value()).resolves.toBe(1);
});

test("a failure is not remembered", async () => {
  let calls = 0;
  const value = memoizeAsync(() => (++calls === 1 ? Promise.reject(new Error("accident")) : Promise.resolve(calls)));
  await expect(value()).rejects.toThrow("accident");
  await expect(value()).resolves.toBe(2);
});

test("an abort ends the wait of its caller only", async () => {
  let resolve: ((value: string) => void) | undefined;
  const value = memoizeAsync(() => new Promise<string>((done) => (resolve = done)));
  const controller = new AbortController();
  const impatient = value(controller.signal);
  const patient = value();
  controller.abort(new Error("enough"));
  await expect(impatient).rejects.toThrow("enough");
  resolve?.("computed");
  await expect(patient).resolves.toBe("computed");
});

test("a computation that fails late does not undo a value that was set meanwhile", async () => {
  let reject: ((error: Error) => void) | undefined;
  const value = memoizeAsync(() => new Promise<string>((_, fail) => (reject = fail)));
  const first = value();
  value.set("written");
  reject?.(new Error("read failed"));
  await expect(first).rejects.toThrow("read failed");
  await expect(value()).resolves.toBe("written");
});

test("what is cleared is computed again", async () => {
  let calls = 0;
  const value = memoizeAsync(() => Promise.resolve(++calls));
  await value();
  value.clear();
  await expect(value()).resolves.toBe(2);
});

test("a map remembers a value for each key", async () => {
  const read: string[] = [];
  const values = new MemoizedMap((key: string) => {
    read.push(key);
    return Promise.resolve(key.toUpperCase());
  });
  await expect(Promise.all([values.get("a"), values.get("b"), values.get("a")])).resolves.toEqual(["A", "B", "A"]);
  values.set("b", "written");
  await expect(values.get("b")).resolves.toBe("written");
  values.delete("a");
  await values.get("a");
  values.clear();
  await values.get("b");
  expect(read).toEqual(["a", "b", "a", "b"]);
});

test("a map knows whose value is there or on its way", async () => {
  let fail: ((error: Error) => void) | undefined;
  const values = new MemoizedMap((key: string) =>
    key === "fails" ? new Promise<string>((_, reject) => (fail = reject)) : Promise.resolve(key),
  );
  expect(values.has("a")).toBe(false);
  await values.get("a");
  expect(values.has("a")).toBe(true);
  values.delete("a");
  expect(values.has("a")).toBe(false);
  const failing = values.get("fails");
  expect(values.has("fails")).toBe(true);
  fail?.(new Error("accident"));
  await expect(failing).rejects.toThrow("accident");
  expect(values.has("fails")).toBe(false);
});
