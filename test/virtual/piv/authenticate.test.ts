import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  publicEncrypt,
  verify,
} from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { encodeTlv, findTlv, readTlvs, type ResponseApdu } from "../../../src/apdu/index.ts";
import { concat, fromHex, toHex } from "../../../src/bytes/index.ts";
import type { KeyTypeName, VirtualPivCard } from "../../../src/virtual/index.ts";
import { exchange, send } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";

const VERIFY = "0020008008313233343536FFFF";

function authenticate(card: VirtualPivCard, p1: number, p2: number, ...fields: Uint8Array[]): Promise<ResponseApdu> {
  return send(card, { cla: 0, ins: 0x87, p1, p2, data: encodeTlv(0x7c, ...fields), ne: 256 });
}

function use(
  card: VirtualPivCard,
  algorithm: number,
  slot: number,
  input: Uint8Array,
  tag = 0x81,
): Promise<ResponseApdu> {
  return authenticate(card, algorithm, slot, encodeTlv(0x82), encodeTlv(tag, input));
}

const result = (answer: ResponseApdu): Uint8Array => {
  expect(answer.sw.toString(16)).toBe("9000");
  return findTlv(readTlvs(findTlv(readTlvs(answer.data), 0x7c) ?? new Uint8Array()), 0x82) ?? new Uint8Array();
};

const publicPoint = (key: KeyObject): Uint8Array =>
  createPublicKey(key)
    .export({ format: "der", type: "spki" })
    .subarray(key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? -97 : -65);

describe("RSA (SP 800-73-4 part 2 section 3.2.4, SP 800-78-5)", () => {
  test.each([
    ["rsa-1024", 0x06, 128],
    ["rsa-2048", 0x07, 256],
    ["rsa-3072", 0x05, 384],
    ["rsa-4096", 0x16, 512],
  ] as const)("%s raises to the private exponent", async (type, algorithm, length) => {
    const privateKey = testKey(type);
    const card = await testCard({ keys: { "9d": { privateKey } } });
    const block = new Uint8Array(length).fill(0x5a);
    const padding = constants.RSA_NO_PADDING;
    await exchange(card, VERIFY);
    const power = result(await use(card, algorithm, 0x9d, block));
    expect(new Uint8Array(publicEncrypt({ key: createPublicKey(privateKey), padding }, power))).toEqual(block);
  });

  test("takes only a block as long as the modulus, and smaller", async () => {
    const card = await testCard();
    await exchange(card, VERIFY);
    for (const block of [new Uint8Array(255), new Uint8Array(257), new Uint8Array(256).fill(0xff), new Uint8Array()]) {
      expect((await use(card, 0x07, 0x9a, block)).sw).toBe(0x6a80);
    }
  });

  test("takes chained parts and gives its answer in two", async () => {
    const card = await testCard();
    const first = await exchange(card, "0020008008313233343536FFFF");
    expect(first).toBe("9000");
    const body = `7C820106820081820100${"00".repeat(255)}02`;
    expect(await exchange(card, `1087079AFF${body.slice(0, 510)}`)).toBe("9000");
    const rest = body.slice(510);
    expect(await exchange(card, `0087079A${(rest.length / 2).toString(16).padStart(2, "0")}${rest}00`)).toMatch(
      /6108$/u,
    );
    expect(await exchange(card, "00C0000008")).toMatch(/^.{16}9000$/u);
  });
});

describe("ECDSA over a hash", () => {
  test.each([
    ["p-256", 0x11, "sha256"],
    ["p-384", 0x14, "sha384"],
    ["p-384", 0x14, "sha1"],
  ] as const)("%s, algorithm %i, %s", async (type, algorithm, hash) => {
    const privateKey = testKey(type);
    const card = await testCard({ keys: { "9a": { privateKey } } });
    await exchange(card, VERIFY);
    for (let i = 0; i < 8; i++) {
      const message = Uint8Array.of(i);
      const signature = result(await use(card, algorithm, 0x9a, createHash(hash).update(message).digest()));
      expect(verify(hash, message, createPublicKey(privateKey), signature)).toBe(true);
    }
  });

  test("is never the same twice, takes no more than the order holds, and not the key that establishes keys", async () => {
    const card = await testCard({ keys: { "9d": { privateKey: testKey("p-256", "9d") } } });
    const hash = new Uint8Array(32).fill(1);
    const signatures = [result(await use(card, 0x11, 0x9e, hash)), result(await use(card, 0x11, 0x9e, hash))];
    expect(new Set(signatures.map((bytes) => toHex(bytes))).size).toBe(2);
    expect((await use(card, 0x11, 0x9e, new Uint8Array(33))).sw).toBe(0x6a80);
    expect((await use(card, 0x11, 0x9e, new Uint8Array())).sw).toBe(0x6a80);
    await exchange(card, VERIFY);
    expect((await use(card, 0x11, 0x9d, hash)).sw).toBe(0x6a80);
  });
});

