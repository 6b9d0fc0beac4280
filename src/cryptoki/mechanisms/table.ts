import { CKK } from "../constants/ckk.ts";
import { CKM } from "../constants/ckm.ts";
import { EC_FLAGS, EC_SIZES, ecdh, ecdsa, ecdsaSha1 } from "./ec.ts";
import { CURVE_25519_FLAGS, CURVE_25519_SIZES, eddsa } from "./eddsa.ts";
import { HASHES } from "./hashes.ts";
import { RSA_SIZES } from "./rsa-key.ts";
import { rsaOaep } from "./rsa-oaep.ts";
import { rsaPkcs1 } from "./rsa-pkcs1.ts";
import { rsaPss } from "./rsa-pss.ts";
import { rsaRaw } from "./rsa-raw.ts";
import type { Mechanism, MechanismFamily, PairMechanism } from "./scheme.ts";
import { SECRET_KEY_MECHANISMS } from "./secret-table.ts";

const pair = (type: number, family: MechanismFamily): PairMechanism => ({ kind: "pair", type, family });

/** The mechanisms of a family that hash the message first, one for each hash that has one. */
const withHash = (
  family: MechanismFamily,
  typeOf: (entry: (typeof HASHES)[number]) => number | undefined,
): readonly PairMechanism[] =>
  HASHES.flatMap((entry) => {
    const type = typeOf(entry);
    return type === undefined ? [] : [{ ...pair(type, family), hash: entry.hash }];
  });

/** Every mechanism that there is here, in the order in which C_GetMechanismList gives them. */
export const MECHANISMS: readonly Mechanism[] = [
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
