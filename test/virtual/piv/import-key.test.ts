/** IMPORT ASYMMETRIC KEY, which Yubico's cards have beside the standard's commands. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { encodeTlv, findTlv, readTlvs, type ResponseApdu } from "../../../src/apdu/index.ts";
import { concat, fromHex, toHex } from "../../../src/bytes/index.ts";
import type { KeyTypeName, VirtualPivCard } from "../../../src/virtual/index.ts";
import { decodeImage } from "../../../src/virtual/piv/image.ts";
import { exchange, send } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";
import { authenticate } from "./administrator.ts";

const ALGORITHM = {
  "rsa-1024": 0x06,
  "rsa-2048": 0x07,
  "rsa-3072": 0x05,
  "p-256": 0x11,
  "p-384": 0x14,
  ed25519: 0xe0,
  x25519: 0xe1,
} as const satisfies Partial<Record<KeyTypeName, number>>;

/** The parts of a key as the command carries them, by tag. */
function partsOf(key: KeyObject): Map<number, Uint8Array> {
  const jwk = key.export({ format: "jwk" });
  const field = (text: string | undefined): Uint8Array => Buffer.from(text ?? "", "base64url");
  if (jwk.kty === "RSA") {
    return new Map([jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi].map((text, index) => [index + 1, field(text)]));
  }
  return new Map([[jwk.kty === "EC" ? 0x06 : jwk.crv === "Ed25519" ? 0x07 : 0x08, field(jwk.d)]]);
}

const encode = (parts: ReadonlyMap<number, Uint8Array>, policies = ""): Uint8Array =>
  concat(...[...parts].map(([tag, value]) => encodeTlv(tag, value)), fromHex(policies));

const importKey = (card: VirtualPivCard, p1: number, p2: number, data: Uint8Array): Promise<ResponseApdu> =>
  send(card, { cla: 0, ins: 0xfe, p1, p2, data });

const getMetadata = async (card: VirtualPivCard, slot: number): Promise<ReturnType<typeof readTlvs>> =>
  readTlvs((await send(card, { cla: 0, ins: 0xf7, p1: 0, p2: slot, ne: 256 })).data);

let card: VirtualPivCard;
beforeEach(async () => {
  card = await testCard({ yubico: true });
});

describe("IMPORT ASYMMETRIC KEY", () => {
  test.each(Object.entries(ALGORITHM) as [KeyTypeName, number][])("takes %s", async (type, algorithm) => {
    await authenticate(card);
    const key = testKey(type, "imported");
    expect((await importKey(card, algorithm, 0x82, encode(partsOf(key)))).sw).toBe(0x9000);
    const held = decodeImage(card.image()).keys.get(0x82);
    expect(held).toMatchObject({ origin: "imported", pinPolicy: "once", touchPolicy: "never" });
    expect(held?.privateKey.equals(key)).toBe(true);
  });

  test("replaces a key that was made on the card, and GET METADATA says whence each is", async () => {
    await authenticate(card);
    const made = await send(card, { cla: 0, ins: 0x47, p1: 0, p2: 0x9a, data: fromHex("AC03800111"), ne: 256 });
    expect(made.sw).toBe(0x9000);
    expect(findTlv(await getMetadata(card, 0x9a), 0x03)).toEqual(Uint8Array.of(1));
    const key = testKey("p-256", "imported");
    expect((await importKey(card, 0x11, 0x9a, encode(partsOf(key), "AA0103AB0102"))).sw).toBe(0x9000);
    const metadata = await getMetadata(card, 0x9a);
    expect(findTlv(metadata, 0x03)).toEqual(Uint8Array.of(2));
    expect(findTlv(metadata, 0x02)).toEqual(Uint8Array.of(3, 2));
    const { x = "", y = "" } = createPublicKey(key).export({ format: "jwk" });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    expect(toHex(findTlv(readTlvs(findTlv(metadata, 0x04) ?? new Uint8Array()), 0x86) ?? new Uint8Array())).toBe(
      toHex(point),
    );
  });

  test("takes the parts of an RSA key with zeros in front", async () => {
    await authenticate(card);
    const parts = [...partsOf(testKey("rsa-1024", "imported"))];
    const padded = new Map(parts.map(([tag, value]) => [tag, concat(Uint8Array.of(0), value)]));
    expect((await importKey(card, 0x06, 0x9d, encode(padded))).sw).toBe(0x9000);
  });

  test("wants the management key; the PIN does not do", async () => {
    await exchange(card, "0020008008313233343536FFFF");
    const before = card.image();
    expect((await importKey(card, 0x11, 0x9a, encode(partsOf(testKey("p-256", "imported"))))).sw).toBe(0x6982);
    expect(card.image()).toBe(before);
  });

  test("is not there but for Yubico's cards", async () => {
    const other = await testCard();
    await authenticate(other);
    expect((await importKey(other, 0x11, 0x9a, encode(partsOf(testKey("p-256", "imported"))))).sw).toBe(0x6d00);
  });

  const ec = partsOf(testKey("p-256", "imported"));
  const rsa = partsOf(testKey("rsa-1024", "imported"));
  /** The RSA key with another value for a part, or without it. */
  const rsaWith = (tag: number, value?: Uint8Array): Uint8Array =>
    encode(new Map([...rsa].flatMap(([own, is]) => (own !== tag ? [[own, is]] : value ? [[own, value]] : []))));
  const exponent3 = generateKeyPairSync("rsa", { modulusLength: 1024, publicExponent: 3 }).privateKey;
  test.each([
    ["an unknown algorithm", 0x99, 0x9a, encode(ec), 0x6a86],
    ["the management key's slot", 0x11, 0x9b, encode(ec), 0x6a86],
    ["a P-256 key as P-384", 0x14, 0x9a, encode(ec), 0x6a80],
    ["an RSA-1024 key as RSA-2048", 0x07, 0x9a, encode(rsa), 0x6a80],
    ["an EC key as RSA", 0x07, 0x9a, encode(ec), 0x6a80],
    ["no key", 0x11, 0x9a, new Uint8Array(), 0x6a80],
    ["a number of no point", 0x11, 0x9a, encode(new Map([[6, new Uint8Array(32)]])), 0x6a80],
    ["31 bytes for Ed25519", 0xe0, 0x9a, encode(new Map([[7, new Uint8Array(31)]])), 0x6a80],
    ["an Ed25519 key in the part for X25519", 0xe0, 0x9a, encode(new Map([[8, new Uint8Array(32)]])), 0x6a80],
    ["an RSA key without its coefficient", 0x06, 0x9a, rsaWith(5), 0x6a80],
    ["an RSA key with another coefficient", 0x06, 0x9a, rsaWith(5, Uint8Array.of(7)), 0x6a80],
    ["an RSA key with another second exponent", 0x06, 0x9a, rsaWith(4, Uint8Array.of(7)), 0x6a80],
    ["an RSA key with a prime of zero", 0x06, 0x9a, rsaWith(1, new Uint8Array(64)), 0x6a80],
    ["an RSA key with public exponent 3", 0x06, 0x9a, encode(partsOf(exponent3)), 0x6a80],
    ["an unknown PIN policy", 0x11, 0x9a, encode(ec, "AA0107"), 0x6a80],
    ["an unknown touch policy", 0x11, 0x9a, encode(ec, "AB0107"), 0x6a80],
  ])("refuses %s, and the card keeps the key that it had", async (_what, algorithm, slot, data, status) => {
    await authenticate(card);
    const before = card.image();
    expect((await importKey(card, algorithm, slot, data)).sw).toBe(status);
    expect(card.image()).toBe(before);
  });
});