describe("ECDH", () => {
  test.each([
    ["p-256", 0x11, "9d"],
    ["p-384", 0x14, "9d"],
    ["p-256", 0x11, "82"],
    ["p-384", 0x14, "95"],
  ] as const)("%s in %s%s gives the shared x", async (type: KeyTypeName, algorithm, slot) => {
    const privateKey = testKey(type);
    const other = testKey(type, "other");
    const card = await testCard({ keys: { [slot]: { privateKey } } });
    const number = Number.parseInt(slot, 16);
    expect((await use(card, algorithm, number, publicPoint(other), 0x85)).sw).toBe(0x6982);
    await exchange(card, VERIFY);
    const secret = result(await use(card, algorithm, number, publicPoint(other), 0x85));
    expect(secret).toEqual(
      new Uint8Array(diffieHellman({ privateKey: other, publicKey: createPublicKey(privateKey) })),
    );
  });

  test("refuses points that are not on the curve, compressed or cut off, and other slots", async () => {
    const card = await testCard({ keys: { "9d": { privateKey: testKey("p-256") } } });
    await exchange(card, VERIFY);
    const point = publicPoint(testKey("p-256", "other"));
    const bad = point.slice();
    bad[64] = (bad[64] ?? 0) ^ 1;
    const compressed = concat(Uint8Array.of(2), point.subarray(1, 33));
    for (const wrong of [bad, compressed, point.subarray(0, 64), new Uint8Array(65), new Uint8Array()]) {
      expect((await use(card, 0x11, 0x9d, wrong, 0x85)).sw).toBe(0x6a80);
    }
    expect((await use(card, 0x11, 0x9e, point, 0x85)).sw).toBe(0x6a80);
  });
});

describe("the PIN (SP 800-73-4 part 1 table 4b)", () => {
  const hash = new Uint8Array(32).fill(7);
  const block = new Uint8Array(256).fill(7);

  test("9A wants it once, 9E never", async () => {
    const card = await testCard();
    expect((await use(card, 0x11, 0x9e, hash)).sw).toBe(0x9000);
    expect((await use(card, 0x07, 0x9a, block)).sw).toBe(0x6982);
    await exchange(card, VERIFY);
    expect((await use(card, 0x07, 0x9a, block)).sw).toBe(0x9000);
    expect((await use(card, 0x07, 0x9a, block)).sw).toBe(0x9000);
    card.reset();
    expect((await use(card, 0x07, 0x9a, block)).sw).toBe(0x6982);
  });

  test("9C wants it just before each use", async () => {
    const card = await testCard();
    await exchange(card, VERIFY);
    expect((await use(card, 0x11, 0x9c, hash)).sw).toBe(0x9000);
    expect((await use(card, 0x11, 0x9c, hash)).sw).toBe(0x6982);
  });

  test.each([
    ["reading", "00CB3FFF035C017E00"],
    ["asking for the tries", "00200080"],
    ["selecting", "00A4040009A0000003080000100000"],
    ["something malformed", "00"],
    ["the first part of something else", "10DB3FFF0100"],
    ["changing the PIN to itself", "0024008010313233343536FFFF313233343536FFFF"],
  ])("9C: %s in between makes it too late", async (_what, command) => {
    const card = await testCard();
    await exchange(card, VERIFY);
    await exchange(card, command);
    expect((await use(card, 0x11, 0x9c, hash)).sw).toBe(0x6982);
    expect(await exchange(card, "00200080")).toBe("9000");
  });

  test("9C: the parts of one chained command count as one", async () => {
    const card = await testCard({ keys: { "9c": { privateKey: testKey("rsa-2048", "9c") } } });
    await exchange(card, VERIFY);
    expect((await use(card, 0x07, 0x9c, block)).sw).toBe(0x9000);
  });

  test("9C: the global PIN will do where it counts", async () => {
    const card = await testCard({ pinUsage: "application-then-global", globalPin: "87654321" });
    await exchange(card, "00200000083837363534333231");
    expect((await use(card, 0x11, 0x9c, hash)).sw).toBe(0x9000);
  });
});

