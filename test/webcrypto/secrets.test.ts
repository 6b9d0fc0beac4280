import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject, publicEncrypt } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";
import { exception, id, type Opened, opened } from "./opened.ts";

const MESSAGE = utf8("for the card's holder");
const own = globalThis.crypto.subtle;

describe("decryption", () => {
  let card: Opened;
  beforeAll(async () => {
    card = await opened(await testCard());
  });
  afterAll(() => card[Symbol.asyncDispose]());
  const spki = (): KeyObject => createPublicKey(testKey("rsa-2048", "9d"));

  test.each(["SHA-1", "SHA-256", "SHA-384", "SHA-512"])("RSA-OAEP with %s, with and without a label", async (hash) => {
    const { subtle, keyStorage } = card.crypto;
    const { privateKey, publicKey } = await keyStorage.pair({ id: id(3), algorithm: { name: "RSA-OAEP", hash } });
    for (const label of [undefined, utf8("label")]) {
      const algorithm = { name: "RSA-OAEP", ...(label && { label }) };
      const oaepHash = hash.replace("-", "").toLowerCase();
      const ciphertext = publicEncrypt({ key: spki(), oaepHash, ...(label && { oaepLabel: label }) }, MESSAGE);
      expect(new Uint8Array(await subtle.decrypt(algorithm, privateKey, ciphertext))).toEqual(MESSAGE);
      const through = await subtle.encrypt(algorithm, publicKey, MESSAGE);
      expect(new Uint8Array(await subtle.decrypt(algorithm, privateKey, through))).toEqual(MESSAGE);
    }
  });

  test("what was not made for the key is refused", async () => {
    const { subtle, keyStorage } = card.crypto;
    const key = await keyStorage.privateKey({ id: id(3), algorithm: "RSA-OAEP" });
    const ciphertext = publicEncrypt({ key: spki(), oaepHash: "sha1" }, MESSAGE);
    await expect(subtle.decrypt("RSA-OAEP", key, ciphertext)).rejects.toMatchObject(
      exception("OperationError", "ENCRYPTED_DATA_INVALID"),
    );
    await expect(subtle.decrypt("RSA-OAEP", key, MESSAGE)).rejects.toMatchObject(
      exception("OperationError", "ENCRYPTED_DATA_LEN_RANGE"),
    );
  });

  test.each(["raw", "jwk"] as const)("a wrapped key, %s, becomes the host's", async (format) => {
    const { subtle, keyStorage } = card.crypto;
    const { privateKey, publicKey } = await keyStorage.pair({ id: id(3), algorithm: "RSA-OAEP" });
    const aes = await subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    const wrapped = await subtle.wrapKey(format, aes, publicKey, "RSA-OAEP");
    const usages = ["encrypt" as const];
    const unwrapped = await subtle.unwrapKey(format, wrapped, privateKey, "RSA-OAEP", "AES-GCM", true, usages);
    expect(await subtle.exportKey("raw", unwrapped)).toEqual(await subtle.exportKey("raw", aes));
    const message = await subtle.encrypt("RSA-OAEP", publicKey, MESSAGE);
    await expect(
      subtle.unwrapKey("jwk", message, privateKey, "RSA-OAEP", "AES-GCM", true, usages),
    ).rejects.toMatchObject(exception("DataError"));
  });
});

