import { createPublicKey, diffieHellman, publicEncrypt, constants, verify, createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { concat, fromHex, utf8 } from "../../../src/bytes/index.ts";
import { digestInfo } from "../../../src/crypto/index.ts";
import type { ResponseApdu } from "../../../src/apdu/index.ts";
import type { VirtualPkcs15Card } from "../../../src/virtual/index.ts";
import { exchange, send } from "../exchange.ts";
import { testKey, testPkcs15Card } from "../keys.ts";
import { turns } from "../../until.ts";

const PIN = "0020000108313233343536FFFF";
const SIGNATURE_PIN = "0020000208363534333231FFFF";
const HASH = createHash("sha256").update("message").digest();

let card: VirtualPkcs15Card;
beforeEach(async () => {
  card = await testPkcs15Card();
  await say("00A4080C025015");
});
const say = (command: string): Promise<string> => exchange(card, command);
const operation = (p1: number, p2: number, data: Uint8Array): ReturnType<typeof send> =>
  send(card, { cla: 0, ins: 0x2a, p1, p2, data, ne: 256 });

describe("PSO: COMPUTE DIGITAL SIGNATURE", () => {
  test("pads a DigestInfo for RSA-3072, whose answer comes in parts", async () => {
    await say(SIGNATURE_PIN);
    expect(await say("002241B60A80010281024B03840100")).toBe("9000");
    const { data } = await operation(0x9e, 0x9a, digestInfo("sha256", HASH));
    expect(verify("sha256", utf8("message"), createPublicKey(testKey("rsa-3072", "signature")), data)).toBe(true);
  });

  test("wants the PIN of the key, and no other", async () => {
    await say(PIN);
    await say("002241B60A80010281024B03840100");
    expect((await operation(0x9e, 0x9a, HASH)).sw).toBe(0x6982);
  });

  test("a key with user consent is used once for each VERIFY", async () => {
    await say("002241B60A80010481024B04840100");
    await say(SIGNATURE_PIN);
    const { data } = await operation(0x9e, 0x9a, HASH);
    expect(verify("sha256", utf8("message"), createPublicKey(testKey("p-384", "signature")), data)).toBe(true);
    expect((await operation(0x9e, 0x9a, HASH)).sw).toBe(0x6982);
    await say(SIGNATURE_PIN);
    expect((await operation(0x9e, 0x9a, HASH)).sw).toBe(0x9000);
  });

  test("needs an environment, of a key that is there", async () => {
    await say(PIN);
    expect((await operation(0x9e, 0x9a, HASH)).sw).toBe(0x6985);
    expect(await say("002241B60A80010281024BFF840100")).toBe("6A88");
    await say("002241B60A80010281024B01840100");
    expect(await say("0022F301")).toBe("9000");
    expect((await operation(0x9e, 0x9a, HASH)).sw).toBe(0x6985);
  });
});

describe("PSO: DECIPHER", () => {
  const key = createPublicKey(testKey("rsa-2048", "authentication"));
  const cryptogram = (): Uint8Array => publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, HASH);
  beforeEach(async () => {
    await say(PIN);
    await say("002241B80A80010281024B01840100");
  });

  test("takes the padding off, of a cryptogram in one command or in halves", async () => {
    const whole = await operation(0x80, 0x86, concat(fromHex("00"), cryptogram()));
    expect(Buffer.from(whole.data)).toEqual(HASH);
    const bytes = cryptogram();
    await operation(0x80, 0x86, concat(fromHex("81"), bytes.subarray(0, 128)));
    const { data } = await operation(0x80, 0x86, concat(fromHex("82"), bytes.subarray(128)));
    expect(Buffer.from(data)).toEqual(HASH);
  });

  test("a second half without a first is refused", async () => {
    expect((await operation(0x80, 0x86, concat(fromHex("82"), new Uint8Array(128)))).sw).toBe(0x6985);
  });
});

test("GENERAL AUTHENTICATE gives the x coordinate of the shared point", async () => {
  const other = testKey("p-256", "other");
  const own = testKey("p-256", "authentication");
  const point = createPublicKey(other).export({ format: "der", type: "spki" }).subarray(-65);
  await say(PIN);
  const data = concat(fromHex("7C438541"), point);
  const derive = (): Promise<ResponseApdu> => send(card, { cla: 0, ins: 0x86, p1: 0, p2: 0, data, ne: 256 });
  await say("002241A40A80010481024B02840100");
  // The environment names the key, and its file must be current all the same.
  expect((await derive()).sw).toBe(0x6985);
  await say("00A4080C0450154B02");
  await say("002241A40A80010481024B02840100");
  const answer = await derive();
  expect(Buffer.from(answer.data)).toEqual(diffieHellman({ privateKey: other, publicKey: createPublicKey(own) }));
});

test("a key is made in a key file by whom its rules allow", async () => {
  await say(PIN);
  expect(await say("00E000001262108102010082012283024B10860311F1FF")).toBe("9000");
  expect(await say("0046000000")).toMatch(/^7F4943864104.*9000$/u);
  expect(await say("00CA018600")).toMatch(/^304104.{128}9000$/u);
  await say("00A4000C024B01");
  expect(await say("0046000000")).toBe("6982");
});

test("a card that is torn out answers no more, until it is back", async () => {
  card.tearAfter(1);
  expect(await say("0084000008")).toMatch(/9000$/u);
  const answered = await Promise.race([say("0084000008"), turns(100).then(() => "nothing")]);
  expect(answered).toBe("nothing");
  card.reset();
  expect(await say("0084000008")).toMatch(/9000$/u);
});
