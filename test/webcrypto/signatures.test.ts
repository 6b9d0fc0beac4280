import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import type { KeyQuery } from "../../src/webcrypto/index.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";
import { exception, id, type Opened, opened } from "./opened.ts";

const MESSAGE = utf8("what the card signs");

/** With the OpenSSL in Node, which had no part in the signature. */
function isValid(key: KeyObject, hash: string, signature: ArrayBuffer, saltLength?: number): boolean {
  const spki = createPublicKey(key);
  const how =
    key.asymmetricKeyType === "ec"
      ? { key: spki, dsaEncoding: "ieee-p1363" as const }
      : saltLength === undefined
        ? { key: spki }
        : { key: spki, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
  return verify(hash, MESSAGE, how, new Uint8Array(signature));
}

const HASHES = [
  ["SHA-1", "sha1", 20],
  ["SHA-256", "sha256", 32],
  ["SHA-384", "sha384", 48],
  ["SHA-512", "sha512", 64],
] as const;

describe("keys of a PIV card", () => {
  let card: Opened;
  beforeAll(async () => {
    card = await opened(await testCard());
  });
  afterAll(() => card[Symbol.asyncDispose]());

  test.each(HASHES)("RSASSA-PKCS1-v1_5 with %s", async (...[hash, name]) => {
    const { subtle, keyStorage } = card.crypto;
    const { privateKey, publicKey } = await keyStorage.pair({
      id: id(1),
      algorithm: { name: "RSASSA-PKCS1-v1_5", hash },
    });
    const signature = await subtle.sign("RSASSA-PKCS1-v1_5", privateKey, MESSAGE);
    expect(isValid(testKey("rsa-2048", "9a"), name, signature)).toBe(true);
    expect(await subtle.verify(publicKey.algorithm, publicKey, signature, MESSAGE)).toBe(true);
    expect(await subtle.verify(publicKey.algorithm, publicKey, signature, utf8("another"))).toBe(false);
  });

  test.each(HASHES)("RSA-PSS with %s and salts", async (hash, name, length) => {
    const { subtle, keyStorage } = card.crypto;
    const { privateKey, publicKey } = await keyStorage.pair({ id: id(1), algorithm: { name: "RSA-PSS", hash } });
    for (const saltLength of [0, length]) {
      const algorithm = { name: "RSA-PSS", saltLength };
      const signature = await subtle.sign(algorithm, privateKey, MESSAGE);
      expect(isValid(testKey("rsa-2048", "9a"), name, signature, saltLength)).toBe(true);
      expect(await subtle.verify(algorithm, publicKey, signature, MESSAGE)).toBe(true);
    }
  });

  test.each(HASHES)("ECDSA with %s, the PIN before each", async (...[hash, name]) => {
    const { subtle, keyStorage } = card.crypto;
    const { privateKey, publicKey } = await keyStorage.pair({ id: id(2) });
    const algorithm = { name: "ECDSA", hash };
    const before = card.asked.length;
    const signature = await subtle.sign(algorithm, privateKey, MESSAGE);
    expect(signature.byteLength).toBe(64);
    expect(isValid(testKey("p-256", "9c"), name, signature)).toBe(true);
    expect(await subtle.verify(algorithm, publicKey, signature, MESSAGE)).toBe(true);
    expect(card.asked.slice(before)).toMatchObject([
      { purpose: "use", key: { label: expect.stringMatching(/sign/iu) } },
    ]);
  });

  test("keys say what they are", async () => {
    const { keyStorage } = card.crypto;
    expect(await keyStorage.privateKey({ id: id(1) })).toMatchObject({
      type: "private",
      extractable: false,
      usages: ["sign"],
      algorithm: {
        name: "RSASSA-PKCS1-v1_5",
        modulusLength: 2048,
        publicExponent: Uint8Array.of(1, 0, 1),
        hash: { name: "SHA-256" },
      },
    });
    expect((await keyStorage.privateKey({ id: id(2) })).algorithm).toEqual({ name: "ECDSA", namedCurve: "P-256" });
    expect(await keyStorage.publicKey({ id: id(2) })).toMatchObject({
      type: "public",
      extractable: true,
      usages: ["verify"],
    });
    const key = await keyStorage.privateKey({ id: id(3), algorithm: "rsa-oaep" });
    expect(key).toMatchObject({ algorithm: { name: "RSA-OAEP" }, usages: ["decrypt", "unwrapKey"] });
    expect(Object.prototype.toString.call(key)).toBe("[object CryptoKey]");
  });

  test("every kind of BufferSource, as it was when it was given", async () => {
    const { subtle, keyStorage } = card.crypto;
    const key = await keyStorage.privateKey({ id: id(1) });
    const wide = new Uint8Array([1, ...MESSAGE, 2]);
    const sources = [
      Uint8Array.from(MESSAGE),
      Uint8Array.from(MESSAGE).buffer,
      Buffer.from(MESSAGE),
      new DataView(wide.buffer, 1, MESSAGE.length),
    ];
    for (const source of sources) {
      const signing = subtle.sign("RSASSA-PKCS1-v1_5", key, source);
      new Uint8Array(source instanceof ArrayBuffer ? source : source.buffer).fill(0);
      expect(isValid(testKey("rsa-2048", "9a"), "sha256", await signing)).toBe(true);
    }
    await expect(subtle.sign("RSASSA-PKCS1-v1_5", key, "text" as never)).rejects.toThrow(TypeError);
  });

  test.each<[string, KeyQuery, unknown, string]>([
    ["another algorithm than the key's", { id: id(1) }, { name: "RSA-PSS", saltLength: 0 }, "InvalidAccessError"],
    ["an algorithm of another type of key", { id: id(2) }, "RSASSA-PKCS1-v1_5", "InvalidAccessError"],
    ["an algorithm of secret keys", { id: id(1) }, "HMAC", "InvalidAccessError"],
    ["a key that decrypts", { id: id(3), algorithm: "RSA-OAEP" }, "RSA-OAEP", "InvalidAccessError"],
    ["no algorithm", { id: id(1) }, "ROT13", "NotSupportedError"],
    ["a hash that WebCrypto has not", { id: id(2) }, { name: "ECDSA", hash: "MD5" }, "NotSupportedError"],
    ["no hash", { id: id(2) }, { name: "ECDSA" }, "TypeError"],
    ["no salt", { id: id(1), algorithm: "RSA-PSS" }, { name: "RSA-PSS" }, "TypeError"],
    ["too much salt", { id: id(1), algorithm: "RSA-PSS" }, { name: "RSA-PSS", saltLength: 223 }, "OperationError"],
  ])("%s", async (_what, query, algorithm, name) => {
    const key = await card.crypto.keyStorage.privateKey(query);
    const before = card.rig.commands.length;
    await expect(card.crypto.subtle.sign(algorithm as never, key, MESSAGE)).rejects.toMatchObject({ name });
    expect(card.rig.commands).toHaveLength(before);
  });

  test.each<[KeyQuery, string]>([
    [{ id: id(1), algorithm: "ECDSA" }, "NotFoundError"],
    [{ id: id(9) }, "NotFoundError"],
    [{ label: "no such key" }, "NotFoundError"],
    [{ uri: "pkcs11:token=another" }, "NotFoundError"],
    [{ uri: "http://example.test" }, "DataError"],
    [{}, "DataError"],
    [{ id: id(2), algorithm: { name: "ECDSA", namedCurve: "P-384" } }, "DataError"],
    [{ id: id(1), algorithm: { name: "RSA-PSS", hash: "MD5" } }, "NotSupportedError"],
    [{ id: id(1), algorithm: "AES-GCM" }, "NotSupportedError"],
  ])("no key for %j", async (query, name) => {
    await expect(card.crypto.keyStorage.privateKey(query)).rejects.toMatchObject(exception(name));
  });

  test("a key is found by its label and by its URI", async () => {
    const { keyStorage } = card.crypto;
    const [entry] = (await keyStorage.list("private")).filter((one) => one.id[0] === 1);
    for (const query of [{ label: entry?.label ?? "" }, { uri: (await entry?.uri()) ?? "" }]) {
      const { publicKey } = await keyStorage.pair(query);
      const spki = new Uint8Array(await card.crypto.subtle.exportKey("spki", publicKey));
      expect(spki).toEqual(
        new Uint8Array(createPublicKey(testKey("rsa-2048", "9a")).export({ format: "der", type: "spki" })),
      );
    }
  });

  test("nothing takes a private key off the card", async () => {
    const { subtle, keyStorage } = card.crypto;
    const key = await keyStorage.privateKey({ id: id(1) });
    const aes = await subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["wrapKey"]);
    const refused = exception("InvalidAccessError");
    for (const format of ["pkcs8", "spki", "raw"] as const) {
      await expect(subtle.exportKey(format, key)).rejects.toMatchObject(refused);
    }
    await expect(subtle.exportKey("jwk", key)).rejects.toMatchObject(refused);
    await expect(subtle.wrapKey("pkcs8", key, aes, { name: "AES-GCM", iv: new Uint8Array(12) })).rejects.toMatchObject(
      refused,
    );
    await expect(subtle.verify("RSASSA-PKCS1-v1_5", key, MESSAGE, MESSAGE)).rejects.toMatchObject(refused);
    await expect(subtle.encrypt("RSA-OAEP", key, MESSAGE)).rejects.toMatchObject(refused);
  });

  test("keys of the host are the host's business", async () => {
    const { subtle } = card.crypto;
    const before = card.rig.commands.length;
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, ["sign", "verify"]);
    const algorithm = { name: "ECDSA", hash: "SHA-384" };
    const signature = await subtle.sign(algorithm, pair.privateKey, MESSAGE);
    expect(await subtle.verify(algorithm, pair.publicKey, signature, MESSAGE)).toBe(true);
    const jwk = await subtle.exportKey("jwk", pair.privateKey);
    const again = await subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-384" }, false, ["sign"]);
    expect((await subtle.sign(algorithm, again, MESSAGE)).byteLength).toBe(96);
    expect((await subtle.digest("SHA-256", MESSAGE)).byteLength).toBe(32);
    expect(card.crypto.getRandomValues(new Uint8Array(8))).toHaveLength(8);
    expect(card.crypto.randomUUID()).toMatch(/^[\da-f-]{36}$/u);
    expect(card.rig.commands).toHaveLength(before);
  });
});

