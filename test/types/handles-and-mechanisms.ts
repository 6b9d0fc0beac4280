/**
 * What the types of the C_ functions allow and refuse. Nothing here runs: `npm run typecheck` fails if a line without
 * `@ts-expect-error` is refused, or if one with it is allowed.
 */
import {
  type CK_MECHANISM,
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKA,
  CKD,
  CKG,
  CKM,
  CKO,
  type Cryptoki,
  mechanismOf,
  type Template,
} from "../../src/cryptoki/index.ts";

const BYTES = new Uint8Array(16);

export async function handles(cryptoki: Cryptoki): Promise<void> {
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, 4);
  const [key = 0] = await cryptoki.C_FindObjects(session, 1);
  const rsa: CK_MECHANISM = { mechanism: CKM.RSA_PKCS };

  await cryptoki.C_SignInit(session, rsa, key);
  // Plain numbers are accepted too; no cast is needed.
  await cryptoki.C_SignInit(1, rsa, 2);
  const numbers: readonly number[] = [session, key, slot];
  await cryptoki.C_CloseSession(numbers[0] ?? 0);

  // @ts-expect-error an object is no session
  await cryptoki.C_SignInit(key, rsa, key);
  // @ts-expect-error a session is no object
  await cryptoki.C_SignInit(session, rsa, session);
  // @ts-expect-error a session is no slot
  await cryptoki.C_GetTokenInfo(session);
  // @ts-expect-error a slot is no session
  await cryptoki.C_CloseSession(slot);
  // @ts-expect-error the pair's keys are objects
  const wrong: CK_SESSION_HANDLE = (await cryptoki.C_GenerateKeyPair(session, rsa, {}, {})).publicKey;
  const right: CK_OBJECT_HANDLE = await cryptoki.C_CreateObject(session, {});
  await cryptoki.C_DestroyObject(session, right);
  await cryptoki.C_CloseSession(wrong);
}

export const ALLOWED: readonly CK_MECHANISM[] = [
  { mechanism: CKM.SHA256_RSA_PKCS },
  { mechanism: CKM.SHA256_RSA_PKCS, parameter: null },
  { mechanism: CKM.RSA_PKCS_PSS, parameter: { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen: 32 } },
  { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: BYTES } },
  { mechanism: CKM.AES_CBC, parameter: BYTES },
  { mechanism: CKM.SHA256_HMAC_GENERAL, parameter: 8 },
  { mechanism: CKM.EDDSA },
  { mechanism: CKM.EDDSA, parameter: { phFlag: false } },
  { mechanism: CKM.AES_KEY_WRAP },
  // A vendor's, and one that is known at run time only.
  mechanismOf(0x8000_0001, BYTES),
  mechanismOf(Number("64")),
];

export const REFUSED: readonly CK_MECHANISM[] = [
  // @ts-expect-error no parameter belongs to it
  { mechanism: CKM.SHA256_RSA_PKCS, parameter: BYTES },
  // @ts-expect-error its parameter is missing
  { mechanism: CKM.RSA_PKCS_PSS },
  // @ts-expect-error a field is missing
  { mechanism: CKM.RSA_PKCS_PSS, parameter: { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256 } },
  // @ts-expect-error another mechanism's parameter
  { mechanism: CKM.AES_CBC, parameter: { ulCounterBits: 32, cb: BYTES } },
  // @ts-expect-error a length is a number
  { mechanism: CKM.SHA256_HMAC_GENERAL, parameter: BYTES },
  // @ts-expect-error a number that is no mechanism's
  { mechanism: 0x7fff_ffff },
];

export const VENDOR: Template = { [CKA.CLASS]: CKO.DATA, [0x8000_0003]: BYTES, [0x8000_0004]: true };
// @ts-expect-error a label is text
export const WRONG_LABEL: Template = { [CKA.LABEL]: BYTES };

export async function messages(cryptoki: Cryptoki, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE): Promise<void> {
  // Each message has its parameter.
  await cryptoki.C_MessageEncryptInit(session, { mechanism: CKM.AES_GCM }, key);
  // @ts-expect-error nothing but GCM and CCM has messages to encrypt
  await cryptoki.C_MessageEncryptInit(session, { mechanism: CKM.AES_ECB }, key);
  // @ts-expect-error the operation has a parameter of its own
  await cryptoki.C_EncryptInit(session, { mechanism: CKM.AES_GCM }, key);
}
