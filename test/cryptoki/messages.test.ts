import { createCipheriv, createDecipheriv, createHmac, createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, utf8 } from "../../src/bytes/index.ts";
import {
  type CK_CCM_MESSAGE_PARAMS,
  type CK_GCM_MESSAGE_PARAMS,
  CKA,
  CKF,
  CKG,
  CKK,
  CKM,
  CKO,
  CKU,
  mechanismOf,
} from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { PIN, refusal, rig, type Rig } from "./rig.ts";
import { shareOf } from "../seeded-random.ts";

const KEY = new Uint8Array(16).fill(3);
const TEXT = utf8("the message");
const MORE = utf8("associated data");
const IV = new Uint8Array(12).fill(5);
const own = (buffer: Uint8Array): Uint8Array => new Uint8Array(buffer);

interface Scene extends AsyncDisposable {
  readonly made: Rig;
  readonly session: number;
  readonly key: number;
}

async function begun(mechanism: number): Promise<Scene> {
  const made = await rig(await testCard());
  const session = await made.session();
  const key = await made.cryptoki.C_CreateObject(session, {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: CKK.AES,
    [CKA.VALUE]: KEY,
    [CKA.ENCRYPT]: true,
    [CKA.DECRYPT]: true,
    [CKA.PRIVATE]: false,
  });
  await made.cryptoki.C_MessageEncryptInit(session, mechanismOf(mechanism), key);
  await made.cryptoki.C_MessageDecryptInit(session, mechanismOf(mechanism), key);
  return { made, session, key, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
}

function gcmOfNode(iv: Uint8Array, text: Uint8Array, tagLength: number): { ciphertext: Uint8Array; tag: Uint8Array } {
  const cipher = createCipheriv("aes-128-gcm", KEY, iv, { authTagLength: tagLength }).setAAD(MORE);
  const ciphertext = own(Buffer.concat([cipher.update(text), cipher.final()]));
  return { ciphertext, tag: own(cipher.getAuthTag()) };
}

function ccmOfNode(iv: Uint8Array, text: Uint8Array, tagLength: number): { ciphertext: Uint8Array; tag: Uint8Array } {
  const cipher = createCipheriv("aes-128-ccm", KEY, iv, { authTagLength: tagLength });
  cipher.setAAD(MORE, { plaintextLength: text.length });
  const ciphertext = own(Buffer.concat([cipher.update(text), cipher.final()]));
  return { ciphertext, tag: own(cipher.getAuthTag()) };
}

describe("messages encrypted with AES-GCM", () => {
  test.each([4, 8, 12, 13, 14, 15, 16])("with a tag of %i bytes are those of another program", async (length) => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const given = { pIv: IV, ulTagBits: 8 * length };
    const { ciphertext, tag } = gcmOfNode(IV, TEXT, length);
    const made = await cryptoki.C_EncryptMessage(its.session, given, MORE, TEXT);
    expect(made).toEqual({ ciphertext, parameter: { ...given, pTag: tag } });
    expect(await cryptoki.C_DecryptMessage(its.session, { ...given, pTag: tag }, MORE, ciphertext)).toEqual(TEXT);
  });

  test("any text in any parts is one message", async () => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const { session } = its;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 6 }),
        fc.uint8Array({ minLength: 1, maxLength: 20 }),
        async (parts, pIv) => {
          const { ciphertext, tag } = gcmOfNode(pIv, concat(...parts), 16);
          const given = { pIv, ulTagBits: 128 };
          const flagsOf = (index: number): number => (index === parts.length - 1 ? CKF.END_OF_MESSAGE : 0);
          await cryptoki.C_EncryptMessageBegin(session, given, MORE);
          let sealed;
          for (const [index, part] of parts.entries()) {
            sealed = await cryptoki.C_EncryptMessageNext(session, given, part, flagsOf(index));
          }
          expect(sealed).toEqual({ ciphertext, parameter: { ...given, pTag: tag } });
          await cryptoki.C_DecryptMessageBegin(session, { ...given, pTag: tag }, MORE);
          let [at, opened]: [number, Uint8Array | undefined] = [0, undefined];
          for (const [index, { length }] of parts.entries()) {
            opened = await cryptoki.C_DecryptMessageNext(
              session,
              null,
              ciphertext.slice(at, at + length),
              flagsOf(index),
            );
            at += length;
          }
          expect(opened).toEqual(concat(...parts));
        },
      ),
      { numRuns: shareOf(50) },
    );
  });

  test.each<[string, { ciphertext?: boolean; tag?: boolean; iv?: boolean; more?: boolean }]>([
    ["text", { ciphertext: true }],
    ["tag", { tag: true }],
    ["IV", { iv: true }],
    ["associated data", { more: true }],
  ])("a changed %s is found out, and the next message comes", async (_what, changed) => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const { session } = its;
    const { ciphertext, tag } = gcmOfNode(IV, TEXT, 16);
    const flip = (bytes: Uint8Array, really = false): Uint8Array =>
      really ? bytes.map((byte, index) => (index === 0 ? byte ^ 1 : byte)) : bytes;
    const wrong = { pIv: flip(IV, changed.iv), pTag: flip(tag, changed.tag), ulTagBits: 128 };
    const more = flip(MORE, changed.more);
    const text = flip(ciphertext, changed.ciphertext);
    await expect(cryptoki.C_DecryptMessage(session, wrong, more, text)).rejects.toMatchObject(
      refusal("AEAD_DECRYPT_FAILED"),
    );
    await cryptoki.C_DecryptMessageBegin(session, wrong, more);
    await cryptoki.C_DecryptMessageNext(session, wrong, text, 0);
    await expect(
      cryptoki.C_DecryptMessageNext(session, wrong, new Uint8Array(), CKF.END_OF_MESSAGE),
    ).rejects.toMatchObject(refusal("AEAD_DECRYPT_FAILED"));
    const right = { pIv: IV, pTag: tag, ulTagBits: 128 };
    expect(await cryptoki.C_DecryptMessage(session, right, MORE, ciphertext)).toEqual(TEXT);
    await cryptoki.C_MessageDecryptFinal(session);
  });

  test.each<[string, number]>([
    ["GENERATE", CKG.GENERATE],
    ["GENERATE_RANDOM", CKG.GENERATE_RANDOM],
    ["GENERATE_COUNTER", CKG.GENERATE_COUNTER],
    ["GENERATE_COUNTER_XOR", CKG.GENERATE_COUNTER_XOR],
  ])("CKG_%s makes another IV each time, behind the bits that are fixed", async (_name, ivGenerator) => {
    await using its = await begun(CKM.AES_GCM);
    const fixed = 37;
    const ivs = new Set<string>();
    for (let turn = 0; turn < 20; turn++) {
      const given = { pIv: IV, ulIvFixedBits: fixed, ivGenerator, ulTagBits: 128 };
      const { ciphertext, parameter } = await its.made.cryptoki.C_EncryptMessage(its.session, given, MORE, TEXT);
      const { pIv = IV, pTag } = parameter as CK_GCM_MESSAGE_PARAMS;
      expect(pIv).toHaveLength(12);
      expect(bits(pIv).slice(0, fixed)).toBe(bits(IV).slice(0, fixed));
      expect({ ciphertext, tag: pTag }).toEqual(gcmOfNode(pIv, TEXT, 16));
      ivs.add(bits(pIv).slice(fixed));
    }
    expect(ivs.size).toBe(20);
  });

  test("a parameter that is given at the beginning, as in the standard's example, means nothing yet", async () => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const { session, key } = its;
    await cryptoki.C_MessageEncryptInit(session, null, 0);
    const given = { pIv: IV, ulTagBits: 128 };
    for (const wrong of [KEY, 5]) {
      await expect(cryptoki.C_MessageEncryptInit(session, mechanismOf(CKM.AES_GCM, wrong), key)).rejects.toMatchObject(
        refusal("MECHANISM_PARAM_INVALID"),
      );
    }
    await cryptoki.C_MessageEncryptInit(session, { mechanism: CKM.AES_GCM, parameter: given }, key);
    const other = { pIv: IV.map((byte) => byte + 1), ulTagBits: 96 };
    const { ciphertext, tag } = gcmOfNode(other.pIv, TEXT, 12);
    expect(await cryptoki.C_EncryptMessage(session, other, MORE, TEXT)).toEqual({
      ciphertext,
      parameter: { ...other, pTag: tag },
    });
  });

  test("a counter counts, and one is not begun again when its numbers are used up", async () => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const given = { pIv: IV, ulIvFixedBits: 94, ivGenerator: CKG.GENERATE_COUNTER, ulTagBits: 128 };
    const last: number[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const { parameter } = await cryptoki.C_EncryptMessage(its.session, given, MORE, TEXT);
      last.push(((parameter as CK_GCM_MESSAGE_PARAMS).pIv?.at(-1) ?? 0) & 3);
    }
    expect(last).toEqual([0, 1, 2, 3]);
    await expect(cryptoki.C_EncryptMessage(its.session, given, MORE, TEXT)).rejects.toMatchObject(
      refusal("DATA_LEN_RANGE"),
    );
  });

  test.each<[string, object | null]>([
    ["none", null],
    ["without an IV", { ulTagBits: 128 }],
    ["with an IV that is too long", { pIv: new Uint8Array(257), ulTagBits: 128 }],
    ["with an IV that is no bytes", { pIv: "iv", ulTagBits: 128 }],
    ["without a tag's length", { pIv: IV }],
    ["with a tag of 127 bits", { pIv: IV, ulTagBits: 127 }],
    ["with a tag of 136 bits", { pIv: IV, ulTagBits: 136 }],
    ["with nothing but fixed bits", { pIv: IV, ulTagBits: 128, ulIvFixedBits: 96, ivGenerator: CKG.GENERATE }],
    ["with fixed bits below none", { pIv: IV, ulTagBits: 128, ulIvFixedBits: -1, ivGenerator: CKG.GENERATE }],
    ["with too little at random", { pIv: IV, ulTagBits: 128, ulIvFixedBits: 41, ivGenerator: CKG.GENERATE_RANDOM }],
    ["with a generator that is none", { pIv: IV, ulTagBits: 128, ivGenerator: 9 }],
  ])("a parameter %s is refused, and the next message comes", async (_what, parameter) => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const wrong = parameter as CK_GCM_MESSAGE_PARAMS;
    for (const call of [
      () => cryptoki.C_EncryptMessage(its.session, wrong, MORE, TEXT),
      () => cryptoki.C_EncryptMessageBegin(its.session, wrong, MORE),
      () => cryptoki.C_DecryptMessage(its.session, { ...wrong, ivGenerator: 0, pTag: IV }, MORE, TEXT),
    ]) {
      await expect(call()).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    }
    await cryptoki.C_EncryptMessage(its.session, { pIv: IV, ulTagBits: 128 }, MORE, TEXT);
    await cryptoki.C_MessageEncryptFinal(its.session);
  });

  test("its tag may come with the last part", async () => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const { session } = its;
    const { ciphertext, tag } = gcmOfNode(IV, TEXT, 16);
    const given = { pIv: IV, ulTagBits: 128 };
    const last = CKF.END_OF_MESSAGE;
    await cryptoki.C_DecryptMessageBegin(session, given, MORE);
    await cryptoki.C_DecryptMessageNext(session, given, ciphertext, 0);
    const end = cryptoki.C_DecryptMessageNext(session, { ...given, pTag: tag }, new Uint8Array(), last);
    expect(await end).toEqual(TEXT);
    for (const wrong of [given, null, { ...given, pTag: tag.slice(1) }]) {
      await cryptoki.C_DecryptMessageBegin(session, given, MORE);
      await expect(cryptoki.C_DecryptMessageNext(session, wrong, ciphertext, last)).rejects.toMatchObject(
        refusal("MECHANISM_PARAM_INVALID"),
      );
    }
  });

  test("an error in a part ends its message, and no other", async () => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const { session } = its;
    const { ciphertext, tag } = gcmOfNode(IV, TEXT, 16);
    const given = { pIv: IV, pTag: tag, ulTagBits: 128 };
    await cryptoki.C_EncryptMessageBegin(session, given, MORE);
    await cryptoki.C_DecryptMessageBegin(session, given, MORE);
    await expect(cryptoki.C_EncryptMessageNext(session, given, TEXT, 2)).rejects.toMatchObject(
      refusal("ARGUMENTS_BAD"),
    );
    await expect(cryptoki.C_EncryptMessageNext(session, given, TEXT, CKF.END_OF_MESSAGE)).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
    expect(await cryptoki.C_DecryptMessageNext(session, given, ciphertext, CKF.END_OF_MESSAGE)).toEqual(TEXT);
    await cryptoki.C_MessageEncryptFinal(session);
  });

  test("a key that is destroyed meanwhile is no key any more", async () => {
    await using its = await begun(CKM.AES_GCM);
    const { cryptoki } = its.made;
    const { session } = its;
    const { ciphertext, tag } = gcmOfNode(IV, TEXT, 16);
    const given = { pIv: IV, pTag: tag, ulTagBits: 128 };
    await cryptoki.C_EncryptMessageBegin(session, given, MORE);
    await cryptoki.C_DestroyObject(session, its.key);
    for (const call of [
      () => cryptoki.C_EncryptMessageNext(session, given, TEXT, CKF.END_OF_MESSAGE),
      () => cryptoki.C_EncryptMessage(session, given, MORE, TEXT),
      () => cryptoki.C_DecryptMessage(session, given, MORE, ciphertext),
    ]) {
      await expect(call()).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
    }
  });
});

