import { createCipheriv, createHash, createHmac, privateEncrypt } from "node:crypto";
import { expect } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKK, CKM, CKO, type CK_MECHANISM, type Cryptoki, mechanismOf } from "../../src/cryptoki/index.ts";
import type { OperationKind } from "../../src/cryptoki/sessions/operations.ts";
import { type Arguments, theFunction } from "./every-function.ts";
import { testKey } from "../virtual/keys.ts";
import { first, type Rig } from "./rig.ts";

const ONE = utf8("a part of sixtee");
const TWO = utf8("n and the others");
const SECRET = new Uint8Array(32).fill(7);
const WHOLE = concat(ONE, TWO);

/** The keys of a session with which everything can be begun. */
export interface Keys {
  /** Of the session. */
  readonly aes: number;
  readonly hmac: number;
  readonly ec: number;
  /** Of the card. */
  readonly rsa: number;
  readonly rsaPublic: number;
}

export async function makeKeys(made: Rig, session: number): Promise<Keys> {
  const { cryptoki } = made;
  const secret = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.VALUE]: SECRET, [CKA.PRIVATE]: false };
  const uses = { [CKA.ENCRYPT]: true, [CKA.DECRYPT]: true, [CKA.WRAP]: true, [CKA.UNWRAP]: true };
  const open = { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true };
  return {
    aes: await cryptoki.C_CreateObject(session, { ...secret, ...uses, ...open, [CKA.KEY_TYPE]: CKK.AES }),
    hmac: await cryptoki.C_CreateObject(session, {
      ...secret,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.SIGN]: true,
      [CKA.VERIFY]: true,
    }),
    ec: await cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.KEY_TYPE]: CKK.EC,
      [CKA.EC_PARAMS]: Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7),
      [CKA.VALUE]: new Uint8Array(Buffer.from(testKey("p-256").export({ format: "jwk" }).d ?? "", "base64url")),
      [CKA.PRIVATE]: false,
      [CKA.DERIVE]: true,
    }),
    rsa: await made.privateKey(session, 1),
    rsaPublic: await made.publicKey(session, 1),
  };
}

const GCM = { pIv: new Uint8Array(12), ulTagBits: 128 } as const;
const CBC = { mechanism: CKM.AES_CBC, parameter: new Uint8Array(16) };
const NO_PART = new Uint8Array();

/** A kind of operation: how it is begun, and how what is under way is finished with the result that it must have. */
export interface Kind {
  readonly init: string;
  /** Null for a search, which has none. */
  readonly mechanism: CK_MECHANISM | null;
  readonly key: (keys: Keys) => number;
  /** Its flag for C_SessionCancel. */
  readonly flag: number;
  /** Functions that need it under way. */
  readonly steps: readonly string[];
  /** A first part, where it takes parts. */
  readonly part: (cryptoki: Cryptoki, session: number) => Promise<unknown>;
  /** The rest, with what the standard says comes out. */
  readonly finish: (cryptoki: Cryptoki, session: number) => Promise<unknown>;
}

/** What comes out, as another program makes it. */
const results = (() => {
  const key = SECRET;
  const cbc = createCipheriv("aes-256-cbc", key, CBC.parameter).setAutoPadding(false);
  const gcm = createCipheriv("aes-256-gcm", key, GCM.pIv);
  const own = (buffer: Buffer): Uint8Array => new Uint8Array(buffer);
  return {
    ciphertext: own(cbc.update(WHOLE)),
    digest: own(createHash("sha256").update(WHOLE).digest()),
    mac: own(createHmac("sha256", key).update(WHOLE).digest()),
    signature: own(privateEncrypt(testKey("rsa-2048", "9a"), WHOLE)),
    message: own(gcm.update(WHOLE)),
    tag: own((gcm.final(), gcm.getAuthTag())),
  };
})();

const HMAC = { mechanism: CKM.SHA256_HMAC };
const RECOVER = { mechanism: CKM.RSA_PKCS };

async function gives(call: Promise<unknown>, expected: unknown): Promise<void> {
  expect(await call).toEqual(expected);
}

