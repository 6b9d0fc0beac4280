import { createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { encodeTlv, findTlv, readTlvs, type ResponseApdu } from "../../../src/apdu/index.ts";
import { concat, fromHex } from "../../../src/bytes/index.ts";
import type { VirtualPivCard } from "../../../src/virtual/index.ts";
import { exchange, send } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";
import { authenticate } from "./administrator.ts";

const VERIFY = "0020008008313233343536FFFF";

function generate(card: VirtualPivCard, slot: number, template: string): Promise<ResponseApdu> {
  return send(card, { cla: 0, ins: 0x47, p1: 0, p2: slot, data: fromHex(template), ne: 256 });
}

function put(card: VirtualPivCard, data: Uint8Array): Promise<ResponseApdu> {
  return send(card, { cla: 0, ins: 0xdb, p1: 0x3f, p2: 0xff, data });
}

function get(card: VirtualPivCard, tag: string): Promise<ResponseApdu> {
  const list = encodeTlv(0x5c, fromHex(tag));
  return send(card, { cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data: list, ne: 256 });
}

describe("GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2 section 3.3.2)", () => {
  test("makes an EC key, which signs from then on", async () => {
    const card = await testCard();
    await authenticate(card);
    const { data, sw } = await generate(card, 0x9e, "AC03800111");
    expect(sw).toBe(0x9000);
    const point = findTlv(readTlvs(findTlv(readTlvs(data), 0x7f49) ?? new Uint8Array()), 0x86) ?? new Uint8Array();
    expect(point).toHaveLength(65);
    const answer = await exchange(card, `0087119E267C2482008120${"00".repeat(31)}0100`);
    expect(answer).toMatch(/9000$/u);
    const spki = concat(fromHex("3059301306072A8648CE3D020106082A8648CE3D030107034200"), point);
    const publicKey = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    expect(publicKey.equals(createPublicKey(testKey("p-256", "9e")))).toBe(false);
  });

  test("makes an RSA key, whose public half comes in two parts", async () => {
    const card = await testCard();
    await authenticate(card);
    const { data } = await generate(card, 0x9a, "AC03800107");
    const fields = readTlvs(findTlv(readTlvs(data), 0x7f49) ?? new Uint8Array());
    expect(fields.map(({ tag, value }) => [tag, value.length])).toEqual([
      [0x81, 256],
      [0x82, 3],
    ]);
  });

  test("wants the management key; the PIN does not do", async () => {
    const card = await testCard();
    await exchange(card, VERIFY);
    expect((await generate(card, 0x9a, "AC03800111")).sw).toBe(0x6982);
  });

  test.each([
    ["an unknown algorithm", 0x9a, "AC03800199", 0x6a80],
    ["an algorithm for the management key", 0x9a, "AC03800108", 0x6a80],
    ["no algorithm", 0x9a, "AC00", 0x6a80],
    ["no template", 0x9a, "800111", 0x6a80],
    ["a length that lies", 0x9a, "AC058001", 0x6a80],
    ["the management key's slot", 0x9b, "AC03800111", 0x6a86],
    ["a retired key's slot, but for Yubico's cards", 0x82, "AC03800111", 0x6a86],
  ])("refuses %s", async (_what, slot, template, status) => {
    const card = await testCard();
    await authenticate(card);
    expect((await generate(card, slot, template)).sw).toBe(status);
  });
});

describe("PUT DATA (SP 800-73-4 part 2 section 3.3.1)", () => {
  test("replaces an object of any length in chained parts, and takes it away again", async () => {
    const card = await testCard();
    const content = new Uint8Array(3000).fill(0xa5);
    const command = concat(fromHex("5C035FC105"), encodeTlv(0x53, content));
    expect((await put(card, command)).sw).toBe(0x6982);
    await authenticate(card);
    expect((await put(card, command)).sw).toBe(0x9000);
    expect((await get(card, "5FC105")).data).toEqual(encodeTlv(0x53, content));
    expect((await put(card, fromHex("5C035FC1055300"))).sw).toBe(0x9000);
    expect((await get(card, "5FC105")).sw).toBe(0x6a82);
  });

  test("writes the discovery object as itself, which changes what PINs count", async () => {
    const card = await testCard();
    await authenticate(card);
    expect(await exchange(card, "00200000")).toBe("6A88");
    expect((await put(card, fromHex("7E124F0BA0000003080000100001005F2F026010"))).sw).toBe(0x9000);
    expect(await exchange(card, "00200000")).toBe("63C3");
  });

  test.each([
    ["an unknown tag", "5C035FC1995300", 0x6a81],
    ["a tag of Yubico's, but for their cards", "5C035FFF005300", 0x6a81],
    ["no content", "5C035FC105", 0x6a80],
    ["content without its tag", "5C035FC1055400", 0x6a80],
    ["more than one object", "5C035FC10553005300", 0x6a80],
    ["nothing", "", 0x6a80],
  ])("refuses %s", async (_what, data, status) => {
    const card = await testCard();
    await authenticate(card);
    expect((await put(card, fromHex(data))).sw).toBe(status);
  });

  test("holds 32,767 bytes and no more", async () => {
    const card = await testCard();
    await authenticate(card);
    const command = concat(fromHex("5C035FC105"), encodeTlv(0x53, new Uint8Array(32_768)));
    expect((await put(card, command)).sw).toBe(0x6a84);
  });
});

describe("what Yubico adds", () => {
  test("is not there unless asked for", async () => {
    const card = await testCard();
    for (const ins of ["F7", "F8", "F9", "FD", "FE"]) expect(await exchange(card, `00${ins}000000`)).toBe("6D00");
  });

  test("version, serial number, and metadata of keys and PINs", async () => {
    const card = await testCard({ yubico: true, serial: 0xfedcba98 });
    expect(await exchange(card, "00FD000000")).toBe("0507019000");
    expect(await exchange(card, "00F8000000")).toBe("FEDCBA989000");
    expect(await exchange(card, "00F7008000")).toBe("0101FF050101060203039000");
    await exchange(card, "0020008008393939393939FFFF");
    expect(await exchange(card, "00F7008000")).toBe("0101FF050101060203029000");
    expect(await exchange(card, "00F7009B00")).toBe("010103020200010501019000");
    expect(await exchange(card, "00F7009C00")).toMatch(/^0101110202030103010204438641/u);
    expect(await exchange(card, "00F7008200")).toBe("6A88");
  });

  test("a key made with a PIN policy of its own, in a retired slot too", async () => {
    const card = await testCard({ yubico: true });
    await authenticate(card);
    expect((await generate(card, 0x82, "AC06800111AA0101")).sw).toBe(0x9000);
    const hash = "11".repeat(32);
    expect(await exchange(card, `00871182267C2482008120${hash}00`)).toMatch(/9000$/u);
    expect((await generate(card, 0x82, "AC06800111AA0107")).sw).toBe(0x6a80);
  });
});

test("a signature of a key that was given verifies with its public key", async () => {
  const card = await testCard();
  const answer = await send(card, {
    cla: 0,
    ins: 0x87,
    p1: 0x11,
    p2: 0x9e,
    data: concat(fromHex("7C2482008120"), fromHex("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD")),
    ne: 256,
  });
  const signature = answer.data.subarray(4);
  expect(verify("sha256", Buffer.from("abc"), createPublicKey(testKey("p-256", "9e")), signature)).toBe(true);
});