describe.each(["P-256", "P-384"] as const)("agreement on %s", (namedCurve) => {
  const kind = namedCurve === "P-256" ? "p-256" : "p-384";
  let card: Opened;
  beforeAll(async () => {
    card = await opened(await testCard({ keys: { "9d": { privateKey: testKey(kind, "9d") } } }));
  });
  afterAll(() => card[Symbol.asyncDispose]());

  const bits = Number(namedCurve.slice(2));
  test("the secret is what the other party gets", async () => {
    const { subtle, keyStorage } = card.crypto;
    const other = generateKeyPairSync("ec", { namedCurve });
    const der = other.publicKey.export({ format: "der", type: "spki" });
    const theirs = await subtle.importKey("spki", der, { name: "ECDH", namedCurve }, true, []);
    const { privateKey, publicKey } = await keyStorage.pair({ id: id(3), algorithm: "ECDH" });
    expect(privateKey).toMatchObject({ algorithm: { name: "ECDH", namedCurve }, usages: ["deriveKey", "deriveBits"] });
    const secret = new Uint8Array(
      diffieHellman({ privateKey: other.privateKey, publicKey: createPublicKey(testKey(kind, "9d")) }),
    );
    const algorithm = { name: "ECDH", public: theirs };
    expect(new Uint8Array(await subtle.deriveBits(algorithm, privateKey, null))).toEqual(secret);
    expect(new Uint8Array(await subtle.deriveBits(algorithm, privateKey, 128))).toEqual(secret.slice(0, 16));
    const odd = new Uint8Array(await subtle.deriveBits(algorithm, privateKey, 13));
    expect([...odd]).toEqual([secret[0], (secret[1] ?? 0) & 0xf8]);
    await expect(subtle.deriveBits(algorithm, privateKey, bits + 8)).rejects.toMatchObject(exception("OperationError"));
    expect(publicKey.usages).toEqual([]);
  });

  test.each([
    ["AES", { name: "AES-GCM", length: 256 }, ["encrypt"]],
    ["HMAC of a length", { name: "HMAC", hash: "SHA-256", length: 160 }, ["sign"]],
    ["HKDF", "HKDF", ["deriveBits"]],
  ] as const)("a key for %s, as the other party derives it", async (_name, derived, usages) => {
    const { subtle, keyStorage } = card.crypto;
    const { privateKey, publicKey } = await keyStorage.pair({ id: id(3), algorithm: "ECDH" });
    const { privateKey: theirs, publicKey: theirPublic } = await subtle.generateKey(
      { name: "ECDH", namedCurve },
      true,
      ["deriveKey"],
    );
    const make = async (mine: typeof theirs, other: typeof theirs): Promise<Uint8Array> => {
      const extractable = derived !== "HKDF";
      const key = await subtle.deriveKey({ name: "ECDH", public: other }, mine, derived, extractable, [...usages]);
      if (extractable) return new Uint8Array(await subtle.exportKey("raw", key));
      const parameters = { name: "HKDF", hash: "SHA-256", salt: MESSAGE, info: MESSAGE };
      return new Uint8Array(await subtle.deriveBits(parameters, key, 256));
    };
    expect(await make(privateKey, theirPublic)).toEqual(await make(theirs, publicKey));
  });

  test("keys that do not fit", async () => {
    const { subtle, keyStorage } = card.crypto;
    const key = await keyStorage.privateKey({ id: id(3), algorithm: "ECDH" });
    const refused = exception("InvalidAccessError");
    const pair = await own.generateKey({ name: "ECDH", namedCurve }, true, ["deriveBits"]);
    const p521 = await own.generateKey({ name: "ECDH", namedCurve: "P-521" }, true, ["deriveBits"]);
    const ecdsa = await own.generateKey({ name: "ECDSA", namedCurve }, true, ["verify", "sign"]);
    for (const other of [pair.privateKey, p521.publicKey, ecdsa.publicKey]) {
      await expect(subtle.deriveBits({ name: "ECDH", public: other }, key, 128)).rejects.toMatchObject(refused);
    }
    await expect(subtle.deriveBits("ECDH", key, 128)).rejects.toThrow(TypeError);
    const algorithm = { name: "ECDH", public: pair.publicKey };
    await expect(
      subtle.deriveKey(algorithm, key, { name: "AES-GCM", length: 100 }, true, ["encrypt"]),
    ).rejects.toMatchObject(exception("OperationError"));
    await expect(subtle.deriveKey(algorithm, key, "ECDSA", true, [])).rejects.toMatchObject(
      exception("NotSupportedError"),
    );
  });
});

test("a PKCS #15 card decrypts and agrees", async () => {
  const token = "pkcs11:token=Virtual%20eID%20%28PIN%29";
  await using card = await opened(await testPkcs15Card(), { profiles: [pkcs15], token });
  const { subtle, keyStorage } = card.crypto;
  const rsa = await keyStorage.pair({ algorithm: "RSA-OAEP" });
  const ciphertext = await subtle.encrypt("RSA-OAEP", rsa.publicKey, MESSAGE);
  expect(new Uint8Array(await subtle.decrypt("RSA-OAEP", rsa.privateKey, ciphertext))).toEqual(MESSAGE);
  const ec = await keyStorage.pair({ algorithm: "ECDH" });
  const other = await subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  expect(await subtle.deriveBits({ name: "ECDH", public: other.publicKey }, ec.privateKey, 256)).toEqual(
    await subtle.deriveBits({ name: "ECDH", public: ec.publicKey }, other.privateKey, 256),
  );
});
