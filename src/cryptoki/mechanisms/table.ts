import type { HashName, PublicKey } from "../../crypto/index.ts";
import { CKM } from "../constants/ckm.ts";
import { ecdh, ecdsa } from "./ec.ts";
import { HASHES } from "./hashes.ts";
import { rsaOaep } from "./rsa-oaep.ts";
import { rsaPkcs1 } from "./rsa-pkcs1.ts";
import { rsaPss } from "./rsa-pss.ts";
import { rsaRaw } from "./rsa-raw.ts";
import type { MechanismFamily } from "./scheme.ts";

/** A mechanism: what is done with a key, and the hash before it. A bare hash has no family, and what makes keys neither. */
export interface MechanismEntry {
  readonly type: number;
  readonly family?: MechanismFamily;
  readonly hash?: HashName;
  /** It makes key pairs for mechanisms with keys of this type. */
  readonly generates?: PublicKey["type"];
}

const withHash = (family: MechanismFamily, types: (entry: (typeof HASHES)[number]) => number | undefined) =>
  HASHES.flatMap((entry): MechanismEntry[] => {
    const type = types(entry);
    return type === undefined ? [] : [{ type, family, hash: entry.hash }];
  });

/** Every mechanism that there is here, in the order in which C_GetMechanismList gives them. */
export const MECHANISMS: readonly MechanismEntry[] = [
  { type: CKM.RSA_PKCS_KEY_PAIR_GEN, generates: "rsa" },
  { type: CKM.RSA_PKCS, family: rsaPkcs1 },
  ...withHash(rsaPkcs1, ({ rsaPkcs }) => rsaPkcs),
  { type: CKM.RSA_PKCS_PSS, family: rsaPss },
  ...withHash(rsaPss, ({ rsaPss: type }) => type),
  { type: CKM.RSA_PKCS_OAEP, family: rsaOaep },
  { type: CKM.RSA_X_509, family: rsaRaw },
  { type: CKM.EC_KEY_PAIR_GEN, generates: "ec" },
  { type: CKM.ECDSA, family: ecdsa },
  ...withHash(ecdsa, ({ ecdsa: type }) => type),
  { type: CKM.ECDH1_DERIVE, family: ecdh },
  ...HASHES.map(({ digest, hash }) => ({ type: digest, hash })),
];

export const MECHANISM_BY_TYPE: ReadonlyMap<number, MechanismEntry> = new Map(
  MECHANISMS.map((entry) => [entry.type, entry]),
);
