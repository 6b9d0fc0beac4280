import { equalBytes } from "../bytes/index.ts";
import { CKO } from "./constants/ck.ts";
import type { Pkcs11Uri, UriObjectType } from "./uri.ts";

/** The structures with which a URI's token attributes are compared: CK_SLOT_INFO and CK_TOKEN_INFO. */
export interface TokenDescription {
  readonly slotID: number;
  readonly slotDescription: string;
  readonly slotManufacturerID: string;
  readonly label: string;
  readonly manufacturerID: string;
  readonly model: string;
  readonly serialNumber: string;
}

/** The attributes with which a URI's object attributes are compared: CKA_CLASS, CKA_LABEL, CKA_ID. */
export interface ObjectDescription {
  readonly class: number;
  readonly label: string;
  readonly id: Uint8Array;
}

const CLASSES: Readonly<Record<UriObjectType, number>> = {
  public: CKO.PUBLIC_KEY,
  private: CKO.PRIVATE_KEY,
  cert: CKO.CERTIFICATE,
  "secret-key": CKO.SECRET_KEY,
  data: CKO.DATA,
};

/** Removes the padding of C structures, which a URI does not have (RFC 7512 section 2.3). */
function unpadded(text: string): string {
  let end = text.length;
  // No regular expression: it would search for the end anew at each blank of a card's text.
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\0")) end--;
  return text.slice(0, end);
}

const fits = (wanted: string | undefined, found: string): boolean => wanted === undefined || wanted === unpadded(found);

/**
 * Whether `uri` matches this token: every token attribute must be equal. A URI with an unknown path attribute matches
 * nothing (RFC 7512 section 2.5). Object and library attributes are ignored.
 */
export function matchesToken(uri: Pkcs11Uri, token: TokenDescription): boolean {
  return (
    uri.vendorPath === undefined &&
    (uri.slotId === undefined || uri.slotId === token.slotID) &&
    fits(uri.slotDescription, token.slotDescription) &&
    fits(uri.slotManufacturer, token.slotManufacturerID) &&
    fits(uri.token, token.label) &&
    fits(uri.manufacturer, token.manufacturerID) &&
    fits(uri.model, token.model) &&
    fits(uri.serial, token.serialNumber)
  );
}

/** Whether the object attributes of `uri` match this object. */
export function matchesObject(uri: Pkcs11Uri, object: ObjectDescription): boolean {
  return (
    (uri.type === undefined || CLASSES[uri.type] === object.class) &&
    (uri.object === undefined || uri.object === object.label) &&
    (uri.id === undefined || equalBytes(uri.id, object.id))
  );
}

/** The URI of a token in any reader: label, manufacturer, model and serial number, if it has them. */
export function tokenUri(token: TokenDescription): Pkcs11Uri {
  const model = unpadded(token.model);
  const manufacturer = unpadded(token.manufacturerID);
  const serial = unpadded(token.serialNumber);
  const label = unpadded(token.label);
  return {
    ...(model && { model }),
    ...(manufacturer && { manufacturer }),
    ...(serial && { serial }),
    ...(label && { token: label }),
  };
}

/** The URI that names an object on a token. */
export function objectUri(token: TokenDescription, object: ObjectDescription): Pkcs11Uri {
  const type = TYPES.get(object.class);
  return {
    ...tokenUri(token),
    object: object.label,
    ...(object.id.length > 0 && { id: object.id }),
    ...(type !== undefined && { type }),
  };
}

const TYPES: ReadonlyMap<number, UriObjectType> = new Map([
  [CKO.PUBLIC_KEY, "public"],
  [CKO.PRIVATE_KEY, "private"],
  [CKO.CERTIFICATE, "cert"],
  [CKO.SECRET_KEY, "secret-key"],
  [CKO.DATA, "data"],
]);
