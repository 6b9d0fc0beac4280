import type { NamedCurve, PublicKey, RsaPublicKey } from "../crypto/index.ts";
import { CKA, CKK, CKO, matchesToken, parseUri, type Pkcs11Uri, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "../tokens/parts.ts";
import {
  type AlgorithmIdentifier,
  hashOf,
  type KeyUsage,
  memberOf,
  nameOfAlgorithm,
  nameOfHash,
  refusal,
} from "./platform.ts";

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

/** A key of a token as `key.algorithm` describes it. */
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

/** The algorithms of asymmetric keys; for each type of key the preferred one comes first. */
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

/** Algorithms that the W3C's specification registers, for keys that tokens do not hold. */
const OTHERS: ReadonlySet<string> = new Set(["AES-CTR", "AES-CBC", "AES-GCM", "AES-KW", "HMAC", "HKDF", "PBKDF2"]);

/**
 * Returns an algorithm of asymmetric keys by its name, in any case; undefined for the W3C's other algorithms.
 * @throws {DOMException} NotSupportedError for an unknown name.
 */
export function algorithmNamed(identifier: unknown): TokenAlgorithmName | undefined {
  const given = nameOfAlgorithm(identifier);
  const name = NAMES.find((one) => one.toUpperCase() === given.toUpperCase());
  if (!name && !OTHERS.has(given.toUpperCase())) throw refusal("NotSupportedError", `unknown algorithm ${given}`);
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
 * Returns the algorithm for a key. Without `wanted`: the first of RSASSA-PKCS1-v1_5 and RSA-OAEP, or of ECDSA and ECDH,
 * that the key allows; the default hash of RSA keys is SHA-256.
 * @throws {DOMException} NotSupportedError for an algorithm of other keys; InvalidAccessError if the key does not allow
 *   it; DataError for another curve than the key's.
 */
export function keyAlgorithm(key: PublicKey, abilities: KeyAbilities, wanted?: unknown): TokenKeyAlgorithm {
  const name = wanted === undefined ? preferred(key, abilities) : algorithmNamed(wanted);
  const algorithm = name && described(key, name, wanted);
  if (!algorithm) {
    throw refusal("NotSupportedError", `${nameOfAlgorithm(wanted)} does not work with a key of type "${key.type}"`);
  }
  const { ability } = ALGORITHMS[algorithm.name];
  if (!abilities[ability])
    throw refusal("InvalidAccessError", `${algorithm.name}: the key does not allow it to ${ability}`);
  return algorithm;
}

function preferred(key: PublicKey, abilities: KeyAbilities): TokenAlgorithmName | undefined {
  if (key.type === "rsa" && key.pss !== undefined) return "RSA-PSS";
  const fitting = NAMES.filter((name) => ALGORITHMS[name].type === key.type);
  return fitting.find((name) => abilities[ALGORITHMS[name].ability]) ?? fitting[0];
}

/**
 * The hash that an RSASSA-PSS key is limited to.
 * @throws {DOMException} NotSupportedError if WebCrypto does not have it.
 */
function onlyHash({ pss }: RsaPublicKey): string | undefined {
  return pss === undefined || pss === "none" ? undefined : nameOfHash(pss.hash);
}

/** Undefined if the algorithm needs keys of another type. */
function described(key: PublicKey, wantedName: TokenAlgorithmName, wanted: unknown): TokenKeyAlgorithm | undefined {
  switch (key.type) {
    case "rsa": {
      const name = RSA_NAMES.find((one) => one === wantedName);
      if (!name || (key.pss !== undefined && name !== "RSA-PSS")) return undefined;
      const only = onlyHash(key);
      const hash = { name: hashOf(memberOf(wanted, "hash") ?? only ?? "SHA-256").name };
      if (only !== undefined && hash.name !== only) throw refusal("DataError", `the key works only with ${only}`);
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

/** Selects an object: it must match everything that is given. */
export interface ObjectQuery {
  /** CKA_ID, which a private key, its public key and its certificate share. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  /** A PKCS #11 URI (RFC 7512) with the object and its id. Its token attributes must match this token. */
  readonly uri?: string;
}

/** An algorithm by its name, with the hash of RSA keys or the curve. */
export type WantedAlgorithm =
  string | { readonly name: string; readonly hash?: AlgorithmIdentifier; readonly namedCurve?: string };

/** Selects a key and its algorithm. */
export interface KeyQuery extends ObjectQuery {
  /**
   * The algorithm to use the key with: `"ECDH"`, `{ name: "RSA-PSS", hash: "SHA-384" }`. Default: the first that the
   * key allows of RSASSA-PKCS1-v1_5 and RSA-OAEP (with SHA-256), ECDSA and ECDH, Ed25519, X25519.
   */
  readonly algorithm?: WantedAlgorithm;
}

const KEY_TYPES: Readonly<Record<PublicKey["type"], number>> = {
  rsa: CKK.RSA,
  ec: CKK.EC,
  edwards: CKK.EC_EDWARDS,
  montgomery: CKK.EC_MONTGOMERY,
};

/** The template for C_FindObjectsInit. @throws {DOMException} NotFoundError for a URI of another token. */
export async function templateFor(query: ObjectQuery, access: TokenAccess): Promise<Template> {
  const uri: Pkcs11Uri = query.uri === undefined ? {} : parseUri(query.uri);
  if (query.uri !== undefined && !matchesToken(uri, await access.run(() => access.description())))
    throw refusal("NotFoundError", "the URI names another token");
  const id = query.id ?? uri.id;
  const label = query.label ?? uri.object;
  return { ...(id && { [CKA.ID]: id }), ...(label !== undefined && { [CKA.LABEL]: label }) };
}

/**
 * The template for a key of the type that its algorithm needs.
 * @throws {DOMException} NotSupportedError for an unknown algorithm.
 */
export async function keyTemplate(query: KeyQuery, access: TokenAccess, half: "private" | "public"): Promise<Template> {
  const name = query.algorithm === undefined ? undefined : algorithmNamed(query.algorithm);
  return {
    [CKA.CLASS]: half === "private" ? CKO.PRIVATE_KEY : CKO.PUBLIC_KEY,
    ...(await templateFor(query, access)),
    ...(name && { [CKA.KEY_TYPE]: KEY_TYPES[keyTypeFor(name)] }),
  };
}