/** Each kind of operation, all twelve of which may be under way in one session. */
export const KINDS: Readonly<Record<OperationKind, Kind>> = {
  find: {
    init: "C_FindObjectsInit",
    mechanism: null,
    key: () => 0,
    flag: CKF.FIND_OBJECTS,
    steps: ["C_FindObjects", "C_FindObjectsFinal"],
    part: async (c, s) => first(await c.C_FindObjects(s, 1)),
    finish: async (c, s) => {
      await c.C_FindObjects(s);
      await c.C_FindObjectsFinal(s);
    },
  },
  encrypt: {
    init: "C_EncryptInit",
    mechanism: CBC,
    key: ({ aes }) => aes,
    flag: CKF.ENCRYPT,
    steps: ["C_Encrypt", "C_EncryptUpdate", "C_EncryptFinal", "C_DigestEncryptUpdate", "C_SignEncryptUpdate"],
    part: (c, s) => gives(c.C_EncryptUpdate(s, ONE), results.ciphertext.slice(0, 16)),
    finish: async (c, s) => {
      await gives(c.C_EncryptUpdate(s, TWO), results.ciphertext.slice(16));
      await gives(c.C_EncryptFinal(s), NO_PART);
    },
  },
  decrypt: {
    init: "C_DecryptInit",
    mechanism: CBC,
    key: ({ aes }) => aes,
    flag: CKF.DECRYPT,
    steps: ["C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal", "C_DecryptDigestUpdate", "C_DecryptVerifyUpdate"],
    part: (c, s) => gives(c.C_DecryptUpdate(s, results.ciphertext.slice(0, 16)), ONE),
    finish: async (c, s) => {
      await gives(c.C_DecryptUpdate(s, results.ciphertext.slice(16)), TWO);
      await gives(c.C_DecryptFinal(s), NO_PART);
    },
  },
  digest: {
    init: "C_DigestInit",
    mechanism: { mechanism: CKM.SHA256 },
    key: () => 0,
    flag: CKF.DIGEST,
    steps: [
      "C_Digest",
      "C_DigestUpdate",
      "C_DigestKey",
      "C_DigestFinal",
      "C_DigestEncryptUpdate",
      "C_DecryptDigestUpdate",
    ],
    part: (c, s) => c.C_DigestUpdate(s, ONE),
    finish: async (c, s) => {
      await c.C_DigestUpdate(s, TWO);
      await gives(c.C_DigestFinal(s), results.digest);
    },
  },
  sign: {
    init: "C_SignInit",
    mechanism: HMAC,
    key: ({ hmac }) => hmac,
    flag: CKF.SIGN,
    steps: ["C_Sign", "C_SignUpdate", "C_SignFinal", "C_SignEncryptUpdate"],
    part: (c, s) => c.C_SignUpdate(s, ONE),
    finish: async (c, s) => {
      await c.C_SignUpdate(s, TWO);
      await gives(c.C_SignFinal(s), results.mac);
    },
  },
  verify: {
    init: "C_VerifyInit",
    mechanism: HMAC,
    key: ({ hmac }) => hmac,
    flag: CKF.VERIFY,
    steps: ["C_Verify", "C_VerifyUpdate", "C_VerifyFinal", "C_DecryptVerifyUpdate"],
    part: (c, s) => c.C_VerifyUpdate(s, ONE),
    finish: async (c, s) => {
      await c.C_VerifyUpdate(s, TWO);
      await c.C_VerifyFinal(s, results.mac);
    },
  },
  "sign-recover": {
    init: "C_SignRecoverInit",
    mechanism: RECOVER,
    key: ({ rsa }) => rsa,
    flag: CKF.SIGN_RECOVER,
    steps: ["C_SignRecover"],
    part: () => Promise.resolve(),
    finish: (c, s) => gives(c.C_SignRecover(s, WHOLE), results.signature),
  },
  "verify-recover": {
    init: "C_VerifyRecoverInit",
    mechanism: RECOVER,
    key: ({ rsaPublic }) => rsaPublic,
    flag: CKF.VERIFY_RECOVER,
    steps: ["C_VerifyRecover"],
    part: () => Promise.resolve(),
    finish: (c, s) => gives(c.C_VerifyRecover(s, results.signature), WHOLE),
  },
  "message-encrypt": {
    init: "C_MessageEncryptInit",
    mechanism: mechanismOf(CKM.AES_GCM),
    key: ({ aes }) => aes,
    flag: CKF.MESSAGE_ENCRYPT,
    steps: ["C_EncryptMessage", "C_EncryptMessageBegin", "C_EncryptMessageNext", "C_MessageEncryptFinal"],
    part: async (c, s) => {
      await c.C_EncryptMessageBegin(s, GCM, NO_PART);
      await c.C_EncryptMessageNext(s, GCM, ONE, 0);
    },
    finish: async (c, s) => {
      const { message: ciphertext, tag: pTag } = results;
      await gives(c.C_EncryptMessageNext(s, GCM, TWO, CKF.END_OF_MESSAGE), { ciphertext, parameter: { ...GCM, pTag } });
      await c.C_MessageEncryptFinal(s);
    },
  },
  "message-decrypt": {
    init: "C_MessageDecryptInit",
    mechanism: mechanismOf(CKM.AES_GCM),
    key: ({ aes }) => aes,
    flag: CKF.MESSAGE_DECRYPT,
    steps: ["C_DecryptMessage", "C_DecryptMessageBegin", "C_DecryptMessageNext", "C_MessageDecryptFinal"],
    part: async (c, s) => {
      await c.C_DecryptMessageBegin(s, { ...GCM, pTag: results.tag }, NO_PART);
      await c.C_DecryptMessageNext(s, null, results.message.slice(0, 5), 0);
    },
    finish: async (c, s) => {
      await gives(c.C_DecryptMessageNext(s, null, results.message.slice(5), CKF.END_OF_MESSAGE), WHOLE);
      await c.C_MessageDecryptFinal(s);
    },
  },
  "message-sign": {
    init: "C_MessageSignInit",
    mechanism: HMAC,
    key: ({ hmac }) => hmac,
    flag: CKF.MESSAGE_SIGN,
    steps: ["C_SignMessage", "C_SignMessageBegin", "C_SignMessageNext", "C_MessageSignFinal"],
    part: async (c, s) => {
      await c.C_SignMessageBegin(s, null);
      await c.C_SignMessageNext(s, null, ONE, false);
    },
    finish: async (c, s) => {
      await gives(c.C_SignMessageNext(s, null, TWO, true), results.mac);
      await c.C_MessageSignFinal(s);
    },
  },
  "message-verify": {
    init: "C_MessageVerifyInit",
    mechanism: HMAC,
    key: ({ hmac }) => hmac,
    flag: CKF.MESSAGE_VERIFY,
    steps: ["C_VerifyMessage", "C_VerifyMessageBegin", "C_VerifyMessageNext", "C_MessageVerifyFinal"],
    part: async (c, s) => {
      await c.C_VerifyMessageBegin(s, null);
      await c.C_VerifyMessageNext(s, null, ONE, null);
    },
    finish: async (c, s) => {
      await c.C_VerifyMessageNext(s, null, TWO, results.mac);
      await c.C_MessageVerifyFinal(s);
    },
  },
};

export const EVERY_KIND = Object.entries(KINDS) as readonly (readonly [OperationKind, Kind])[];

/** Begins operations in a session, each with its first part in, but for those of kinds left out. */
export async function beginAll(
  { cryptoki }: Rig,
  session: number,
  keys: Keys,
  ...without: readonly OperationKind[]
): Promise<void> {
  for (const [name, kind] of EVERY_KIND) {
    if (without.includes(name)) continue;
    await theFunction(kind.init).call(cryptoki, argumentsOf(kind, session, keys));
    await kind.part(cryptoki, session);
  }
}

/** For the functions that begin an operation of a kind. */
export const argumentsOf = (kind: Kind, session: number, keys: Keys): Arguments => ({
  session,
  mechanism: kind.mechanism,
  key: kind.key(keys),
});

/** Finishes all that {@link beginAll} began: whatever happened meanwhile, each gives what it must. */
export async function finishAll(
  { cryptoki }: Rig,
  session: number,
  ...without: readonly OperationKind[]
): Promise<void> {
  for (const [name, { finish }] of EVERY_KIND) if (!without.includes(name)) await finish(cryptoki, session);
}
