import { memoizeAsync } from "../../async/index.ts";
import type { CardPrivateKey, CardPublicKey, KeyUsage } from "../../card/index.ts";
import {
  encodeEcPoint,
  encodePublicKey,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
} from "../../crypto/index.ts";
import { DataError } from "../../bytes/index.ts";
import type { AttributeSources } from "../attributes/attribute-set.ts";
import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import type { KeyKind } from "../mechanisms/offer.ts";
import { curveParameters, keyTypeOf } from "./curve-parameters.ts";
import { storageAttributes } from "./storage.ts";
import type { ObjectContents } from "./object-copy.ts";

/** A public key (PKCS#11 3.1, public key objects; RSA and elliptic curve public key objects). */
export function publicKeyObject(
  object: CardPublicKey,
  allowedMechanisms: AllowedMechanisms,
): Pick<ObjectContents, "attributes" | "key"> {
  const info = memoizeAsync(() => object.publicKey());
  const key = memoizeAsync(async () => parsePublicKey(await info()));
  const usage = new UsageSources(object, key);
  return {
    key: { class: "public", publicKey: key },
    attributes: {
      ...storageAttributes(object),
      ...keyAttributes(object, info, key),
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.ALLOWED_MECHANISMS]: allowedFor(object, key, allowedMechanisms),
      [CKA.LOCAL]: false,
      [CKA.DERIVE]: usage.of("derive", ["ec", "montgomery"]),
      [CKA.ENCRYPT]: usage.of("decrypt", ["rsa"]),
      [CKA.VERIFY]: usage.of("sign"),
      [CKA.VERIFY_RECOVER]: usage.of("sign", ["rsa"]),
      [CKA.WRAP]: usage.of("decrypt", ["rsa"]),
      [CKA.TRUSTED]: false,
      [CKA.WRAP_TEMPLATE]: {},
      [CKA.MODULUS_BITS]: async () => (await rsa(key))?.modulusBits,
      [CKA.EC_POINT]: async () => {
        const ec = await elliptic(key);
        return ec && (ec.type === "ec" ? encodeEcPoint(ec.point) : ec.point);
      },
    },
  };
}

/** The mechanisms of the token that work with keys of a kind and with these uses. */
export type AllowedMechanisms = (kind: KeyKind, usage: KeyUsage) => readonly number[];

/** CKA_ALLOWED_MECHANISMS. */
export function allowedFor(
  object: CardPublicKey | CardPrivateKey,
  key: () => Promise<PublicKey>,
  allowed: AllowedMechanisms,
): readonly number[] | (() => Promise<readonly number[]>) {
  const family = familyOf(object);
  const { usage } = object;
  const of = (kind: KeyKind): readonly number[] =>
    allowed(kind, typeof usage === "function" ? usage(kind.type) : usage);
  return family ? of({ type: family }) : async (): Promise<readonly number[]> => of(await key());
}

/** As far as the card's directory tells. */
function familyOf({ type, family }: Pick<CardPublicKey, "type" | "family">): PublicKey["type"] | undefined {
  return type?.type ?? family;
}

/** What a public key and its private half have in common. */
export function keyAttributes(
  { id, ...object }: CardPublicKey | CardPrivateKey,
  info: () => Promise<Uint8Array>,
  key: () => Promise<PublicKey>,
): AttributeSources {
  const family = familyOf(object);
  return {
    [CKA.KEY_TYPE]: family ? keyTypeOf({ type: family }) : async (): Promise<number> => keyTypeOf(await key()),
    [CKA.ID]: id,
    [CKA.START_DATE]: null,
    [CKA.END_DATE]: null,
    [CKA.KEY_GEN_MECHANISM]: CK.UNAVAILABLE_INFORMATION,
    // Empty is the standard's default; the certificate of the same CKA_ID tells the subject.
    [CKA.SUBJECT]: new Uint8Array(),
    [CKA.PUBLIC_KEY_INFO]: async () => inDer(await info()),
    [CKA.MODULUS]: async () => (await rsa(key))?.modulus,
    [CKA.PUBLIC_EXPONENT]: async () => (await rsa(key))?.publicExponent,
    [CKA.EC_PARAMS]: async () => {
      const ec = await elliptic(key);
      return ec && curveParameters(ec.curve);
    },
  };
}

/** The uses of a key as sources of attributes: at once where nothing needs to be read, or else when somebody asks. */
export class UsageSources {
  readonly #object: CardPublicKey | CardPrivateKey;
  readonly #key: () => Promise<PublicKey>;

  constructor(object: CardPublicKey | CardPrivateKey, key: () => Promise<PublicKey>) {
    this.#object = object;
    this.#key = key;
  }

  /**
   * @param use What the key may be used for.
   * @param types The types of keys that have such a use at all. Default: every type.
   */
  of(use: keyof KeyUsage, types?: readonly PublicKey["type"][]): boolean | (() => Promise<boolean>) {
    const { usage } = this.#object;
    const allowed = (type: PublicKey["type"]): boolean =>
      (types?.includes(type) ?? true) && (typeof usage === "function" ? usage(type) : usage)[use];
    const family = familyOf(this.#object);
    if (family) return allowed(family);
    if (typeof usage !== "function" && (!usage[use] || !types)) return usage[use];
    return async () => {
      const key = await this.#key();
      // A key for RSASSA-PSS alone has none of the uses that only RSA keys have.
      return allowed(key.type) && !(types && key.type === "rsa" && key.pss !== undefined);
    };
  }
}

/** A SubjectPublicKeyInfo as it is to be written. One of a key that is not known here stays as it is. */
function inDer(info: Uint8Array): Uint8Array {
  try {
    return encodePublicKey(parsePublicKey(info));
  } catch (error) {
    if (error instanceof DataError) return info;
    throw error;
  }
}

async function rsa(key: () => Promise<PublicKey>): Promise<RsaPublicKey | undefined> {
  const known = await key();
  return known.type === "rsa" ? known : undefined;
}

async function elliptic(key: () => Promise<PublicKey>): Promise<Exclude<PublicKey, RsaPublicKey> | undefined> {
  const known = await key();
  return known.type === "rsa" ? undefined : known;
}
