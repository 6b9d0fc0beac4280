import { expect, test } from "@jest/globals";
import { createHash, createPublicKey, diffieHellman, generateKeyPairSync, publicEncrypt, verify } from "node:crypto";
import { PublicKey, type SignatureScheme } from "../../src/tokens/index.ts";
import { KEYS, opened, PIN } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");
const PSS = { padding: 6, saltLength: 32 } as const;

const publicKey = (reference: keyof typeof KEYS): ReturnType<typeof createPublicKey> =>
  createPublicKey(KEYS[reference].privateKey);

test.each<[keyof typeof KEYS, SignatureScheme, (signature: Uint8Array) => boolean]>([
  ["9a", {}, (signature) => verify("sha256", DATA, publicKey("9a"), signature)],
  ["9a", { hash: "SHA-512" }, (signature) => verify("sha512", DATA, publicKey("9a"), signature)],
  ["9a", { padding: "pss" }, (signature) => verify("sha256", DATA, { key: publicKey("9a"), ...PSS }, signature)],
  ["9c", {}, (signature) => verify("sha384", DATA, { key: publicKey("9c"), dsaEncoding: "ieee-p1363" }, signature)],
  ["9e", { encoding: "der" }, (signature) => verify("sha256", DATA, publicKey("9e"), signature)],
  ["82", {}, (signature) => verify(null, DATA, publicKey("82"), signature)],
])("key %s signs with %j, and another implementation verifies", async (reference, scheme, isRight) => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference });
  const signature = await key.sign(DATA, scheme);
  expect(isRight(signature)).toBe(true);
  const own = await key.publicKey();
  expect(await own.verify(DATA, signature, scheme)).toBe(true);
  expect(await own.verify(Buffer.from("another letter"), signature, scheme)).toBe(false);
});

test("data comes in parts, from an iterable or through a stream that passes it on", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  async function* parts(): AsyncGenerator<Uint8Array> {
    for (const byte of DATA) yield Promise.resolve(Uint8Array.of(byte));
  }
  expect(verify("sha256", DATA, publicKey("9a"), await key.sign(parts()))).toBe(true);

  const stream = key.signStream({ hash: "SHA-384" });
  const passed: Uint8Array[] = [];
  for await (const part of new Blob([DATA]).stream().pipeThrough(stream)) passed.push(part);
  expect(Buffer.concat(passed)).toEqual(DATA);
  expect(verify("sha384", DATA, publicKey("9a"), await stream.signature)).toBe(true);
});

test("a digest that was made elsewhere is signed as it is, if it is as long as its hash", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const digest = createHash("sha256").update(DATA).digest();
  const signature = await key.signDigest(digest);
  expect(verify("sha256", DATA, { key: publicKey("9e"), dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  await expect(key.signDigest(digest.subarray(1))).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: "a digest of 31 bytes; sha256 has 32",
  });
  const ed25519 = await rig.token.keys.get({ reference: "82" });
  await expect(ed25519.signDigest(digest)).rejects.toMatchObject({ code: "KEY_CANNOT" });
});

test("an RSA key decrypts what another program, or its own public key, has encrypted", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const message = Buffer.from("a secret");
  const box = publicEncrypt({ key: publicKey("9a"), oaepHash: "sha256" }, message);
  expect(Buffer.from(await key.decrypt(box))).toEqual(message);
  const own = await key.publicKey();
  expect(Buffer.from(await key.decrypt(await own.encrypt(message, { hash: "SHA-384" }), { hash: "SHA-384" }))).toEqual(
    message,
  );
  expect(
    Buffer.from(await key.decrypt(await own.encrypt(message, { padding: "pkcs1" }), { padding: "pkcs1" })),
  ).toEqual(message);
  await expect(own.encrypt(new Uint8Array(300))).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(key.decrypt(new Uint8Array(256).fill(1))).rejects.toMatchObject({ code: "CKR_ENCRYPTED_DATA_INVALID" });
  const ec = await rig.token.keys.get({ reference: "9c" });
  await expect(ec.decrypt(box)).rejects.toMatchObject({ code: "KEY_CANNOT" });
});

test("keys on a curve agree on a secret with the other party", async () => {
  await using rig = await opened();
  for (const [reference, other] of [
    ["9d", generateKeyPairSync("ec", { namedCurve: "P-256" })],
    ["83", generateKeyPairSync("x25519")],
  ] as const) {
    const key = await rig.token.keys.get({ reference });
    const peer = new PublicKey(new Uint8Array(other.publicKey.export({ format: "der", type: "spki" })));
    const expected = diffieHellman({ privateKey: other.privateKey, publicKey: publicKey(reference) });
    expect(Buffer.from(await key.deriveSecret(peer))).toEqual(expected);
  }
  const [ec, rsa] = [await rig.token.keys.get({ reference: "9d" }), await rig.token.keys.get({ reference: "9a" })];
  await expect(ec.deriveSecret(await rsa.publicKey())).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(rsa.deriveSecret(await ec.publicKey())).rejects.toMatchObject({ code: "KEY_CANNOT" });
  const x25519 = await rig.token.keys.get({ reference: "83" });
  await expect(x25519.sign(DATA)).rejects.toMatchObject({ code: "KEY_CANNOT", rv: 0x63 });
});

test("options that a key does not have are refused before the PIN is asked for", async () => {
  await using rig = await opened();
  const rsa = await rig.token.keys.get({ reference: "9a" });
  const ec = await rig.token.keys.get({ reference: "9c" });
  await expect(rsa.sign(DATA, { encoding: "der" })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/encoding/u),
  });
  await expect(rsa.sign(DATA, { saltLength: 32 })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/saltLength/u),
  });
  await expect(ec.sign(DATA, { padding: "pss" })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/padding/u),
  });
  await expect(ec.sign(DATA, { hash: "MD5" as never })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/MD5/u),
  });
  await expect(ec.sign("text" as never)).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/Uint8Array/u),
  });
  expect(rig.requests).toHaveLength(0);
});

test("a signature costs one exchange; the first adds the login, and nothing is asked twice", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  await key.publicKey();
  rig.exchanges.length = 0;
  await key.sign(DATA);
  const first = rig.exchanges.filter((exchange) => !exchange.startsWith("00c0"));
  expect(first.filter((exchange) => exchange.startsWith("0020"))).toHaveLength(1);
  expect(first.length).toBeLessThanOrEqual(3);
  rig.exchanges.length = 0;
  await key.sign(DATA);
  expect(
    rig.exchanges.filter((exchange) => !exchange.startsWith("00c0")).map((exchange) => exchange.slice(0, 4)),
  ).toEqual(["0087"]);
});

test("the PIN is not in the errors", async () => {
  await using rig = await opened(() => `${PIN}0`);
  const error = await (await rig.token.keys.get({ reference: "9a" })).sign(DATA).catch((reason: unknown) => reason);
  expect(JSON.stringify([error, String(error), (error as Error).stack])).not.toContain(PIN);
});
