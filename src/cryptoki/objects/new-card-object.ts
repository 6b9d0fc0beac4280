import { DerReader, parseDerCertificate } from "../../asn1/index.ts";
import { concat, utf8 } from "../../bytes/index.ts";
import type { CardObject, KeyUsage, NewCardObject } from "../../card/index.ts";
import { encodePublicKey, Hasher, HostPrivateKey } from "../../crypto/index.ts";
import { AttributeSet } from "../attributes/attribute-set.ts";
import { inconsistent } from "../attributes/errors.ts";
import { bytesOf, isTrue, type NewObject, textOf, type Values } from "../attributes/new-object.ts";
import { CKC, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError } from "../errors.ts";
import type { Token } from "../slots/token.ts";
import type { CardCopies } from "./card-copies.ts";
import { cardObject } from "./card-objects.ts";
import { unlessRefused } from "./search.ts";
import { hostPrivateKey } from "./software-keys.ts";
import { softwareObject } from "./software-objects.ts";

/**
 * The card's input for a new object.
 * @throws {CryptokiError} as {@link softwareObject}; CKR_TEMPLATE_INCONSISTENT for what no card can store.
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
      asCallerError(CKR.ATTRIBUTE_VALUE_INVALID, () => parseDerCertificate(value));
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
        ...(made.vendor && { vendorAttributes: made.vendor }),
      };
    }
    default:
  }
  throw inconsistent(CKA.TOKEN, "must be false: cards cannot store such objects");
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
    objectId: asCallerError(CKR.ATTRIBUTE_VALUE_INVALID, () => {
      const reader = new DerReader(der, "CKA_OBJECT_ID");
      const oid = reader.oid();
      reader.end();
      return oid;
    }),
  };
}

/** The attributes that the object will have on the card. */
export function shownByCard(object: NewCardObject, token: Token): AttributeSet {
  return new AttributeSet(cardObject(asWritten(object), token, { ended: false }).attributes);
}

function asWritten(object: NewCardObject): CardObject {
  const written = {
    reference: "",
    id: new Uint8Array(),
    modifiable: true,
    destroyable: true,
    isPresent: () => Promise.resolve(true),
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
        vendorAttributes: new Map(
          Array.from(object.vendorAttributes ?? [], ([type, value]) => [type, () => Promise.resolve(value)]),
        ),
        publicKey: () => Promise.resolve(encodePublicKey(HostPrivateKey.fromPkcs8(object.privateKey).publicKey)),
      };
  }
}

/**
 * A value that differs whenever the token's contents do: the card's own counter, or else a digest of the contents that
 * this driver sees. The digest reads all public objects that have not been read.
 */
export async function updateCount({ cardToken, copies }: Token): Promise<Uint8Array> {
  const own = await cardToken.updateCount?.();
  if (own) {
    copies.counted(own);
    return own;
  }
  const hasher = new Hasher("sha256");
  // Private objects change too; only this process knows when.
  hasher.update(uint32(copies.changes));
  for (const object of await cardToken.objects()) {
    if (!object.private && !(await unlessRefused(() => object.isPresent({ explicitlyRequested: false }), false)))
      continue;
    for (const part of [utf8(object.reference), utf8(object.label), object.id, await contentsOf(object, copies)]) {
      hasher.update(concat(uint32(part.length), part));
    }
  }
  return hasher.digest().slice(0, 12);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Refused or malformed objects are a part of the contents too. */
async function contentsOf(object: CardObject, copies: CardCopies): Promise<Uint8Array> {
  const nothing = new Uint8Array();
  if (object.private) return nothing;
  const { attributes } = copies.of(object);
  const type = "value" in object ? CKA.VALUE : CKA.PUBLIC_KEY_INFO;
  return (await unlessRefused(() => attributes.value(type), undefined)) ?? nothing;
}
