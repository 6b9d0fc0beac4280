import type { CardMechanism, CardToken, KeyFamily, KeyPrimitive, KeyUsage } from "../../card/index.ts";
import type { PssLimits, PublicKey } from "../../crypto/index.ts";
import { CKK } from "../constants/ck.ts";
import { CKF_MECHANISM } from "../constants/ckf.ts";
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { AnyMechanism } from "./declarations.ts";
import type { CK_MECHANISM_INFO } from "../structures.ts";
import { CURVE_25519_FLAGS, CURVE_25519_SIZES, EC_FLAGS, EC_SIZES, ecdh, ecdsa, ecdsaSha1, eddsa } from "./elliptic.ts";
import type { KeySizes, Mechanism, MechanismFamily, PairMechanism } from "./family.ts";
import { HASHES } from "./hashes.ts";
import { RSA_SIZES, rsaOaep, rsaPkcs1, rsaPss, rsaRaw } from "./rsa.ts";
import { SECRET_KEY_MECHANISMS } from "./secret-keys.ts";

const pair = (type: number, family: MechanismFamily): PairMechanism => ({ kind: "pair", type, family });

/** The hashing mechanisms of a family, one for each hash that it supports. */
const withHash = (
  family: MechanismFamily,
  typeOf: (entry: (typeof HASHES)[number]) => number | undefined,
): readonly PairMechanism[] =>
  HASHES.flatMap((entry) => {
    const type = typeOf(entry);
    return type === undefined ? [] : [{ ...pair(type, family), hash: entry.hash }];
  });

/** Every mechanism of this library, in the order of C_GetMechanismList. */
const MECHANISMS: readonly Mechanism[] = [
  {
    kind: "pair-generation",
    type: CKM.RSA_PKCS_KEY_PAIR_GEN,
    keyType: CKK.RSA,
    primitives: ["rsa-raw", "rsa-pkcs1"],
    sizes: RSA_SIZES,
  },
  { ...pair(CKM.RSA_PKCS, rsaPkcs1), recovers: true },
  ...withHash(rsaPkcs1, ({ rsaPkcs }) => rsaPkcs),
  pair(CKM.RSA_PKCS_PSS, rsaPss),
  ...withHash(rsaPss, ({ rsaPss: type }) => type),
  pair(CKM.RSA_PKCS_OAEP, rsaOaep),
  { ...pair(CKM.RSA_X_509, rsaRaw), recovers: true },
  {
    kind: "pair-generation",
    type: CKM.EC_KEY_PAIR_GEN,
    keyType: CKK.EC,
    primitives: ["ecdsa", "ecdh"],
    flags: EC_FLAGS,
    sizes: EC_SIZES,
  },
  pair(CKM.ECDSA, ecdsa),
  pair(CKM.ECDSA_SHA1, ecdsaSha1),
  ...withHash(ecdsa, ({ ecdsa: type }) => (type === CKM.ECDSA_SHA1 ? undefined : type)),
  pair(CKM.ECDH1_DERIVE, ecdh),
  pair(CKM.ECDH1_COFACTOR_DERIVE, ecdh),
  {
    kind: "pair-generation",
    type: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    keyType: CKK.EC_EDWARDS,
    primitives: ["eddsa"],
    flags: CURVE_25519_FLAGS,
    sizes: CURVE_25519_SIZES,
  },
  pair(CKM.EDDSA, eddsa),
  {
    kind: "pair-generation",
    type: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
    keyType: CKK.EC_MONTGOMERY,
    primitives: ["ecdh"],
    flags: CURVE_25519_FLAGS,
    sizes: CURVE_25519_SIZES,
  },
  ...SECRET_KEY_MECHANISMS,
  ...HASHES.map(({ digest, hash }) => ({ kind: "digest", type: digest, hash }) as const),
];

export const MECHANISM_BY_TYPE: ReadonlyMap<number, Mechanism> = new Map(
  MECHANISMS.map((mechanism) => [mechanism.type, mechanism]),
);