describe("refuses", () => {
  test.each([
    ["an empty slot", "008711820E7C0C82008108111111111111111100", "6A86"],
    ["an algorithm that the key is not of", "0087079E0E7C0C82008108111111111111111100", "6A86"],
    ["no template", "0087119E0482008100", "6A80"],
    ["two templates", "0087119E047C007C0000", "6A80"],
    ["a template without the wish for a response", "0087119E067C0481021111", "6A80"],
    ["lengths that lie", "0087119E047C7F810000", "6A80"],
    ["nothing", "0087119E", "6A80"],
  ])("%s", async (_what, command, status) => {
    expect(await exchange(await testCard(), command)).toBe(status);
  });
});

/** One block through the management key's cipher, by the host. */
function cipher(name: string, key: Uint8Array, block: Uint8Array, encrypt: boolean): Uint8Array {
  const algorithm = name === "3des" ? "des-ede3-ecb" : `${name}-ecb`;
  const engine = encrypt ? createCipheriv(algorithm, key, null) : createDecipheriv(algorithm, key, null);
  return new Uint8Array(engine.setAutoPadding(false).update(block));
}

describe("the card management key", () => {
  const administrator = "00DB3FFF0C5C035FC1065305BC0101FE00";
  const keys = {
    "3des": [0x03, 8, "0102030405060708".repeat(3)],
    "aes-128": [0x08, 16, "000102030405060708090A0B0C0D0E0F"],
    "aes-192": [0x0a, 16, "000102030405060708090A0B0C0D0E0F1011121314151617"],
    "aes-256": [0x0c, 16, "000102030405060708090A0B0C0D0E0F".repeat(2)],
  } as const;

  describe.each(Object.entries(keys))("%s", (name, [algorithm, block, hex]) => {
    const value = fromHex(hex);
    const make = (): Promise<VirtualPivCard> =>
      testCard({ managementKey: { algorithm: name as keyof typeof keys, value } });

    async function ask(card: VirtualPivCard, tag: number): Promise<Uint8Array> {
      const { data } = await authenticate(card, algorithm, 0x9b, encodeTlv(tag));
      return findTlv(readTlvs(findTlv(readTlvs(data), 0x7c) ?? new Uint8Array()), tag) ?? new Uint8Array();
    }

    test("external authentication: the host encrypts the card's challenge", async () => {
      const card = await make();
      expect(await exchange(card, administrator)).toBe("6982");
      const challenge = await ask(card, 0x81);
      expect(challenge).toHaveLength(block);
      const answer = await authenticate(card, algorithm, 0x9b, encodeTlv(0x82, cipher(name, value, challenge, true)));
      expect(answer.sw).toBe(0x9000);
      expect(await exchange(card, administrator)).toBe("9000");
      card.reset();
      expect(await exchange(card, administrator)).toBe("6982");
    });

    test("mutual authentication: the host decrypts a witness, the card encrypts the host's challenge", async () => {
      const card = await make();
      const witness = cipher(name, value, await ask(card, 0x80), false);
      const mine = new Uint8Array(block).fill(3);
      const answer = await authenticate(
        card,
        algorithm,
        0x9b,
        encodeTlv(0x80, witness),
        encodeTlv(0x81, mine),
        encodeTlv(0x82),
      );
      expect(result(answer)).toEqual(cipher(name, value, mine, true));
      expect(await exchange(card, administrator)).toBe("9000");
    });

    test("a challenge is good for one try, and for its own kind of proof", async () => {
      const card = await make();
      const challenge = await ask(card, 0x81);
      const proof = encodeTlv(0x82, cipher(name, value, challenge, true));
      expect((await authenticate(card, algorithm, 0x9b, encodeTlv(0x82, new Uint8Array(block)))).sw).toBe(0x6982);
      expect((await authenticate(card, algorithm, 0x9b, proof)).sw).toBe(0x6982);
      const witness = await ask(card, 0x80);
      expect((await authenticate(card, algorithm, 0x9b, encodeTlv(0x82, witness))).sw).toBe(0x6982);
      expect((await authenticate(card, algorithm, 0x9b, encodeTlv(0x82))).sw).toBe(0x6a80);
      expect(await exchange(card, administrator)).toBe("6982");
    });

    test("is not an oracle: without a proof nothing is encrypted", async () => {
      const card = await make();
      const mine = encodeTlv(0x81, new Uint8Array(block));
      expect((await authenticate(card, algorithm, 0x9b, mine, encodeTlv(0x82))).sw).toBe(0x6a80);
      expect((await authenticate(card, algorithm, 0x9b, encodeTlv(0x80), mine)).sw).toBe(0x6982);
    });
  });

  test("is of one algorithm only; 00 is another name of 3DES", async () => {
    const card = await testCard();
    expect(await exchange(card, "0087089B047C02810000")).toBe("6A86");
    expect(await exchange(card, "0087009B047C02810000")).toMatch(/^7C0A8108.*9000$/u);
  });
});
