import { memoizeAsync } from "../../async/index.ts";
import type { CardPrivateKey, CardPublicKey } from "../../card/index.ts";
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
  const takesAnyPadding = hasAnyPadding(object, key);
  return {
    key: { class: "public", publicKey: key },
    attributes: {
      ...storageAttributes(object),
      ...keyAttributes(object, info, key),
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.ALLOWED_MECHANISMS]: allowedFor(object, key, allowedMechanisms),
      [CKA.LOCAL]: false,
      [CKA.DERIVE]: false,
      [CKA.ENCRYPT]: onlyIf(object.usage.decrypt, takesAnyPadding),
      [CKA.VERIFY]: object.usage.sign,
      [CKA.VERIFY_RECOVER]: onlyIf(object.usage.sign, takesAnyPadding),
      [CKA.WRAP]: onlyIf(object.usage.decrypt, takesAnyPadding),
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

/** The mechanisms of the token that work with keys of a kind. */
export type AllowedMechanisms = (kind: KeyKind) => readonly number[];

/** CKA_ALLOWED_MECHANISMS. */
export function allowedFor(
  object: CardPublicKey | CardPrivateKey,
  key: () => Promise<PublicKey>,
  allowed: AllowedMechanisms,
): readonly number[] | (() => Promise<readonly number[]>) {
  const family = familyOf(object);
  return family ? allowed({ type: family }) : async (): Promise<readonly number[]> => allowed(await key());
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

/** Whether a key is of one of some types: at once, where the card's directory tells. */
export function isOfType(
  object: CardPublicKey | CardPrivateKey,
  key: () => Promise<PublicKey>,
  types: readonly PublicKey["type"][],
): boolean | (() => Promise<boolean>) {
  const family = familyOf(object);
  return family ? types.includes(family) : async (): Promise<boolean> => types.includes((await key()).type);
}

/** Whether it is an RSA key that may be used with every padding: one for RSASSA-PSS neither encrypts nor shows what was signed. */
export function hasAnyPadding(
  object: CardPublicKey | CardPrivateKey,
  key: () => Promise<PublicKey>,
): boolean | (() => Promise<boolean>) {
  const family = familyOf(object);
  return family
    ? family === "rsa"
    : async (): Promise<boolean> => {
        const known = await key();
        return known.type === "rsa" && known.pss === undefined;
      };
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

/** A use that only keys of some types have: of a key that is not meant for it nothing needs to be read to say no. */
export function onlyIf<T>(usage: boolean, ofType: T): T | false {
  return usage && ofType;
}

async function rsa(key: () => Promise<PublicKey>): Promise<RsaPublicKey | undefined> {
  const known = await key();
  return known.type === "rsa" ? known : undefined;
}

async function elliptic(key: () => Promise<PublicKey>): Promise<Exclude<PublicKey, RsaPublicKey> | undefined> {
  const known = await key();
  return known.type === "rsa" ? undefined : known;
}
