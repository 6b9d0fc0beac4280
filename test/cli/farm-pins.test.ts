import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { fromUtf8 } from "../../src/bytes/index.ts";
import type { CardTokenInfo } from "../../src/card/index.ts";
import { AMBIGUOUS_PIN, type FarmPinOptions, farmPins } from "../../src/cli/input/farm-pins.ts";

let folder: string;
let pinFile: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "farm-pins-"));
  pinFile = path.join(folder, "pin");
  await writeFile(pinFile, "123456\n");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a token with this serial number gets. */
async function ask(options: FarmPinOptions, serials: readonly string[], tokens: number): Promise<unknown[]> {
  const pins = await farmPins(options, { PIN_OF_B: "222222" });
  const given: unknown[] = [];
  for (const serialNumber of serials) {
    const token = { serialNumber, label: "PIV", model: "PIV", manufacturer: "M" } as CardTokenInfo;
    const pin = await pins?.source({ token, reader: "R", tokens }).catch((error: unknown) => String(error));
    given.push(pin instanceof Uint8Array ? fromUtf8(pin) : pin);
  }
  return [...given, pins?.isAmbiguous()];
}

async function configuration(value: unknown): Promise<string> {
  const file = path.join(folder, "config.json");
  await writeFile(file, JSON.stringify(value));
  return file;
}

describe("the PINs of a worker", () => {
  test("one PIN goes to one token, also when that comes again, and to no other", async () => {
    expect(await ask({ pinFile }, ["a", "b", "a"], 1)).toEqual(["123456", undefined, "123456", false]);
  });

  test("one PIN is given to none of several tokens", async () => {
    const refusal = `UsageError: ${AMBIGUOUS_PIN}`;
    expect(await ask({ pinFile }, ["a", "b"], 2)).toEqual([refusal, refusal, true]);
  });

  test("with --token it goes to that token among several", async () => {
    expect(await ask({ pinFile, token: "pkcs11:serial=b" }, ["a", "b"], 2)).toEqual([undefined, "123456", false]);
  });

  test("a configuration gives each token its own", async () => {
    const config = await configuration({
      tokens: [
        { token: "pkcs11:serial=a", pin: { file: pinFile } },
        { token: "pkcs11:serial=b", pin: { environment: "PIN_OF_B" } },
      ],
    });
    expect(await ask({ config }, ["a", "b", "c"], 3)).toEqual(["123456", "222222", undefined, false]);
  });

  test.each([
    ["a variable that is not set", { tokens: [{ token: "pkcs11:", pin: { environment: "NONE" } }] }, "NONE is not set"],
    ["a file that is not there", { tokens: [{ token: "pkcs11:", pin: { file: "/none/pin" } }] }, "cannot be read"],
  ])("%s is named", async (_, value, message) => {
    const [said] = await ask({ config: await configuration(value) }, ["a"], 1);
    expect(said).toContain(message);
  });

  test("options that do not fit are refused", async () => {
    await expect(farmPins({ token: "pkcs11:" }, {})).rejects.toThrow("--token says whose PIN --pin-file has");
    await expect(farmPins({ pinFile, config: "x" }, {})).rejects.toThrow("not both");
    const config = await configuration({ audit: "file" });
    await expect(farmPins({ config }, {})).rejects.toThrow('a worker reads "tokens" only, not "audit"');
    expect(await farmPins({}, {})).toBeUndefined();
  });
});