test("it stands in for the global crypto, for programs that ask for no other", async () => {
  await using card = await opened(await testCard());
  const key = await card.crypto.keyStorage.privateKey({ id: id(1) });
  const before: typeof globalThis.crypto = globalThis.crypto;
  const put = (value: typeof globalThis.crypto): void => {
    Object.defineProperty(globalThis, "crypto", { value, configurable: true, writable: true });
  };
  put(card.crypto);
  try {
    const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
      "sign",
      "verify",
    ]);
    const algorithm = { name: "ECDSA", hash: "SHA-256" };
    const signature = await crypto.subtle.sign(algorithm, privateKey, MESSAGE);
    expect(await crypto.subtle.verify(algorithm, publicKey, signature, MESSAGE)).toBe(true);
    expect((await crypto.subtle.sign("RSASSA-PKCS1-v1_5", key, MESSAGE)).byteLength).toBe(256);
  } finally {
    put(before);
  }
});

describe("keys of a PKCS #15 card with two PINs", () => {
  const open = async (token?: string, answer?: string): Promise<Opened> =>
    opened(await testPkcs15Card(), {
      profiles: [pkcs15],
      ...(token !== undefined && { token }),
      ...(answer !== undefined && { answer }),
    });

  test("a PIN is for one of the tokens, so one must be named", async () => {
    const several: unknown = await open().catch((error: unknown) => error);
    expect(several).toMatchObject(exception("DataError"));
    expect(String(several)).toMatch(/pkcs11:\S*token=Virtual%20eID%20\S* and pkcs11:/u);
    await expect(open("pkcs11:token=another")).rejects.toMatchObject(exception("NotFoundError"));
  });

  test("the authentication PIN's", async () => {
    await using card = await open("pkcs11:token=Virtual%20eID%20%28PIN%29");
    const { subtle, keyStorage } = card.crypto;
    const rsa = await keyStorage.privateKey({ label: "Authentication RSA" });
    const pkcs1 = await subtle.sign(rsa.algorithm, rsa, MESSAGE);
    expect(isValid(testKey("rsa-2048", "authentication"), "sha256", pkcs1)).toBe(true);
    const ec = await keyStorage.privateKey({ label: "Authentication EC" });
    const ecdsa = await subtle.sign({ name: "ECDSA", hash: "SHA-512" }, ec, MESSAGE);
    expect(isValid(testKey("p-256", "authentication"), "sha512", ecdsa)).toBe(true);
    expect(card.purposes).toEqual(["login"]);
    await expect(keyStorage.privateKey({ label: "Signature RSA" })).rejects.toMatchObject(exception("NotFoundError"));
  });

  test("the signature PIN's, one of which wants it for each use", async () => {
    await using card = await open("pkcs11:token=Virtual%20eID%20%28Signature%20PIN%29", "654321");
    const { subtle, keyStorage } = card.crypto;
    const pss = await keyStorage.privateKey({
      label: "Signature RSA",
      algorithm: { name: "RSA-PSS", hash: "SHA-512" },
    });
    const signature = await subtle.sign({ name: "RSA-PSS", saltLength: 64 }, pss, MESSAGE);
    expect(isValid(testKey("rsa-3072", "signature"), "sha512", signature, 64)).toBe(true);
    const ec = await keyStorage.privateKey({ algorithm: { name: "ECDSA", namedCurve: "P-384" } });
    for (let signed = 0; signed < 2; signed++) {
      const ecdsa = await subtle.sign({ name: "ECDSA", hash: "SHA-384" }, ec, MESSAGE);
      expect(isValid(testKey("p-384", "signature"), "sha384", ecdsa)).toBe(true);
    }
    expect(card.purposes).toEqual(["login", "use", "use"]);
  });
});
