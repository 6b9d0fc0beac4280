import { describe, expect, test } from "@jest/globals";
import { openNative, openSystemPcsc, type PcscError, Pcscd } from "../../src/pcsc/index.ts";
import { abiOf } from "../../src/pcsc/native/abi.ts";
import { Winscard } from "../../src/pcsc/native/winscard.ts";

type Done = (error: unknown, result: number) => void;

/** A koffi whose library has functions that answer as `results` says; 0 for the others. */
class FakeKoffi {
  readonly calls: { readonly name: string; readonly args: readonly unknown[] }[] = [];
  readonly declared = new Map<string, readonly string[]>();
  readonly results = new Map<string, number>();

  load(): {
    func: (name: string, result: string, parameters: readonly string[]) => { async: (...args: unknown[]) => void };
  } {
    return {
      func: (name, result, parameters) => {
        this.declared.set(name, [result, ...parameters]);
        const call = (...args: unknown[]): void => {
          this.calls.push({ name, args: args.slice(0, -1) });
          (args.at(-1) as Done)(null, this.results.get(name) ?? 0);
        };
        return { async: call };
      },
    };
  }

  address(): bigint {
    return 0n;
  }
}

describe("the way to the readers", () => {
  test.each(["linux", "freebsd", "openbsd"])("on %s it is pcscd's socket", async (platform) => {
    const { pcsc, transport } = await openSystemPcsc({}, platform);
    expect([transport, pcsc instanceof Pcscd]).toEqual(["pcscd", true]);
    await pcsc.close();
  });

  test.each(["win32", "darwin"])(
    "on %s it is koffi, which is asked for with the line that installs it",
    async (platform) => {
      await expect(openSystemPcsc({}, platform)).rejects.toMatchObject({ codeName: "SCARD_E_NO_SERVICE" });
      await expect(openSystemPcsc({}, platform)).rejects.toThrow("npm install koffi");
    },
  );

  test("the one that is named is taken on every system", async () => {
    await expect(openSystemPcsc({ transport: "addon" }, "darwin")).rejects.toThrow("npm install pcsclite");
    await expect(openSystemPcsc({ transport: "native" }, "linux")).rejects.toThrow("npm install koffi");
    const { pcsc, transport } = await openSystemPcsc({ transport: "pcscd" }, "win32");
    expect([transport, pcsc instanceof Pcscd]).toEqual(["pcscd", true]);
    await pcsc.close();
  });

  test("another module than koffi is refused", async () => {
    await expect(openNative({ other: "module" })).rejects.toThrow("not the npm package koffi");
  });
});

describe("the functions of the library", () => {
  test("are declared with each system's types", () => {
    const declared = (platform: string, name: string): readonly string[] | undefined => {
      const koffi = new FakeKoffi();
      new Winscard(koffi, abiOf(platform, 8));
      return koffi.declared.get(name);
    };
    const connect = (word: string, handle: string): string[] => [handle, "void *", word, word, "void *", "void *"];
    expect(declared("linux", "SCardConnect")).toEqual(["long", ...connect("ulong", "long")]);
    expect(declared("darwin", "SCardConnect")).toEqual(["int32", ...connect("uint32", "int32")]);
    expect(declared("win32", "SCardConnectW")).toEqual(["int32", ...connect("uint32", "uintptr")]);
    expect(declared("win32", "SCardConnect")).toBeUndefined();
    expect(declared("darwin", "SCardControl132")).toHaveLength(8);
  });

  test.each([
    [0x8010_000c, "SCARD_E_NO_SMARTCARD"],
    [-0x7fef_fff4, "SCARD_E_NO_SMARTCARD"],
    [0x8010_001f, "SCARD_E_UNSUPPORTED_FEATURE"],
    [0x8010_0022, "SCARD_E_UNSUPPORTED_FEATURE"],
    [6, "SCARD_E_INVALID_HANDLE"],
    [31, "SCARD_F_COMM_ERROR"],
    [0x6f7, "0x6f7"],
  ])("give the error 0x%s its name: %s", async (code, name) => {
    const koffi = new FakeKoffi();
    koffi.results.set("SCardBeginTransaction", code);
    const winscard = new Winscard(koffi, abiOf("win32", 8));
    const error: unknown = await winscard.begin(1).catch((reason: unknown) => reason);
    expect((error as PcscError).codeName).toBe(name);
  });

  test("get the protocol RAW in the numbers of the system", async () => {
    const koffi = new FakeKoffi();
    await new Winscard(koffi, abiOf("win32", 8)).connect(1, "Reader", 2, 1 + 4);
    expect(koffi.calls[0]?.args.slice(2, 4)).toEqual([2, 0x1_0001]);
    const lite = new FakeKoffi();
    await new Winscard(lite, abiOf("linux", 8)).connect(1, "Reader", 2, 1 + 4);
    expect(lite.calls[0]?.args.slice(2, 4)).toEqual([2, 5]);
  });

  test("are told not to block when the first context is made, and programs started later are not", async () => {
    const seen: (string | undefined)[] = [];
    class Watched extends FakeKoffi {
      override address = (): bigint => 0n;
      override load(): ReturnType<FakeKoffi["load"]> {
        const { func } = super.load();
        return {
          func: (name, result, parameters) => {
            const { async: call } = func(name, result, parameters);
            const noted = (...args: unknown[]): void => {
              if (name === "SCardEstablishContext") seen.push(process.env["PCSCLITE_NO_BLOCKING"]);
              call(...args);
            };
            return { async: noted };
          },
        };
      }
    }
    await new Winscard(new Watched(), abiOf("linux", 8)).establish();
    expect(seen).toEqual(["1", undefined]);
  });
});
