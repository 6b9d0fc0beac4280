import { CKA, CKK, CKO, matchesToken, parseUri, type Pkcs11Uri, type Template } from "../cryptoki/index.ts";
import type { PublicKey } from "../crypto/index.ts";
import { refusal } from "./error.ts";
import type { Slot } from "./slot.ts";

/** Which object is meant: all that is named must fit. */
export interface ObjectQuery {
  /** CKA_ID, which a private key, its public key and its certificate have in common. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  /** A PKCS #11 URI (RFC 7512): its object and its id. What it says of the token must be true of this one. */
  readonly uri?: string;
}

const KEY_TYPES: Readonly<Record<PublicKey["type"], number>> = {
  rsa: CKK.RSA,
  ec: CKK.EC,
  edwards: CKK.EC_EDWARDS,
  montgomery: CKK.EC_MONTGOMERY,
};

/** What C_FindObjectsInit takes for a query. @throws {DOMException} NotFoundError for a URI of another token. */
export async function templateFor(query: ObjectQuery, slot: Slot): Promise<Template> {
  const uri: Pkcs11Uri = query.uri === undefined ? {} : parseUri(query.uri);
  if (query.uri !== undefined && !matchesToken(uri, await slot.describe()))
    throw refusal("NotFoundError", "the URI names another token");
  const id = query.id ?? uri.id;
  const label = query.label ?? uri.object;
  return { ...(id && { [CKA.ID]: id }), ...(label !== undefined && { [CKA.LABEL]: label }) };
}

/** The same for a private key, of a type if that is known. */
export async function keyTemplate(query: ObjectQuery, slot: Slot, type?: PublicKey["type"]): Promise<Template> {
  return {
    [CKA.CLASS]: CKO.PRIVATE_KEY,
    ...(await templateFor(query, slot)),
    ...(type && { [CKA.KEY_TYPE]: KEY_TYPES[type] }),
  };
}