const bits = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");

describe("messages encrypted with AES-CCM", () => {
  test.each([4, 6, 8, 10, 12, 14, 16])("with a MAC of %i bytes are those of another program", async (ulMACLen) => {
    await using its = await begun(CKM.AES_CCM);
    const { cryptoki } = its.made;
    const given = { pNonce: IV, ulMACLen };
    const { ciphertext, tag } = ccmOfNode(IV, TEXT, ulMACLen);
    const sealed = await cryptoki.C_EncryptMessage(its.session, given, MORE, TEXT);
    expect(sealed).toEqual({ ciphertext, parameter: { ...given, pMAC: tag } });
    const right = { ...given, pMAC: tag };
    expect(await cryptoki.C_DecryptMessage(its.session, right, MORE, ciphertext)).toEqual(TEXT);
    await expect(cryptoki.C_DecryptMessage(its.session, right, TEXT, ciphertext)).rejects.toMatchObject(
      refusal("AEAD_DECRYPT_FAILED"),
    );
    expect(await cryptoki.C_DecryptMessage(its.session, right, MORE, ciphertext)).toEqual(TEXT);
  });

  test("with a nonce that is made, which another program opens", async () => {
    await using its = await begun(CKM.AES_CCM);
    const given = { ulNonceLen: 13, nonceGenerator: CKG.GENERATE, ulMACLen: 8 };
    const sealed = await its.made.cryptoki.C_EncryptMessage(its.session, given, MORE, TEXT);
    const { pNonce = IV, pMAC = IV } = sealed.parameter as CK_CCM_MESSAGE_PARAMS;
    const decipher = createDecipheriv("aes-128-ccm", KEY, pNonce, { authTagLength: 8 }).setAuthTag(pMAC);
    decipher.setAAD(MORE, { plaintextLength: TEXT.length });
    expect(own(decipher.update(sealed.ciphertext))).toEqual(TEXT);
  });

  test.each<[string, CK_CCM_MESSAGE_PARAMS]>([
    ["a nonce of 6 bytes", { pNonce: new Uint8Array(6), ulMACLen: 8 }],
    ["a nonce of 14 bytes", { pNonce: new Uint8Array(14), ulMACLen: 8 }],
    ["a MAC of 5 bytes", { pNonce: IV, ulMACLen: 5 }],
    ["a MAC of 18 bytes", { pNonce: IV, ulMACLen: 18 }],
  ])("%s is refused", async (_what, parameter) => {
    await using its = await begun(CKM.AES_CCM);
    await expect(its.made.cryptoki.C_EncryptMessage(its.session, parameter, MORE, TEXT)).rejects.toMatchObject(
      refusal("MECHANISM_PARAM_INVALID"),
    );
  });
});

