import { expect, test } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { opened } from "./opened.ts";

const IV = Buffer.alloc(12, 7);

test("a key that was encrypted for an RSA key is unwrapped, and decrypts", async () => {
  await using rig = await opened();
  const privateKey = await rig.token.keys.get({ reference: "9a" });
  const secret = randomBytes(32);
  const wrapped = await (await privateKey.publicKey()).encrypt(secret);
  await using key = await privateKey.unwrap(wrapped, { type: "aes" });
  const box = await key.encrypt(Buffer.from("meet me at noon"), { mode: "gcm", iv: IV, aad: Buffer.from("to you") });
  await expect(key.decrypt(box, { mode: "gcm", iv: IV })).rejects.toMatchObject({ code: "CKR_ENCRYPTED_DATA_INVALID" });
  const plain = await key.decrypt(box, { mode: "gcm", iv: IV, aad: Buffer.from("to you") });
  expect(Buffer.from(plain).toString()).toBe("meet me at noon");
  // It was not made extractable.
  await expect(key.export()).rejects.toMatchObject({ code: "KEY_CANNOT" });
  expect(rig.requests).toHaveLength(1);
});

test("only RSA keys unwrap, and a wrapped key that was changed is refused", async () => {
  await using rig = await opened();
  const agreeing = await rig.token.keys.get({ reference: "9d" });
  await expect(agreeing.unwrap(randomBytes(256), { type: "aes" })).rejects.toMatchObject({ code: "KEY_CANNOT" });
  const privateKey = await rig.token.keys.get({ reference: "9a" });
  await expect(privateKey.unwrap(randomBytes(16), { type: "des" as "aes" })).rejects.toMatchObject({
    code: "BAD_INPUT",
  });
  const wrapped = await (await privateKey.publicKey()).encrypt(randomBytes(32), { hash: "SHA-1" });
  await expect(privateKey.unwrap(wrapped, { type: "aes" })).rejects.toMatchObject({ code: "CKR_WRAPPED_KEY_INVALID" });
  await using key = await privateKey.unwrap(wrapped, { type: "aes", hash: "SHA-1", extractable: true });
  expect((await key.export()).length).toBe(32);
});

test("keys are generated, brought, wrapped and unwrapped, and are gone after their disposal", async () => {
  await using rig = await opened();
  const { secretKeys } = rig.token;
  await using kek = await secretKeys.generate({ type: "aes", bits: 256 });
  const value = randomBytes(16);
  const key = await secretKeys.import(value, { type: "aes", extractable: true });
  const wrapped = await kek.wrap(key);
  expect(wrapped.length).toBe(24);
  await using again = await kek.unwrap(wrapped, { type: "aes", extractable: true });
  expect(Buffer.from(await again.export())).toEqual(value);
  await expect(kek.wrap(await secretKeys.generate({ type: "aes", bits: 128 }))).rejects.toMatchObject({
    code: "CKR_KEY_UNEXTRACTABLE",
  });
  const message = Buffer.from("of any length");
  const iv = Buffer.alloc(16, 1);
  expect(
    Buffer.from(await again.decrypt(await key.encrypt(message, { mode: "cbc", iv }), { mode: "cbc", iv })),
  ).toEqual(message);
  await key[Symbol.asyncDispose]();
  await expect(key.encrypt(message, { mode: "cbc", iv })).rejects.toMatchObject({ code: "NO_OBJECT" });
  expect(rig.requests).toHaveLength(0);
});

test.each([
  [{ mode: "ecb", iv: IV }, 'no mode "ecb"'],
  [{ mode: "gcm", iv: Buffer.alloc(16) }, "an iv of 16 bytes; gcm has 12"],
  [{ mode: "cbc", iv: Buffer.alloc(16), aad: IV }, "aad does not apply to cbc"],
  [{ mode: "gcm", iv: "0123456789ab" }, "the iv is a Uint8Array"],
])("bad input %j", async (cipher, message) => {
  await using rig = await opened();
  await using key = await rig.token.secretKeys.generate({ type: "aes", bits: 128 });
  await expect(key.encrypt(IV, cipher as never)).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringContaining(message),
  });
});

test("sizes of keys are checked", async () => {
  await using rig = await opened();
  const { secretKeys } = rig.token;
  await expect(secretKeys.generate({ type: "aes", bits: 100 })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(secretKeys.import(randomBytes(5), { type: "aes" })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(secretKeys.get({ label: "none" })).rejects.toMatchObject({ code: "NO_OBJECT" });
});
