import { DerReader, parseDerCertificate } from "../../asn1/index.ts";
import type { CardObject, KeyUsage, NewCardObject } from "../../card/index.ts";
import { encodePublicKey, HostPrivateKey } from "../../crypto/index.ts";
import { AttributeSet } from "../attributes/attribute-set.ts";
import type { NewObject, Values } from "../attributes/new-object.ts";
import { inconsistent } from "../attributes/refusals.ts";
import { bytesOf, isTrue, textOf } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKC } from "../constants/ckc.ts";
import { CKO } from "../constants/cko.ts";
import { CKR } from "../constants/ckr.ts";
import { blame } from "../error-map.ts";
import type { Token } from "../slots/token.ts";
import { cardObject } from "./card-object.ts";
import { softwareObject } from "./software-object.ts";
import { hostPrivateKey } from "./software-private-key.ts";

/**
 * What a card is asked to write for a new object.
 * @throws {CryptokiError} as {@link softwareObject}; CKR_TEMPLATE_INCONSISTENT for what no card keeps.
 */
export async function newCardObject(made: NewObject): Promise<NewCardObject> {
  const { key } = softwareObject(made);
  const { values } = made;
  const common = { label: textOf(values, CKA.LABEL), private: isTrue(values, CKA.PRIVATE) };
  const keyed = { ...common, id: bytesOf(values, CKA.ID) };
  switch (values.get(CKA.CLASS)) {
    case CKO.DATA:
      return {
        ...common,
        class: "data",
        application: textOf(values, CKA.APPLICATION),
        value: bytesOf(values, CKA.VALUE),
        ...objectId(values),
      };
    case CKO.CERTIFICATE: {
      const value = bytesOf(values, CKA.VALUE);
      if (values.get(CKA.CERTIFICATE_TYPE) !== CKC.X_509 || value.length === 0) {
        throw inconsistent(CKA.CERTIFICATE_TYPE, "must be CKC.X_509 on a card, with the certificate in CKA_VALUE");
      }
      blame(CKR.ATTRIBUTE_VALUE_INVALID, () => parseDerCertificate(value));
      return { ...keyed, class: "certificate", value };
    }
    case CKO.PUBLIC_KEY:
      if (key?.class !== "public") break;
      return {
        ...keyed,
        class: "public-key",
        usage: usageOf(values, PUBLIC_USES),
        publicKey: encodePublicKey(await key.publicKey()),
      };
    case CKO.PRIVATE_KEY: {
      const own = hostPrivateKey(values);
      return {
        ...keyed,
        class: "private-key",
        usage: usageOf(values, PRIVATE_USES),
        alwaysAuthenticate: isTrue(values, CKA.ALWAYS_AUTHENTICATE),
        privateKey: own.toPkcs8(),
      };
    }
    default:
  }
  throw inconsistent(CKA.TOKEN, "must be false: no card keeps such objects");
}

type Uses = Readonly<Record<keyof KeyUsage, readonly (typeof CKA)[keyof typeof CKA][]>>;

const PUBLIC_USES: Uses = {
  sign: [CKA.VERIFY, CKA.VERIFY_RECOVER],
  decrypt: [CKA.ENCRYPT, CKA.WRAP],
  derive: [CKA.DERIVE],
};

const PRIVATE_USES: Uses = {
  sign: [CKA.SIGN, CKA.SIGN_RECOVER],
  decrypt: [CKA.DECRYPT, CKA.UNWRAP],
  derive: [CKA.DERIVE],
};

function usageOf(values: Values, uses: Uses): KeyUsage {
  const any = (types: Uses[keyof KeyUsage]): boolean => types.some((type) => values.get(type) === true);
  return { sign: any(uses.sign), decrypt: any(uses.decrypt), derive: any(uses.derive) };
}

function objectId(values: Values): { readonly objectId?: string } {
  const der = bytesOf(values, CKA.OBJECT_ID);
  if (der.length === 0) return {};
  return {
    objectId: blame(CKR.ATTRIBUTE_VALUE_INVALID, () => {
      const reader = new DerReader(der, "CKA_OBJECT_ID");
      const oid = reader.oid();
      reader.end();
      return oid;
    }),
  };
}

/** What the object will show once it is on the card. */
export function shownByCard(object: NewCardObject, token: Token): AttributeSet {
  return new AttributeSet(cardObject(asWritten(object), token, () => false).attributes);
}

function asWritten(object: NewCardObject): CardObject {
  const written = {
    reference: "",
    id: new Uint8Array(),
    modifiable: true,
    destroyable: true,
    exists: () => Promise.resolve(true),
  };
  switch (object.class) {
    case "data":
    case "certificate":
      return { ...written, ...object, value: () => Promise.resolve(object.value) };
    case "public-key":
      return { ...written, ...object, publicKey: () => Promise.resolve(object.publicKey) };
    case "private-key":
      return {
        ...written,
        ...object,
        needsLogin: object.private,
        primitives: [],
        publicKey: () => Promise.resolve(encodePublicKey(HostPrivateKey.fromPkcs8(object.privateKey).publicKey)),
      };
  }
}
