import { createPrivateKey, randomUUID, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeTlv, findTlv, readTlvs } from "../../../src/apdu/index.ts";
import { concat, DataError, fromHex, toHex } from "../../../src/bytes/index.ts";
import { type PivCardOptions, VirtualPivCard } from "../../../src/virtual/index.ts";
import { encodeFascn, TEST_FASCN } from "../../../src/virtual/piv/identity.ts";
import { readPkcs12Key } from "../../../src/virtual/piv/icam.ts";
import { exchange, send } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";

async function certificate(card: VirtualPivCard, tag: string): Promise<X509Certificate> {
  const command = { cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data: fromHex(`5C03${tag}`), ne: 256 };
  const object = findTlv(readTlvs((await send(card, command)).data), 0x53) ?? new Uint8Array();
  expect(readTlvs(object).map((tlv) => tlv.tag)).toEqual([0x70, 0x71, 0xfe]);
  return new X509Certificate(findTlv(readTlvs(object), 0x70) ?? new Uint8Array());
}

describe("a card with defaults", () => {
  test.each([
    ["5FC105", "rsa-2048", "9a"],
    ["5FC10A", "p-256", "9c"],
    ["5FC10B", "rsa-2048", "9d"],
    ["5FC101", "p-256", "9e"],
  ] as const)("has a certificate in %s for its %s key, as long as real ones", async (tag, type, name) => {
    const found = await certificate(await testCard({ name: "Ada Lovelace" }), tag);
    expect(found.checkPrivateKey(testKey(type, name))).toBe(true);
    expect(found.subject).toContain("CN=Ada Lovelace");
    expect(found.raw.length).toBeGreaterThan(650);
    expect(found.raw.length).toBeLessThan(930);
    expect(new Date(found.validTo).getTime()).toBeGreaterThan(Date.now());
  });

  test("makes the keys that are not given", async () => {
    const card = await VirtualPivCard.create({ keys: { "9a": "p-384", "9c": null, "9d": null } });
    expect((await certificate(card, "5FC105")).publicKey.asymmetricKeyDetails).toMatchObject({
      namedCurve: "secp384r1",
    });
    expect((await certificate(card, "5FC101")).publicKey.asymmetricKeyDetails).toMatchObject({
      namedCurve: "prime256v1",
    });
    expect(await exchange(card, "00CB3FFF055C035FC10A00")).toBe("6A82");
    expect(await exchange(card, "0087119C067C0482008100")).toBe("6A86");
  });

  test("counts its retired keys in the key history", async () => {
    const privateKey = testKey("p-256", "old");
    const card = await testCard({ keys: { "82": { privateKey }, "95": { privateKey, certificate: null } } });
    expect(await exchange(card, "00CB3FFF055C035FC10C00")).toBe("530AC10101C20100F300FE009000");
    expect((await certificate(card, "5FC10D")).checkPrivateKey(privateKey)).toBe(true);
    expect(await exchange(card, "00CB3FFF055C035FC12000")).toBe("6A82");
  });
});

test.each<[string, PivCardOptions]>([
  ["a PIN too short", { pin: "12345" }],
  ["a PIN too long", { pin: "123456789" }],
  ["a PIN of letters", { pin: "secret1" }],
  ["a PUK too short", { puk: "1234567" }],
  ["no tries", { tries: 0 }],
  ["too many tries", { tries: 16 }],
  ["a management key of the wrong length", { managementKey: { algorithm: "aes-256", value: new Uint8Array(24) } }],
  ["a slot that is none", { keys: { "9b": "p-256" } }],
  ["a UUID cut off", { guid: new Uint8Array(15) }],
  ["a key that does not parse", { keys: { "9a": { privateKey: "no PEM" } } }],
  ["a curve that PIV does not have", { keys: { "9a": { privateKey: "ed25519" } } }],
  ["an object too long", { objects: new Map([[0x5fc108, new Uint8Array(32_768)]]) }],
])("%s is no card", async (_what, options) => {
  const keys = { "9a": null, "9c": null, "9d": null, "9e": null, ...options.keys };
  const making = VirtualPivCard.create({ ...options, keys });
  await expect(making).rejects.toThrow(DataError);
});

test("a certificate of another key is refused", async () => {
  const der = (await certificate(await testCard(), "5FC101")).raw;
  const making = testCard({ keys: { "9e": { privateKey: testKey("p-256", "another"), certificate: der } } });
  await expect(making).rejects.toThrow("PIV certificate for 9e: it belongs to another key");
});

test("a FASC-N is coded as in TIG SCEPACS, and as on other people's cards without an agency", () => {
  const example = {
    agency: "0032",
    system: "0001",
    credential: "092446",
    series: "0",
    issue: "1",
    person: "1112223333",
    category: "1",
    organisation: "1223",
    association: "2",
  };
  expect(toHex(encodeFascn(example))).toBe("d0439458210c2c19a0846d83685a1082108ce73984108ca3fc");
  expect(toHex(encodeFascn(TEST_FASCN))).toBe("d4e739da739ced39ce739d836858210842108421c84210c3eb");
});

describe("PKCS#12", () => {
  const oid = (hex: string): Uint8Array => encodeTlv(0x06, fromHex(hex));
  const DATA = oid("2a864886f70d010701");

  function pfx(shrouded: Uint8Array): Uint8Array {
    const bag = encodeTlv(0x30, oid("2a864886f70d010c0a0102"), encodeTlv(0xa0, shrouded));
    const content = (bytes: Uint8Array): Uint8Array =>
      encodeTlv(0x30, DATA, encodeTlv(0xa0, encodeTlv(0x04, encodeTlv(0x30, bytes))));
    return encodeTlv(0x30, fromHex("020103"), content(content(bag)));
  }

  const passphrase = randomUUID();
  const key = testKey("p-256", "p12");
  const shrouded = key.export({ format: "der", type: "pkcs8", cipher: "aes-256-cbc", passphrase });
  const file = pfx(shrouded);

  test("gives the private key in it to who knows the password", async () => {
    const read = await readPkcs12Key(file, passphrase);
    expect(read.equals(createPrivateKey(key.export({ format: "pem", type: "pkcs8" })))).toBe(true);
    await expect(readPkcs12Key(file, "another")).rejects.toThrow("the password does not open the private key");
  });

  test("anything else is refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.nat(255), async (at, value) => {
        const changed = file.slice();
        changed[at] = value;
        try {
          await readPkcs12Key(changed, passphrase);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), async (bytes) => {
        await expect(readPkcs12Key(bytes, "")).rejects.toMatchObject({
          name: "DataError",
          message: expect.stringMatching(/malformed|no private key/u) as unknown,
        });
      }),
    );
    await expect(readPkcs12Key(concat(file.subarray(0, 40)), passphrase)).rejects.toThrow("malformed");
  });
});
