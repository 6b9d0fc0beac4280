import { CKA, CKK, CKO, matchesToken, parseUri, type Pkcs11Uri, type Template } from "../cryptoki/index.ts";
import type { PublicKey } from "../crypto/index.ts";
import { refusal } from "./error.ts";
import { algorithmNamed, keyTypeFor } from "./key-algorithm.ts";
import type { Slot } from "./slot.ts";
import type { AlgorithmIdentifier } from "./types.ts";

/** Which object is meant: all that is named must fit. */
export interface ObjectQuery {
  /** CKA_ID, which a private key, its public key and its certificate have in common. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  /** A PKCS #11 URI (RFC 7512): its object and its id. What it says of the token must be true of this one. */
  readonly uri?: string;
}

/** An algorithm by its name, with what WebCrypto keeps with a key: the hash of RSA keys, the curve. */
export type WantedAlgorithm =
  string | { readonly name: string; readonly hash?: AlgorithmIdentifier; readonly namedCurve?: string };

/** Which key is meant, and what for. */
export interface KeyQuery extends ObjectQuery {
  /**
   * The algorithm to use it with: `"ECDH"`, `{ name: "RSA-PSS", hash: "SHA-384" }`. Without it RSASSA-PKCS1-v1_5 or RSA-OAEP with
   * SHA-256, ECDSA or ECDH, Ed25519, X25519: the first that the key is meant for.
   */
  readonly algorithm?: WantedAlgorithm;
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

/** The same for a key, of the type that its algorithm works with. @throws {DOMException} NotSupportedError for an unknown algorithm. */
export async function keyTemplate(query: KeyQuery, slot: Slot, half: "private" | "public"): Promise<Template> {
  const name = query.algorithm === undefined ? undefined : algorithmNamed(query.algorithm);
  return {
    [CKA.CLASS]: half === "private" ? CKO.PRIVATE_KEY : CKO.PUBLIC_KEY,
    ...(await templateFor(query, slot)),
    ...(name && { [CKA.KEY_TYPE]: KEY_TYPES[keyTypeFor(name)] }),
  };
}
