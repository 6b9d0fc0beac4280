import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, fromHex, utf8 } from "../../../src/bytes/index.ts";
import type { VirtualPkcs15Card } from "../../../src/virtual/index.ts";
import { exchange, send } from "../exchange.ts";
import { testKey, testPkcs15Card } from "../keys.ts";
import { shareOf } from "../../seeded-random.ts";

const PIN = "0020000108313233343536FFFF";
/** A key file that PIN 1 guards, with a PIN for each use where the proprietary bytes say so. */
const createKey = (type: string, bits: string, proprietary = "0000"): string =>
  `00E00000 16 6214 8102${bits} 8201${type} 83024C01 86031111FF 8502${proprietary}`.replaceAll(" ", "");
const RSA_FILE = createKey("11", "0800");
const EC_FILE = createKey("22", "0100");

let card: VirtualPkcs15Card;
beforeEach(async () => {
  card = await testPkcs15Card();
  await say("00A4080C025015");
  await say(PIN);
});
const say = (command: string): Promise<string> => exchange(card, command);
const put = async (p2: number, data: Uint8Array): Promise<number> =>
  (await send(card, { cla: 0, ins: 0xda, p1: 0x01, p2, data })).sw;

/** P2 and data of each part, as OpenSC sends them: numbers with a sign before them, a modulus of 256 bytes in halves. */
function parts(key: KeyObject): (readonly [number, Uint8Array])[] {
  const jwk = key.export({ format: "jwk" });
  const field = (name: "n" | "e" | "d" | "p" | "q" | "dp" | "dq" | "qi" | "x" | "y"): Uint8Array =>
    fromHex(Buffer.from(jwk[name] ?? "", "base64url").toString("hex"));
  if (jwk.kty === "EC") {
    return [
      [0x87, field("d")],
      [0x86, concat(Uint8Array.of(0x04), field("x"), field("y"))],
    ];
  }
  const numbers = (["p", "q", "dp", "dq", "qi"] as const).map(
    (name, index) => [0x83 + index, concat(Uint8Array.of(0), field(name))] as const,
  );
  const modulus = field("n");
  return [...numbers, [0x88, modulus.subarray(0, 128)], [0x89, modulus.subarray(128)], [0x81, field("e")]];
}

async function signature(algorithm: string): Promise<{ readonly data: Uint8Array; readonly sw: number }> {
  await say(`002241B60A8001${algorithm}81024C01840100`);
  const data = algorithm === "02" ? fromHex(`3031300d060960864801650304020105000420${HASH.toString("hex")}`) : HASH;
  return send(card, { cla: 0, ins: 0x2a, p1: 0x9e, p2: 0x9a, data, ne: 256 });
}
const MESSAGE = utf8("message");
const HASH = Buffer.from(await crypto.subtle.digest("SHA-256", MESSAGE));

describe.each([
  ["RSA", testKey("rsa-2048", "brought"), RSA_FILE, "02"],
  ["EC", testKey("p-256", "brought"), EC_FILE, "04"],
] as const)("PUT DATA of an %s key", (_, key, file, algorithm) => {
  test("puts it into the current file, whatever the order of its parts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(parts(key), { minLength: parts(key).length }), async (shuffled) => {
        expect(await say(file)).toBe("9000");
        for (const [p2, data] of shuffled) expect(await put(p2, data)).toBe(0x9000);
        const { data } = await signature(algorithm);
        expect(verify("sha256", MESSAGE, createPublicKey(key), data)).toBe(true);
        await say("00A4000C024C01");
        // As OpenSC sends it.
        expect(await say("A0E40000")).toBe("9000");
      }),
      { numRuns: shareOf(5) },
    );
  });

  test("is no key before its last part is there, and none after a reset in between", async () => {
    await say(file);
    const [first, ...others] = parts(key);
    if (!first) throw new Error("no parts");
    await put(...first);
    expect((await signature(algorithm)).sw).toBe(0x6984);
    card.reset();
    await say("00A4080C0450154C01");
    await say(PIN);
    for (const part of others) expect(await put(...part)).toBe(0x9000);
    expect((await signature(algorithm)).sw).toBe(0x6984);
  });

  test("refuses whom the file's rules do not allow, and parts that are none", async () => {
    await say(file);
    const [[p2, data] = [0, new Uint8Array()]] = parts(key);
    expect(await put(0xa0, data)).toBe(0x6a86);
    expect(await put(p2, new Uint8Array(200).fill(1))).toBe(0x6700);
    expect((await send(card, { cla: 0, ins: 0xda, p1: 0x02, p2, data })).sw).toBe(0x6a86);
    await say("002E0001");
    expect(await put(p2, data)).toBe(0x6982);
  });
});

test("an RSA key whose parts do not belong together is refused", async () => {
  await say(RSA_FILE);
  const others = parts(testKey("rsa-2048", "another"));
  const mixed = parts(testKey("rsa-2048", "brought")).map((part, index) =>
    index === 3 ? (others[index] ?? part) : part,
  );
  const answers: number[] = [];
  for (const part of mixed) answers.push(await put(...part));
  expect(answers.at(-1)).toBe(0x6a80);
});

test("no file, and a file that holds no key, take none", async () => {
  expect(await put(0x81, fromHex("010001"))).toBe(0x6986);
  await say("00A4000C024402");
  expect(await put(0x81, fromHex("010001"))).toBe(0x6981);
});

test("a key made with a PIN in its proprietary bytes wants it for each use", async () => {
  await say(createKey("22", "0100", "1000"));
  await say("00460000");
  expect((await signature("04")).sw).toBe(0x9000);
  expect((await signature("04")).sw).toBe(0x6982);
});

test("only DELETE FILE has a class byte of its own", async () => {
  expect(await say("A0B0000001")).toBe("6E00");
});
