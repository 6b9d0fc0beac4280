import { equalBytes, utf8 } from "../../bytes/index.ts";
import type { CardObject, KeyPrimitive } from "../../card/index.ts";
import type { AttributeSources } from "../attributes/attribute-set.ts";
import type { AttributeValue } from "../attributes/kinds.ts";
import { CKA } from "../constants/cka.ts";
import { CKO, CKP_PROFILE } from "../constants/ck.ts";
import { nameOf } from "../constants/name.ts";
import { offeredMechanisms } from "../mechanisms/availability.ts";
import type { Token } from "../slots/token.ts";
import type { ObjectContents } from "./object-copy.ts";
import { updateCount } from "./new-card-object.ts";

/** A built-in object of every token, with a reference of its own; it is created when it is first found. */
export type BuiltIn = readonly [reference: string, contents: () => ObjectContents];

/**
 * The built-in objects. Finding them costs no exchange; reading a value may. Mechanism objects are found only by
 * searches for their class; there are as many as C_GetMechanismList has entries. No card has a hardware feature in the
 * standard's sense: a clock, a counter that increases on reading, a display.
 * @param objectClass CKA_CLASS in the search; undefined if it names none.
 */
export function builtInObjects(
  token: Token,
  all: readonly CardObject[],
  objectClass: AttributeValue | undefined,
): readonly BuiltIn[] {
  switch (objectClass) {
    case undefined:
      return [...dataObjects(token), ...profileObjects(token, all)];
    case CKO.DATA:
      return dataObjects(token);
    case CKO.PROFILE:
      return profileObjects(token, all);
    case CKO.MECHANISM:
      return offeredMechanisms(token.cardToken).map(mechanismObject);
    default:
      return [];
  }
}

const NET_ID = "Net iD";
/** Labels of objects with changing values. */
export const TOKEN_LABEL = "TokenLabel";
export const UPDATE_COUNT = "UpdateCount";

/**
 * Information that CK_TOKEN_INFO truncates or lacks, as data objects (Net iD, PKCS#11 extensions: special data
 * objects).
 */
function dataObjects(token: Token): readonly BuiltIn[] {
  // The card application's own name; reading it costs the same as C_GetTokenInfo.
  const ofCard = async (): Promise<string> => (await token.info()).application;
  return [
    dataObject("TokenSerialNumber", ofCard, true, async () => utf8((await token.info()).serialNumber)),
    dataObject("ATR", ofCard, false, () => Promise.resolve(token.card.atr)),
    dataObject(TOKEN_LABEL, NET_ID, true, async () => utf8((await token.info()).label)),
    dataObject(UPDATE_COUNT, NET_ID, true, () => updateCount(token)),
  ];
}

function dataObject(
  label: string,
  application: string | (() => Promise<string>),
  modifiable: boolean,
  value: () => Promise<Uint8Array | undefined>,
): BuiltIn {
  return builtIn(label, CKO.DATA, {
    [CKA.LABEL]: label,
    [CKA.MODIFIABLE]: modifiable,
    [CKA.APPLICATION]: application,
    [CKA.OBJECT_ID]: new Uint8Array(),
    [CKA.VALUE]: value,
  });
}

const SIGNING: readonly KeyPrimitive[] = ["rsa-raw", "rsa-pkcs1", "ecdsa", "eddsa"];

/** The conformance profiles that a token meets (PKCS#11 Profiles 3.1 sections 5.1 and 5.3 to 5.5). */
function profileObjects({ cardToken }: Token, all: readonly CardObject[]): readonly BuiltIn[] {
  const signs = cardToken.mechanisms.some(({ primitive }) => SIGNING.includes(primitive));
  return [
    CKP_PROFILE.BASELINE_PROVIDER,
    CKP_PROFILE.EXTENDED_PROVIDER,
    ...(signs ? [CKP_PROFILE.AUTHENTICATION_TOKEN] : []),
    ...(hasPublicCertificates(all) ? [CKP_PROFILE.PUBLIC_CERTIFICATES_TOKEN] : []),
  ].map(profileObject);
}

/**
 * All certificates are found without a login, and for each with a private key also a key of the same CKA_ID: the public
 * one or the private one.
 */
function hasPublicCertificates(all: readonly CardObject[]): boolean {
  return all.every((object) => {
    if (object.class !== "certificate") return true;
    const keys = all.filter((other) => isKey(other) && equalBytes(other.id, object.id));
    return !object.private && (!keys.some(isPrivateKey) || keys.some((key) => !key.private));
  });
}

const isPrivateKey = (object: CardObject): boolean => object.class === "private-key";
const isKey = (object: CardObject): boolean => object.class === "public-key" || isPrivateKey(object);

function profileObject(id: number): BuiltIn {
  const label = nameOf("CKP_PROFILE", id);
  return builtIn(label, CKO.PROFILE, { [CKA.LABEL]: label, [CKA.PROFILE_ID]: id });
}

function mechanismObject(type: number): BuiltIn {
  const label = nameOf("CKM", type);
  return builtIn(label, CKO.MECHANISM, { [CKA.LABEL]: label, [CKA.MECHANISM_TYPE]: type });
}

/** An object of the token. */
function builtIn(name: string, objectClass: number, attributes: AttributeSources): BuiltIn {
  const reference = `token:${name}`;
  return [
    reference,
    () => ({
      private: false,
      attributes: {
        [CKA.CLASS]: objectClass,
        [CKA.UNIQUE_ID]: reference,
        [CKA.TOKEN]: true,
        [CKA.PRIVATE]: false,
        [CKA.MODIFIABLE]: false,
        [CKA.COPYABLE]: false,
        [CKA.DESTROYABLE]: false,
        ...attributes,
      },
    }),
  ];
}
