import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { CompactEncrypt } from "jose";
import { decryptCms, decryptJwe, encryptCms, encryptJwe } from "../../src/formats/index.ts";
import { KEYS, opened } from "../tokens/opened.ts";
import { Authority } from "./authority.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await Authority.create();
}, 60_000);
afterAll(() => authority[Symbol.asyncDispose]());

const SECRET = "a secret letter";
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test.each([
  ["9a", "RSA-OAEP", "A128GCM"],
  ["9a", "RSA-OAEP-256", "A256CBC-HS512"],
  ["9d", "ECDH-ES", "A256GCM"],
  ["9d", "ECDH-ES", "A256CBC-HS512"],
  ["9d", "ECDH-ES+A256KW", "A128CBC-HS256"],
  ["83", "ECDH-ES+A128KW", "A192GCM"],
] as const)("%s decrypts what jose encrypts with %s and %s", async (reference, alg, enc) => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference });
  const jwe = await new CompactEncrypt(Buffer.from(SECRET))
    .setProtectedHeader({ alg, enc })
    .setKeyManagementParameters(alg.startsWith("ECDH") ? { apu: Buffer.from("A"), apv: Buffer.from("B") } : {})
    .encrypt(createPublicKey(KEYS[reference].privateKey));
  expect(text(await decryptJwe(key, jwe))).toBe(SECRET);
  const [header = "", ...parts] = jwe.split(".");
  const tag = Buffer.from(parts[3] ?? "", "base64url");
  tag[0] = (tag[0] ?? 0) ^ 1;
  const altered = [header, ...parts.slice(0, 3), tag.toString("base64url")].join(".");
  await expect(decryptJwe(key, altered)).rejects.toMatchObject({
    code: "NOT_DECRYPTED",
    message: "the message is not for this key, or it was altered",
  });
});

test("a JWE of ours, one for a key of another type, and RSA1_5", async () => {
  await using rig = await opened();
  const rsa = await rig.token.keys.get({ reference: "9a" });
  const ec = await rig.token.keys.get({ reference: "9d" });
  const forRsa = await encryptJwe(await rsa.publicKey(), Buffer.from(SECRET));
  const forEc = await encryptJwe(await ec.publicKey(), Buffer.from(SECRET));
  await expect(decryptJwe(ec, forRsa)).rejects.toMatchObject({ code: "KEY_CANNOT" });
  await expect(decryptJwe(rsa, forEc)).rejects.toMatchObject({ code: "KEY_CANNOT" });
  const header = Buffer.from('{"alg":"RSA1_5","enc":"A256GCM"}').toString("base64url");
  const old = `${header}.AA.AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA`;
  await expect(decryptJwe(rsa, old)).rejects.toMatchObject({
    code: "MALFORMED",
    message: "the JWE has an algorithm that is not taken: RSA1_5",
  });
  await expect(decryptJwe(rsa, "a.b")).rejects.toMatchObject({ code: "MALFORMED" });
  expect(rig.requests).toHaveLength(0);
  expect(text(await decryptJwe(rsa, forRsa))).toBe(SECRET);
  expect(text(await decryptJwe(ec, forEc))).toBe(SECRET);
});

test.each([
  ["9a", []],
  ["9a", ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]],
  ["9a", ["-keyopt", "rsa_padding_mode:oaep"]],
  ["9d", ["-keyopt", "ecdh_kdf_md:sha256"]],
  ["9d", []],
] as const)(
  "%s decrypts what openssl encrypts as CMS with %j",
  async (reference, options) => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference });
    const uses = ["keyUsage=keyEncipherment,keyAgreement"];
    const pem = await authority.issue((await key.publicKey()).toPem(), "Ada", uses);
    await authority.write("ada.pem", pem);
    await authority.write("secret", SECRET);
    const input = ["-encrypt", "-aes256", "-binary", "-in", "secret", "-outform", "DER", "-out", "secret.p7m"];
    await authority.openssl("cms", ...input, "-recip", "ada.pem", ...options);
    const message = await readFile(authority.file("secret.p7m"));
    expect(text(await decryptCms(key, message, { certificate: pem }))).toBe(SECRET);
    const other = (await key.certificate()).toPem();
    await expect(decryptCms(key, message, { certificate: other })).rejects.toMatchObject({
      code: "NOT_DECRYPTED",
      message: "the message has no recipient with this key",
    });
    const altered = Buffer.from(message);
    const place = altered.length - 1;
    altered[place] = (altered[place] ?? 0) ^ 0x80;
    await expect(decryptCms(key, altered)).rejects.toMatchObject({ code: "NOT_DECRYPTED" });
  },
  30_000,
);

test("openssl and a card decrypt a CMS message for two recipients", async () => {
  await using rig = await opened();
  const rsa = await rig.token.keys.get({ reference: "9a" });
  const ec = await rig.token.keys.get({ reference: "9d" });
  const certificates = [await rsa.certificate(), await ec.certificate(), await authority.ca()];
  const message = await encryptCms(certificates, Buffer.from(SECRET));
  for (const key of [rsa, ec]) {
    expect(text(await decryptCms(key, message, { certificate: await key.certificate() }))).toBe(SECRET);
  }
  await authority.write("message.p7m", message);
  const decrypt = ["cms", "-decrypt", "-inform", "DER", "-in", "message.p7m", "-recip", "ca.pem", "-inkey", "ca.key"];
  expect(await authority.openssl(...decrypt)).toBe(SECRET);
}, 30_000);
