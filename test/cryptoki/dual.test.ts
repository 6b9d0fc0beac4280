import { createCipheriv, createHash, createHmac, createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKK, CKM, CKO } from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { refusal, rig, type Rig } from "./rig.ts";

const KEY = new Uint8Array(32).fill(4);
const IV = new Uint8Array(16).fill(6);
const CBC = { mechanism: CKM.AES_CBC_PAD, parameter: IV };
const HASH = { mechanism: CKM.SHA256 };
const HMAC = { mechanism: CKM.SHA256_HMAC };
const PARTS = ["some text, ", "some more of it that is longer than a block", "", "!"].map(utf8);
const TEXT = concat(...PARTS);
const own = (buffer: Uint8Array): Uint8Array => new Uint8Array(buffer);

const cipher = createCipheriv("aes-256-cbc", KEY, IV);
const CIPHERTEXT = own(Buffer.concat([cipher.update(TEXT), cipher.final()]));
const DIGEST = own(createHash("sha256").update(TEXT).digest());
const MAC = own(createHmac("sha256", KEY).update(TEXT).digest());

async function open(): Promise<{ made: Rig; session: number; aes: number; hmac: number } & AsyncDisposable> {
  const made = await rig(await testCard());
  const session = await made.loggedIn();
  const common = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.VALUE]: KEY };
  const aes = await made.cryptoki.C_CreateObject(session, {
    ...common,
    [CKA.KEY_TYPE]: CKK.AES,
    [CKA.ENCRYPT]: true,
    [CKA.DECRYPT]: true,
  });
  const hmac = await made.cryptoki.C_CreateObject(session, {
    ...common,
    [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
    [CKA.SIGN]: true,
    [CKA.VERIFY]: true,
  });
  return { made, session, aes, hmac, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
}

/** Of a text in parts. */
async function inParts(
  parts: readonly Uint8Array[],
  update: (part: Uint8Array) => Promise<Uint8Array>,
  final: () => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const out: Uint8Array[] = [];
  for (const part of parts) out.push(await update(part));
  return concat(...out, await final());
}

const cut = (bytes: Uint8Array): readonly Uint8Array[] => [bytes.slice(0, 5), bytes.slice(5, 40), bytes.slice(40)];

describe("a text that goes two ways", () => {
  test("is digested and encrypted, and comes back so", async () => {
    await using its = await open();
    const { session, aes } = its;
    const { cryptoki } = its.made;
    await cryptoki.C_DigestInit(session, HASH);
    await cryptoki.C_EncryptInit(session, CBC, aes);
    const ciphertext = await inParts(
      PARTS,
      (part) => cryptoki.C_DigestEncryptUpdate(session, part),
      () => cryptoki.C_EncryptFinal(session),
    );
    expect(ciphertext).toEqual(CIPHERTEXT);
    expect(await cryptoki.C_DigestFinal(session)).toEqual(DIGEST);
    await cryptoki.C_DigestInit(session, HASH);
    await cryptoki.C_DecryptInit(session, CBC, aes);
    let last: Uint8Array = new Uint8Array();
    const text = await inParts(
      cut(CIPHERTEXT),
      (part) => cryptoki.C_DecryptDigestUpdate(session, part),
      async () => (last = own(await cryptoki.C_DecryptFinal(session))),
    );
    expect(text).toEqual(TEXT);
    // A padded cipher keeps its last block back (PKCS#11 3.1, C_DecryptDigestUpdate: the plaintext of C_DecryptFinal).
    await cryptoki.C_DigestUpdate(session, last);
    expect(await cryptoki.C_DigestFinal(session)).toEqual(DIGEST);
  });

  test("is signed and encrypted, and verified as it is decrypted", async () => {
    await using its = await open();
    const { session, aes, hmac } = its;
    const { cryptoki } = its.made;
    await cryptoki.C_SignInit(session, HMAC, hmac);
    await cryptoki.C_EncryptInit(session, CBC, aes);
    const ciphertext = await inParts(
      PARTS,
      (part) => cryptoki.C_SignEncryptUpdate(session, part),
      () => cryptoki.C_EncryptFinal(session),
    );
    expect(ciphertext).toEqual(CIPHERTEXT);
    expect(await cryptoki.C_SignFinal(session)).toEqual(MAC);
    await cryptoki.C_VerifyInit(session, HMAC, hmac);
    await cryptoki.C_DecryptInit(session, CBC, aes);
    for (const part of cut(CIPHERTEXT)) await cryptoki.C_DecryptVerifyUpdate(session, part);
    await cryptoki.C_VerifyUpdate(session, await cryptoki.C_DecryptFinal(session));
    await cryptoki.C_VerifyFinal(session, MAC);
  });

  test("is signed by the card while it is encrypted", async () => {
    await using its = await open();
    const { session, aes, made } = its;
    const { cryptoki } = made;
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await made.privateKey(session, 1));
    await cryptoki.C_EncryptInit(session, CBC, aes);
    for (const part of PARTS) await cryptoki.C_SignEncryptUpdate(session, part);
    await cryptoki.C_EncryptFinal(session);
    const signature = await cryptoki.C_SignFinal(session);
    expect(verify("sha256", TEXT, createPublicKey(testKey("rsa-2048", "9a")), signature)).toBe(true);
  });

  test("may go one way between", async () => {
    await using its = await open();
    const { session, aes } = its;
    const { cryptoki } = its.made;
    await cryptoki.C_DigestInit(session, HASH);
    await cryptoki.C_EncryptInit(session, CBC, aes);
    await cryptoki.C_DigestUpdate(session, TEXT);
    const head = await cryptoki.C_EncryptUpdate(session, TEXT.slice(0, 3));
    const tail = await cryptoki.C_DigestEncryptUpdate(session, TEXT.slice(3));
    expect(concat(head, tail, await cryptoki.C_EncryptFinal(session))).toEqual(CIPHERTEXT);
    const twice = createHash("sha256").update(TEXT).update(TEXT.slice(3)).digest();
    expect(await cryptoki.C_DigestFinal(session)).toEqual(own(twice));
  });
});

test("what is wrong with a part ends both operations", async () => {
  await using its = await open();
  const { session, aes } = its;
  const { cryptoki } = its.made;
  await cryptoki.C_DigestInit(session, HASH);
  await cryptoki.C_EncryptInit(session, CBC, aes);
  await expect(cryptoki.C_DigestEncryptUpdate(session, "text" as unknown as Uint8Array)).rejects.toMatchObject(
    refusal("ARGUMENTS_BAD"),
  );
  for (const call of [() => cryptoki.C_DigestFinal(session), () => cryptoki.C_EncryptFinal(session)]) {
    await expect(call()).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
  }
});
