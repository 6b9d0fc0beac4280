import { constants, createPublicKey, privateEncrypt, publicDecrypt } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKK, CKM, CKO, type CK_MECHANISM, mechanismOf } from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { refusal, rig } from "./rig.ts";

const key = testKey("rsa-2048", "9a");
const publicKey = createPublicKey(key);
const TEXT = utf8("the message in its signature");
const PKCS1 = { mechanism: CKM.RSA_PKCS };
const RAW = { mechanism: CKM.RSA_X_509 };
const own = (buffer: Uint8Array): Uint8Array => new Uint8Array(buffer);
const padded = concat(new Uint8Array(256 - TEXT.length), TEXT);

describe.each<[string, CK_MECHANISM, number, Uint8Array]>([
  ["PKCS #1 v1.5", PKCS1, constants.RSA_PKCS1_PADDING, TEXT],
  ["the bare operation", RAW, constants.RSA_NO_PADDING, padded],
])("a signature with %s", (_name, mechanism, padding, recovered) => {
  test("of the card gives its message to another program", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    await made.cryptoki.C_SignRecoverInit(session, mechanism, await made.privateKey(session, 1));
    const signature = await made.cryptoki.C_SignRecover(session, TEXT);
    expect(own(publicDecrypt({ key: publicKey, padding }, signature))).toEqual(recovered);
  });

  test("of another program gives its message, and a wrong one none", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const object = await made.publicKey(session, 1);
    const signature = own(privateEncrypt({ key, padding }, recovered));
    await cryptoki.C_VerifyRecoverInit(session, mechanism, object);
    expect(await cryptoki.C_VerifyRecover(session, signature)).toEqual(recovered);
    for (const [wrong, name] of [
      [signature.slice(1), "SIGNATURE_LEN_RANGE"],
      [new Uint8Array(), "SIGNATURE_LEN_RANGE"],
      [new Uint8Array(256).fill(0xff), "SIGNATURE_INVALID"],
    ] as const) {
      await cryptoki.C_VerifyRecoverInit(session, mechanism, object);
      await expect(cryptoki.C_VerifyRecover(session, wrong)).rejects.toMatchObject(refusal(name));
      await expect(cryptoki.C_VerifyRecover(session, signature)).rejects.toMatchObject(
        refusal("OPERATION_NOT_INITIALIZED"),
      );
    }
  });
});

test.each([
  [7, "SIGNATURE_INVALID"],
  [8, "OK"],
])("a signature with %i bytes of padding: %s (RFC 8017 section 9.2 wants eight at least)", async (length, outcome) => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  const message = new Uint8Array(256 - 3 - length).fill(0x5a);
  const block = concat(Uint8Array.of(0x00, 0x01), new Uint8Array(length).fill(0xff), Uint8Array.of(0x00), message);
  const signature = own(privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, block));
  await cryptoki.C_VerifyRecoverInit(session, PKCS1, await made.publicKey(session, 1));
  const recovered = cryptoki.C_VerifyRecover(session, signature);
  if (outcome === "OK") expect(await recovered).toEqual(message);
  else await expect(recovered).rejects.toMatchObject(refusal(outcome));
});

test("a message that is too long for the key is refused before the card sees it", async () => {
  await using made = await rig(await testCard());
  const session = await made.loggedIn();
  const object = await made.privateKey(session, 1);
  for (const [mechanism, length] of [
    [PKCS1, 246],
    [RAW, 257],
  ] as const) {
    await made.cryptoki.C_SignRecoverInit(session, mechanism, object);
    const used = await made.count(async () => {
      await expect(made.cryptoki.C_SignRecover(session, new Uint8Array(length))).rejects.toMatchObject(
        refusal("DATA_LEN_RANGE"),
      );
    });
    expect(used).toBe(0);
  }
});

test("signatures that hold no message are none of these", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  for (const mechanism of [CKM.SHA256_RSA_PKCS, CKM.RSA_PKCS_PSS, CKM.ECDSA, CKM.SHA256_HMAC, CKM.SHA256]) {
    const object = await made.privateKey(session, 1);
    await expect(cryptoki.C_SignRecoverInit(session, mechanismOf(mechanism), object)).rejects.toMatchObject(
      refusal("MECHANISM_INVALID"),
    );
    await expect(
      cryptoki.C_VerifyRecoverInit(session, mechanismOf(mechanism), await made.publicKey(session, 1)),
    ).rejects.toMatchObject(refusal("MECHANISM_INVALID"));
  }
});

describe("a key of the session that is destroyed between an operation's steps", () => {
  const jwk = testKey("rsa-1024", "software").export({ format: "jwk" });
  const number = (text = ""): Uint8Array => own(Buffer.from(text, "base64url"));
  const RSA = {
    [CKA.CLASS]: CKO.PRIVATE_KEY,
    [CKA.KEY_TYPE]: CKK.RSA,
    [CKA.MODULUS]: number(jwk.n),
    [CKA.PUBLIC_EXPONENT]: number(jwk.e),
    [CKA.PRIVATE_EXPONENT]: number(jwk.d),
    [CKA.SIGN]: true,
    [CKA.SIGN_RECOVER]: true,
    [CKA.DECRYPT]: true,
  } as const;
  const secret = (keyType: number) => ({
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: keyType,
    [CKA.VALUE]: new Uint8Array(16).fill(1),
    [CKA.SIGN]: true,
    [CKA.ENCRYPT]: true,
  });
  const GCM = { mechanism: CKM.AES_GCM, parameter: { pIv: new Uint8Array(12), ulTagBits: 128 } };

  test.each([
    ["sign", RSA, { mechanism: CKM.SHA256_RSA_PKCS }],
    ["sign-recover", RSA, PKCS1],
    ["decrypt", RSA, PKCS1],
    ["encrypt", secret(CKK.AES), GCM],
  ] as const)("%s", async (use, template, mechanism) => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const object = await cryptoki.C_CreateObject(session, template);
    const { init, step } = {
      sign: { init: cryptoki.C_SignInit.bind(cryptoki), step: cryptoki.C_Sign.bind(cryptoki) },
      "sign-recover": { init: cryptoki.C_SignRecoverInit.bind(cryptoki), step: cryptoki.C_SignRecover.bind(cryptoki) },
      decrypt: { init: cryptoki.C_DecryptInit.bind(cryptoki), step: cryptoki.C_Decrypt.bind(cryptoki) },
      encrypt: { init: cryptoki.C_EncryptInit.bind(cryptoki), step: cryptoki.C_Encrypt.bind(cryptoki) },
    }[use];
    await init(session, mechanism, object);
    await cryptoki.C_DestroyObject(session, object);
    await expect(
      step(session, new Uint8Array(128).fill(1).slice(use === "sign-recover" ? 50 : 0)),
    ).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
    await expect(step(session, TEXT)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
  });
});