/** The operations that a mechanism supports, and the corresponding flags. */
const FLAGS = {
  encrypt: CKF_MECHANISM.ENCRYPT,
  decrypt: CKF_MECHANISM.DECRYPT,
  digest: CKF_MECHANISM.DIGEST,
  sign: CKF_MECHANISM.SIGN,
  "sign-recover": CKF_MECHANISM.SIGN_RECOVER,
  verify: CKF_MECHANISM.VERIFY,
  "verify-recover": CKF_MECHANISM.VERIFY_RECOVER,
  generate: CKF_MECHANISM.GENERATE,
  "generate-key-pair": CKF_MECHANISM.GENERATE_KEY_PAIR,
  wrap: CKF_MECHANISM.WRAP,
  unwrap: CKF_MECHANISM.UNWRAP,
  derive: CKF_MECHANISM.DERIVE,
} as const;

export type MechanismUse = keyof typeof FLAGS;

const NO_KEY: KeySizes = { min: 0, max: 0 };

/** The mechanisms that a token offers: the card's, and the host's for session keys. */
export function offeredMechanisms(token: CardToken): readonly number[] {
  return MECHANISMS.filter((mechanism) => isOffered(token, mechanism)).map(({ type }) => type);
}

/**
 * Programs assume that a listed mechanism works with the card's keys. So a mechanism that the card does not support for
 * its keys is left out, although the host supports it for session keys.
 */
function isOffered(token: CardToken, mechanism: Mechanism): boolean {
  if (mechanism.kind !== "pair" || cardMechanisms(token, mechanism).length > 0) return true;
  return !MECHANISMS.some(
    (other) =>
      other.kind === "pair" && sharesKeys(other.family, mechanism.family) && cardMechanisms(token, other).length > 0,
  );
}

const sharesKeys = (a: MechanismFamily, b: MechanismFamily): boolean =>
  a.keyTypes.some((type) => b.keyTypes.includes(type));

/** Properties of a key that determine its mechanisms. */
export type KeyKind = Pick<PublicKey, "type"> & { readonly pss?: PssLimits };

/** The mechanisms that work with the card's own keys of a type and with these uses. */
export function offeredForKey(token: CardToken, { type, pss }: KeyKind, usage: KeyUsage): readonly number[] {
  return MECHANISMS.filter(
    (mechanism) =>
      mechanism.kind === "pair" &&
      mechanism.family.keyTypes.includes(KEY_TYPE[type]) &&
      serves(mechanism.family, usage) &&
      (pss === undefined || isAllowed(pss, mechanism)) &&
      cardMechanisms(token, mechanism).length > 0,
  ).map((mechanism) => mechanism.type);
}

const serves = ({ signature, cipher, agreement }: MechanismFamily, { sign, decrypt, derive }: KeyUsage): boolean =>
  (sign && signature !== undefined) || (decrypt && cipher !== undefined) || (derive && agreement !== undefined);

/** Whether an RSASSA-PSS key may be used with a mechanism (RFC 4055 section 1.2). */
function isAllowed(limits: PssLimits, { family, hash }: PairMechanism): boolean {
  if (family !== rsaPss) return false;
  return hash === undefined || limits === "none" || hash === limits.hash;
}

const KEY_TYPE: Readonly<Record<PublicKey["type"], number>> = {
  rsa: CKK.RSA,
  ec: CKK.EC,
  edwards: CKK.EC_EDWARDS,
  montgomery: CKK.EC_MONTGOMERY,
};

/**
 * A token's CK_MECHANISM_INFO. CKF_HW is set if the card takes part, and the key sizes are then the card's; otherwise
 * the host's, for session keys.
 * @throws {CryptokiError} CKR_MECHANISM_INVALID if the token does not offer it; the card's errors.
 */
export async function mechanismInfo(token: CardToken, type: number): Promise<CK_MECHANISM_INFO> {
  const mechanism = mustGet(token, type);
  const family = cardMechanisms(token, mechanism);
  const own = family.length === 0 ? family : cardMechanisms(token, mechanism, await token.supportedMechanisms?.());
  const { min, max } =
    own.length === 0
      ? sizesOf(mechanism)
      : { min: Math.min(...own.map(({ minBits }) => minBits)), max: Math.max(...own.map(({ maxBits }) => maxBits)) };
  const uses = usesOf(mechanism).reduce((flags, use) => flags | FLAGS[use], 0);
  return {
    ulMinKeySize: min,
    ulMaxKeySize: max,
    flags: uses | familyFlags(mechanism) | (own.length > 0 ? CKF_MECHANISM.HW : 0),
  };
}

