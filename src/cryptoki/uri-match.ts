import { equalBytes } from "../bytes/index.ts";
import { CKO } from "./constants/ck.ts";
import type { Pkcs11Uri, UriObjectType } from "./uri.ts";

/** What a URI says about a token is compared with this: CK_SLOT_INFO and CK_TOKEN_INFO. */
export interface TokenDescription {
  readonly slotID: number;
  readonly slotDescription: string;
  readonly slotManufacturerID: string;
  readonly label: string;
  readonly manufacturerID: string;
  readonly model: string;
  readonly serialNumber: string;
}

/** What a URI says about an object: CKA_CLASS, CKA_LABEL, CKA_ID. */
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

/** The fields of the C structures are padded; a URI has none of that (RFC 7512 section 2.3). */
function unpadded(text: string): string {
  let end = text.length;
  // No regular expression: it would look for the end anew at each blank of a text that a card gave.
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\0")) end--;
  return text.slice(0, end);
}

const fits = (wanted: string | undefined, found: string): boolean => wanted === undefined || wanted === unpadded(found);

/**
 * Whether `uri` describes this token: every attribute that it has is the token's. A URI with a path attribute that
 * nobody knows describes nothing (RFC 7512 section 2.5). What it says of objects and of the library is not looked at.
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

/** Whether what `uri` says of objects is true of this one. */
export function matchesObject(uri: Pkcs11Uri, object: ObjectDescription): boolean {
  return (
    (uri.type === undefined || CLASSES[uri.type] === object.class) &&
    (uri.object === undefined || uri.object === object.label) &&
    (uri.id === undefined || equalBytes(uri.id, object.id))
  );
}

/** The URI that names a token wherever it is plugged in: label, manufacturer, model and serial number, if it has them. */
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
