import type { NamedCurve, PublicKey, RsaPublicKey } from "../crypto/index.ts";
import { CKA, CKK, CKO, matchesToken, parseUri, type Pkcs11Uri, type Template } from "../cryptoki/index.ts";
import {
  type AlgorithmIdentifier,
  hashOf,
  type KeyUsage,
  memberOf,
  nameOfAlgorithm,
  nameOfHash,
  refusal,
} from "./platform.ts";
import type { Slot } from "./token-session.ts";

const RSA_NAMES = ["RSASSA-PKCS1-v1_5", "RSA-PSS", "RSA-OAEP"] as const;
const EC_NAMES = ["ECDSA", "ECDH"] as const;

export interface RsaAlgorithm {
  readonly name: (typeof RSA_NAMES)[number];
  readonly modulusLength: number;
  readonly publicExponent: Uint8Array;
  readonly hash: { readonly name: string };
}

export interface EcAlgorithm {
  readonly name: (typeof EC_NAMES)[number];
  readonly namedCurve: NamedCurve;
}

export interface Curve25519Algorithm {
  readonly name: "Ed25519" | "X25519";
}

/** A key of a token as WebCrypto describes keys: what `key.algorithm` holds. */
export type TokenKeyAlgorithm = RsaAlgorithm | EcAlgorithm | Curve25519Algorithm;
export type TokenAlgorithmName = TokenKeyAlgorithm["name"];

/** What CKA_SIGN, CKA_DECRYPT and CKA_DERIVE allow. */
export interface KeyAbilities {
  readonly sign: boolean;
  readonly decrypt: boolean;
  readonly derive: boolean;
}

interface AlgorithmRow {
  readonly type: PublicKey["type"];
  readonly ability: keyof KeyAbilities;
  readonly privateUsages: readonly KeyUsage[];
  readonly publicUsages: readonly KeyUsage[];
}

const SIGNS = { ability: "sign", privateUsages: ["sign"], publicUsages: ["verify"] } as const;
const AGREES = { ability: "derive", privateUsages: ["deriveKey", "deriveBits"], publicUsages: [] } as const;
const OPENS = {
  ability: "decrypt",
  privateUsages: ["decrypt", "unwrapKey"],
  publicUsages: ["encrypt", "wrapKey"],
} as const;

/** The algorithms of asymmetric keys, and of each type of key the preferred one first. */
const ALGORITHMS: Readonly<Record<TokenAlgorithmName, AlgorithmRow>> = {
  "RSASSA-PKCS1-v1_5": { type: "rsa", ...SIGNS },
  "RSA-PSS": { type: "rsa", ...SIGNS },
  "RSA-OAEP": { type: "rsa", ...OPENS },
  ECDSA: { type: "ec", ...SIGNS },
  ECDH: { type: "ec", ...AGREES },
  Ed25519: { type: "edwards", ...SIGNS },
  X25519: { type: "montgomery", ...AGREES },
};
const NAMES: readonly TokenAlgorithmName[] = [...RSA_NAMES, ...EC_NAMES, "Ed25519", "X25519"];

/** Registered in the W3C's specification, for keys that no token has here. */
const OTHERS: ReadonlySet<string> = new Set(["AES-CTR", "AES-CBC", "AES-GCM", "AES-KW", "HMAC", "HKDF", "PBKDF2"]);

/**
 * An algorithm of asymmetric keys by its name, in letters of either case; undefined for the other algorithms of the W3C's.
 * @throws {DOMException} NotSupportedError for a name that nobody has registered.
 */
export function algorithmNamed(identifier: unknown): TokenAlgorithmName | undefined {
  const given = nameOfAlgorithm(identifier);
  const name = NAMES.find((one) => one.toUpperCase() === given.toUpperCase());
  if (!name && !OTHERS.has(given.toUpperCase())) throw refusal("NotSupportedError", `no algorithm ${given}`);
  return name;
}

/** The type of key that an algorithm works with. */
function keyTypeFor(name: TokenAlgorithmName): PublicKey["type"] {
  return ALGORITHMS[name].type;
}

export function usagesOf(name: TokenAlgorithmName, half: "privateUsages" | "publicUsages"): KeyUsage[] {
  return [...ALGORITHMS[name][half]];
}

/**
 * The algorithm that a key is to be used with. Without `wanted`: the first of RSASSA-PKCS1-v1_5 and RSA-OAEP, of ECDSA and ECDH,
 * that the key is meant for; the default hash of RSA keys is SHA-256.
 * @throws {DOMException} NotSupportedError for an algorithm of other keys; InvalidAccessError if the key is not meant for it;
 *   DataError for another curve than the key's.
 */
export function keyAlgorithm(key: PublicKey, abilities: KeyAbilities, wanted?: unknown): TokenKeyAlgorithm {
  const name = wanted === undefined ? preferred(key, abilities) : algorithmNamed(wanted);
  const algorithm = name && described(key, name, wanted);
  if (!algorithm) {
    throw refusal("NotSupportedError", `${nameOfAlgorithm(wanted)} does not work with a key of type "${key.type}"`);
  }
  const { ability } = ALGORITHMS[algorithm.name];
  if (!abilities[ability]) throw refusal("InvalidAccessError", `${algorithm.name}: the key is not meant to ${ability}`);
  return algorithm;
}

function preferred(key: PublicKey, abilities: KeyAbilities): TokenAlgorithmName | undefined {
  if (key.type === "rsa" && key.pss !== undefined) return "RSA-PSS";
  const fitting = NAMES.filter((name) => ALGORITHMS[name].type === key.type);
  return fitting.find((name) => abilities[ALGORITHMS[name].ability]) ?? fitting[0];
}

/** The hash that a key for RSASSA-PSS alone is limited to. @throws {DOMException} NotSupportedError for one that WebCrypto has not. */
function onlyHash({ pss }: RsaPublicKey): string | undefined {
  return pss === undefined || pss === "none" ? undefined : nameOfHash(pss.hash);
}

/** Undefined if the algorithm works with keys of another type. */
function described(key: PublicKey, wantedName: TokenAlgorithmName, wanted: unknown): TokenKeyAlgorithm | undefined {
  switch (key.type) {
    case "rsa": {
      const name = RSA_NAMES.find((one) => one === wantedName);
      if (!name || (key.pss !== undefined && name !== "RSA-PSS")) return undefined;
      const only = onlyHash(key);
      const hash = { name: hashOf(memberOf(wanted, "hash") ?? only ?? "SHA-256").name };
      if (only !== undefined && hash.name !== only) throw refusal("DataError", `the key is for ${only} only`);
      return { name, modulusLength: key.modulusBits, publicExponent: Uint8Array.from(key.publicExponent), hash };
    }
    case "ec": {
      const name = EC_NAMES.find((one) => one === wantedName);
      const curve = memberOf(wanted, "namedCurve") ?? key.curve;
      if (name && curve !== key.curve) throw refusal("DataError", `the key is on ${key.curve}`);
      return name && { name, namedCurve: key.curve };
    }
    case "edwards":
      return wantedName === "Ed25519" ? { name: wantedName } : undefined;
    case "montgomery":
      return wantedName === "X25519" ? { name: wantedName } : undefined;
  }
}

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