/**
 * The mechanism that a caller named, if the token offers it for this use.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID.
 */
export function requireMechanism(token: CardToken, mechanism: AnyMechanism, use: MechanismUse): Mechanism {
  const given: unknown = mechanism;
  if (typeof given !== "object" || given === null || !("mechanism" in given)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "a mechanism is an object: { mechanism: CKM.SHA256_RSA_PKCS }");
  }
  const entry = mustGet(token, mechanism.mechanism);
  if (!usesOf(entry).includes(use)) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return entry;
}

function mustGet(token: CardToken, type: number): Mechanism {
  const mechanism = MECHANISM_BY_TYPE.get(type);
  if (!mechanism || !isOffered(token, mechanism)) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return mechanism;
}

function usesOf(mechanism: Mechanism): readonly MechanismUse[] {
  switch (mechanism.kind) {
    case "pair": {
      const { family, hash, recovers } = mechanism;
      return [
        ...(family.signature ? (["sign", "verify"] as const) : []),
        ...(recovers ? (["sign-recover", "verify-recover"] as const) : []),
        ...(family.cipher && !hash ? (["encrypt", "decrypt", "wrap", "unwrap"] as const) : []),
        ...(family.agreement ? (["derive"] as const) : []),
      ];
    }
    case "secret": {
      const { mac, encrypt, decrypt, wraps, derive } = mechanism;
      return [
        ...(mac ? (["sign", "verify"] as const) : []),
        ...(encrypt ? (["encrypt"] as const) : []),
        ...(decrypt ? (["decrypt"] as const) : []),
        ...(wraps ? (["wrap", "unwrap"] as const) : []),
        ...(derive ? (["derive"] as const) : []),
      ];
    }
    case "digest":
      return ["digest"];
    case "generation":
      return ["generate"];
    case "pair-generation":
      return ["generate-key-pair"];
  }
}

const sizesOf = (mechanism: Mechanism): KeySizes => {
  if (mechanism.kind === "pair") return mechanism.family.sizes;
  return mechanism.kind === "digest" ? NO_KEY : mechanism.sizes;
};

function familyFlags(mechanism: Mechanism): number {
  if (mechanism.kind === "pair") return mechanism.family.flags ?? 0;
  return mechanism.kind === "pair-generation" ? (mechanism.flags ?? 0) : 0;
}

/** The card's ranges for a mechanism. @param own Default: the ranges of cards of this kind. */
function cardMechanisms(
  token: CardToken,
  mechanism: Mechanism,
  own: readonly CardMechanism[] = token.mechanisms,
): readonly CardMechanism[] {
  const primitives = primitivesOf(token, mechanism);
  const keyTypes = keyTypesOf(mechanism);
  return own.filter(
    ({ primitive, family = FAMILY[primitive] }) =>
      primitives.includes(primitive) && keyTypes.includes(KEY_TYPE[family]),
  );
}

/** The key types of each primitive, unless a card says otherwise. */
const FAMILY: Readonly<Record<KeyPrimitive, KeyFamily>> = {
  "rsa-raw": "rsa",
  "rsa-pkcs1": "rsa",
  "rsa-pss": "rsa",
  ecdsa: "ec",
  "ecdsa-sha1": "ec",
  ecdh: "ec",
  eddsa: "edwards",
};

function keyTypesOf(mechanism: Mechanism): readonly number[] {
  if (mechanism.kind === "pair") return mechanism.family.keyTypes;
  return mechanism.kind === "pair-generation" ? [mechanism.keyType] : [];
}

function primitivesOf(token: CardToken, mechanism: Mechanism): readonly KeyPrimitive[] {
  if (mechanism.kind === "pair") return mechanism.family.primitives;
  return mechanism.kind === "pair-generation" && token.generateKeyPair ? mechanism.primitives : [];
}
