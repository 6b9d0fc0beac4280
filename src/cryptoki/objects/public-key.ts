import type { CardPublicKey } from "../../card/index.ts";
import {
  encodeEcParameters,
  encodeEcPoint,
  type EcPublicKey,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
} from "../../crypto/index.ts";
import type { AttributeSources } from "../attributes/attribute-set.ts";
import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKO } from "../constants/cko.ts";
import { once } from "./once.ts";
import { storageAttributes } from "./storage.ts";
import type { ObjectContents } from "./stored-object.ts";

/** A public key (PKCS#11 3.1, public key objects; RSA and elliptic curve public key objects). */
export function publicKeyObject(
  object: CardPublicKey,
  allowedMechanisms: AllowedMechanisms,
): Pick<ObjectContents, "attributes" | "key"> {
  const info = once(() => object.publicKey());
  const key = once(async () => parsePublicKey(await info()));
  return {
    key: { class: "public", publicKey: key },
    attributes: {
      ...storageAttributes(object),
      ...keyAttributes(object.id, info, key),
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.ALLOWED_MECHANISMS]: async () => allowedMechanisms((await key()).type),
      [CKA.LOCAL]: false,
      [CKA.DERIVE]: false,
      [CKA.ENCRYPT]: onlyIf(object.usage.decrypt, key, "rsa"),
      [CKA.VERIFY]: object.usage.sign,
      [CKA.VERIFY_RECOVER]: onlyIf(object.usage.sign, key, "rsa"),
      [CKA.WRAP]: onlyIf(object.usage.decrypt, key, "rsa"),
      [CKA.TRUSTED]: false,
      [CKA.WRAP_TEMPLATE]: {},
      [CKA.MODULUS_BITS]: async () => (await rsa(key))?.modulusBits,
      [CKA.EC_POINT]: async () => {
        const ec = await elliptic(key);
        return ec && encodeEcPoint(ec.point);
      },
    },
  };
}

/** The mechanisms of the token that work with keys of a type. */
export type AllowedMechanisms = (type: PublicKey["type"]) => readonly number[];

/** What a public key and its private half have in common. */
export function keyAttributes(
  id: Uint8Array,
  info: () => Promise<Uint8Array>,
  key: () => Promise<PublicKey>,
): AttributeSources {
  return {
    [CKA.KEY_TYPE]: async () => ((await key()).type === "rsa" ? CKK.RSA : CKK.EC),
    [CKA.ID]: id,
    [CKA.START_DATE]: null,
    [CKA.END_DATE]: null,
    [CKA.KEY_GEN_MECHANISM]: CK.UNAVAILABLE_INFORMATION,
    // Empty is the standard's default; the certificate of the same CKA_ID tells the subject.
    [CKA.SUBJECT]: new Uint8Array(),
    [CKA.PUBLIC_KEY_INFO]: info,
    [CKA.MODULUS]: async () => (await rsa(key))?.modulus,
    [CKA.PUBLIC_EXPONENT]: async () => (await rsa(key))?.publicExponent,
    [CKA.EC_PARAMS]: async () => {
      const ec = await elliptic(key);
      return ec && encodeEcParameters(ec.curve);
    },
  };
}

/** A use that only keys of one type have: of a key that is not meant for it nothing needs to be read to say no. */
export function onlyIf(
  usage: boolean,
  key: () => Promise<PublicKey>,
  type: PublicKey["type"],
): false | (() => Promise<boolean>) {
  return usage && (async (): Promise<boolean> => (await key()).type === type);
}

async function rsa(key: () => Promise<PublicKey>): Promise<RsaPublicKey | undefined> {
  const known = await key();
  return known.type === "rsa" ? known : undefined;
}

async function elliptic(key: () => Promise<PublicKey>): Promise<EcPublicKey | undefined> {
  const known = await key();
  return known.type === "ec" ? known : undefined;
}