test.each(["CBC", "CMAC"] as const)("AES_%s has no messages to encrypt", async (name) => {
  await using its = await begun(CKM.AES_GCM);
  const { cryptoki } = its.made;
  await cryptoki.C_MessageEncryptFinal(its.session);
  await expect(
    cryptoki.C_MessageEncryptInit(its.session, mechanismOf(CKM[`AES_${name}`]), its.key),
  ).rejects.toMatchObject(refusal("MECHANISM_INVALID"));
});

describe("messages signed with a key of the card", () => {
  const nodeVerifies = (slot: string, type: "p-256" | "rsa-2048", data: Uint8Array, signature: Uint8Array): boolean =>
    verify(
      "sha256",
      data,
      { key: createPublicKey(testKey(type, slot)), dsaEncoding: "ieee-p1363" as const },
      signature,
    );

  test("each by itself or in parts, and verified likewise", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const mechanism = { mechanism: CKM.SHA256_RSA_PKCS };
    await cryptoki.C_MessageSignInit(session, mechanism, await made.privateKey(session, 1));
    await cryptoki.C_MessageVerifyInit(session, mechanism, await made.publicKey(session, 1));
    for (let turn = 0; turn < 3; turn++) {
      const data = utf8(`message ${turn}`);
      const signature = await cryptoki.C_SignMessage(session, null, data);
      expect(nodeVerifies("9a", "rsa-2048", data, signature)).toBe(true);
      await cryptoki.C_SignMessageBegin(session, null);
      expect(await cryptoki.C_SignMessageNext(session, null, data.slice(0, 3), false)).toBeUndefined();
      expect(await cryptoki.C_SignMessageNext(session, null, data.slice(3), true)).toEqual(signature);
      await cryptoki.C_VerifyMessage(session, null, data, signature);
      const wrong = signature.map((byte) => byte ^ 1);
      await expect(cryptoki.C_VerifyMessage(session, null, data, wrong)).rejects.toMatchObject(
        refusal("SIGNATURE_INVALID"),
      );
      await cryptoki.C_VerifyMessageBegin(session, null);
      await cryptoki.C_VerifyMessageNext(session, null, data, null);
      await expect(
        cryptoki.C_VerifyMessageNext(session, null, new Uint8Array(), signature.slice(1)),
      ).rejects.toMatchObject(refusal("SIGNATURE_LEN_RANGE"));
    }
    await cryptoki.C_MessageSignFinal(session);
    await cryptoki.C_MessageVerifyFinal(session);
  });

  test("that wants its PIN before each, one PIN a message", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_MessageSignInit(session, { mechanism: CKM.ECDSA_SHA256 }, await made.privateKey(session, 2));
    for (let turn = 0; turn < 2; turn++) {
      await expect(cryptoki.C_SignMessage(session, null, TEXT)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
      await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
      expect(nodeVerifies("9c", "p-256", TEXT, await cryptoki.C_SignMessage(session, null, TEXT))).toBe(true);
    }
    await cryptoki.C_SignMessageBegin(session, null);
    await cryptoki.C_SignMessageNext(session, null, TEXT, false);
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    const signature = await cryptoki.C_SignMessageNext(session, null, new Uint8Array(), true);
    expect(nodeVerifies("9c", "p-256", TEXT, signature ?? new Uint8Array())).toBe(true);
    await cryptoki.C_MessageSignFinal(session);
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(3);
  });

  test("or with a MAC; a parameter is none of theirs, and a destroyed key signs nothing", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const key = await cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.VALUE]: KEY,
      [CKA.SIGN]: true,
      [CKA.PRIVATE]: false,
    });
    await cryptoki.C_MessageSignInit(session, { mechanism: CKM.SHA256_HMAC }, key);
    const mac = own(createHmac("sha256", KEY).update(TEXT).digest());
    expect(await cryptoki.C_SignMessage(session, null, TEXT)).toEqual(mac);
    await expect(cryptoki.C_SignMessage(session, KEY as unknown as null, TEXT)).rejects.toMatchObject(
      refusal("MECHANISM_PARAM_INVALID"),
    );
    expect(await cryptoki.C_SignMessage(session, null, TEXT)).toEqual(mac);
    await cryptoki.C_DestroyObject(session, key);
    await expect(cryptoki.C_SignMessage(session, null, TEXT)).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
  });
});
