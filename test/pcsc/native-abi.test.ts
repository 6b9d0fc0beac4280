import { describe, expect, test } from "@jest/globals";
import { type Abi, abiOf, decodeTexts, encodeText, ReaderStates } from "../../src/pcsc/native/abi.ts";
import { ThreadBudget } from "../../src/pcsc/native/threads.ts";

/**
 * Offsets and sizes. Linux, 64 bits: as cc has them with pcsc-lite's headers. The others follow from their headers: PCSC.framework packs its
 * structures, winscard.h aligns them and has 36 bytes for the answer to reset.
 */
const LAYOUTS = [
  {
    system: "Linux, 64 bits",
    platform: "linux",
    pointerSize: 8,
    size: 80,
    current: 16,
    event: 24,
    length: 32,
    atr: 40,
    io: 16,
  },
  {
    system: "Linux, 32 bits",
    platform: "linux",
    pointerSize: 4,
    size: 56,
    current: 8,
    event: 12,
    length: 16,
    atr: 20,
    io: 8,
  },
  { system: "macOS", platform: "darwin", pointerSize: 8, size: 61, current: 16, event: 20, length: 24, atr: 28, io: 8 },
  {
    system: "Windows, 64 bits",
    platform: "win32",
    pointerSize: 8,
    size: 64,
    current: 16,
    event: 20,
    length: 24,
    atr: 28,
    io: 8,
  },
  {
    system: "Windows, 32 bits",
    platform: "win32",
    pointerSize: 4,
    size: 56,
    current: 8,
    event: 12,
    length: 16,
    atr: 20,
    io: 8,
  },
] as const;

const ATR = Uint8Array.of(0x3b, 0x80, 0x01, 0x81);

describe.each(LAYOUTS)("on $system", ({ platform, pointerSize, ...layout }) => {
  const abi = abiOf(platform, pointerSize);

  test("the structures have the sizes and offsets of the headers", () => {
    expect(abi.readerState).toEqual({
      size: layout.size,
      name: 0,
      currentState: layout.current,
      eventState: layout.event,
      atrLength: layout.length,
      atr: layout.atr,
      pointerSize,
    });
    expect(abi.ioRequestSize).toBe(layout.io);
  });

  test("two states lie one behind the other, each with its name, what is expected, and what was found", () => {
    const names = ["One", "Two"].map((name) => encodeText(abi, name));
    const addresses = [0x1234_5678n, 0x8765_4321n];
    const states = new ReaderStates(abi, names, (text) => addresses[names.indexOf(text)] ?? 0n);
    states.expect(1, 0x0003_0022);
    expect(states.memory).toHaveLength(2 * layout.size);
    const view = new DataView(states.memory.buffer);
    expect([0, layout.size].map((at) => view.getUint32(at, true))).toEqual(addresses.map(Number));
    expect(view.getUint32(layout.size + layout.current, true)).toBe(0x0003_0022);
    view.setUint32(layout.size + layout.event, 0x8004_0122, true);
    view.setUint32(layout.size + layout.length, ATR.length, true);
    states.memory.set(ATR, layout.size + layout.atr);
    expect(states.found(1)).toEqual({ flags: 0x8004_0122, atr: ATR });
    expect(states.found(0)).toEqual({ flags: 0, atr: new Uint8Array() });
  });

  test("a length of the answer to reset that is too great does not reach beyond it", () => {
    const states = new ReaderStates(abi, [encodeText(abi, "One")], () => 0n);
    new DataView(states.memory.buffer).setUint32(layout.length, 0xffff_ffff, true);
    expect(states.found(0).atr).toHaveLength(33);
  });
});

describe("numbers and names", () => {
  const types = ({ word, wordSize, result, handle, handleSize, wide, raw }: Abi): unknown[] => [
    word,
    wordSize,
    result,
    handle,
    handleSize,
    wide,
    raw,
  ];

  test("are as wide as each system's headers say", () => {
    expect(types(abiOf("linux", 8))).toEqual(["ulong", 8, "long", "long", 8, false, 4]);
    expect(types(abiOf("freebsd", 8))).toEqual(["ulong", 8, "long", "long", 8, false, 4]);
    expect(types(abiOf("darwin", 8))).toEqual(["uint32", 4, "int32", "int32", 4, false, 4]);
    expect(types(abiOf("win32", 8))).toEqual(["uint32", 4, "int32", "uintptr", 8, true, 0x1_0000]);
    expect(types(abiOf("win32", 4))).toEqual(["uint32", 4, "int32", "uintptr", 4, true, 0x1_0000]);
  });

  test("Windows has functions for UTF-16, and macOS another SCardControl", () => {
    expect(abiOf("win32", 8).names).toEqual({
      SCardConnect: "SCardConnectW",
      SCardGetStatusChange: "SCardGetStatusChangeW",
      SCardListReaders: "SCardListReadersW",
      SCardStatus: "SCardStatusW",
    });
    expect(abiOf("darwin", 8).names).toEqual({ SCardControl: "SCardControl132" });
    expect(abiOf("linux", 8).names).toEqual({});
  });

  test("control codes of pcsc-lite become those of Windows; others stay", () => {
    const { controlCode } = abiOf("win32", 8);
    expect(controlCode(0x4200_0d48)).toBe(0x0031_3520);
    expect(controlCode(0x0031_2000)).toBe(0x0031_2000);
    expect(abiOf("linux", 8).controlCode(0x4200_0d48)).toBe(0x4200_0d48);
  });

  test.each([
    { platform: "linux", bytes: [...Buffer.from("Leser Ü\0")] },
    { platform: "win32", bytes: [...Buffer.from("Leser Ü\0", "utf16le")] },
  ])("a name on $platform ends with a zero, and a list with two", ({ platform, bytes }) => {
    const abi = abiOf(platform, 8);
    expect([...encodeText(abi, "Leser Ü")]).toEqual(bytes);
    const list = Uint8Array.of(...bytes, ...encodeText(abi, "B"), ...encodeText(abi, ""), ...encodeText(abi, "old"));
    expect(decodeTexts(abi, list)).toEqual(["Leser Ü", "B"]);
    expect(decodeTexts(abi, encodeText(abi, ""))).toEqual([]);
  });
});

describe("the threads", () => {
  test("are two less than the pool has, at least one; a call waits for changes only where one stays free", () => {
    const limits = [1, 2, 3, 4, 8].map((size) => {
      const threads = new ThreadBudget(size);
      const release: (() => void)[] = [];
      for (let each = 0; each < 10; each++) {
        void threads.run(() => new Promise<void>((resolve) => release.push(resolve)));
      }
      return [threads.running, threads.mayWait];
    });
    expect(limits).toEqual([
      [1, false],
      [1, false],
      [1, true],
      [2, true],
      [6, true],
    ]);
  });

  test("calls beyond the number run in their order, also after one that failed", async () => {
    const threads = new ThreadBudget(3);
    const order: number[] = [];
    const calls = [1, 2, 3].map((each) =>
      threads.run(() => {
        order.push(each);
        return each === 1 ? Promise.reject(new Error("failed")) : Promise.resolve();
      }),
    );
    await expect(calls[0]).rejects.toThrow("failed");
    await Promise.all(calls.slice(1));
    expect([order, threads.running]).toEqual([[1, 2, 3], 0]);
  });
});
