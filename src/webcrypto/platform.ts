import { DataError } from "../bytes/index.ts";
import type { HashName } from "../crypto/index.ts";
import { CKR, CryptokiError } from "../cryptoki/index.ts";
import { TokenError } from "../tokens/parts.ts";

/**
 * The types of the W3C's Web Cryptography API, taken from the declaration of the program's own `crypto`: Node's, or the
 * DOM's if the program has that library. So a {@link TokenCrypto} is assignable wherever the program's own `crypto` is.
 */
export type Crypto = typeof globalThis.crypto;
/** `crypto.CryptoKey`, if the host has it. */
export type CryptoKeyConstructor = Crypto extends { CryptoKey: infer Constructor } ? Constructor : unknown;
export type SubtleCrypto = Crypto["subtle"];
export type CryptoKey = Parameters<SubtleCrypto["exportKey"]>[1];
export interface CryptoKeyPair {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}
export type KeyUsage = CryptoKey["usages"][number];
export type KeyFormat = "jwk" | "pkcs8" | "raw" | "spki";
export type BufferSource = ArrayBufferView | ArrayBuffer;
/** ECDH and X25519. */
export interface EcdhParameters {
  name: string;
  public: CryptoKey;
}
export interface RsaKeyGenParameters {
  name: string;
  modulusLength: number;
  publicExponent: Uint8Array;
  hash: AlgorithmIdentifier;
}
export interface EcKeyGenParameters {
  name: string;
  namedCurve: string;
}
export type SecretKeyGenParameters = { name: string; length: number } | { name: string; hash: AlgorithmIdentifier };
export type AlgorithmIdentifier = string | { name: string };

/** RFC 7517, the members that WebCrypto uses. */
export interface JsonWebKey {
  alg?: string;
  crv?: string;
  d?: string;
  dp?: string;
  dq?: string;
  e?: string;
  ext?: boolean;
  k?: string;
  key_ops?: string[];
  kty?: string;
  n?: string;
  p?: string;
  q?: string;
  qi?: string;
  use?: string;
  x?: string;
  y?: string;
}

/** The host's own cryptography at the time of the import: a program may replace the global one by a token's. */
export const host: Crypto = globalThis.crypto;

/** Arguments that are passed to the host unchanged; the overloads of its declaration do not matter here. */
interface Passed {
  deriveBits(algorithm: AlgorithmIdentifier, baseKey: CryptoKey, length: number | null): Promise<ArrayBuffer>;
  exportKey(format: KeyFormat, key: CryptoKey): Promise<JsonWebKey | ArrayBuffer>;
  generateKey(
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    usages: readonly KeyUsage[],
  ): Promise<CryptoKeyPair | CryptoKey>;
  importKey(
    format: KeyFormat,
    data: BufferSource | JsonWebKey,
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    usages: readonly KeyUsage[],
  ): Promise<CryptoKey>;
}

export const hostSubtle: Passed & Omit<SubtleCrypto, keyof Passed> = host.subtle;

/**
 * Copies the bytes of a BufferSource. Call it before the first await, so that later changes by the caller have no
 * effect (Web IDL, "get a copy of the bytes held by the buffer source").
 * @throws {TypeError} if it is not a BufferSource.
 */
export function copyOf(source: unknown, what = "the data"): Uint8Array {
  if (ArrayBuffer.isView(source)) {
    return Uint8Array.from(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  }
  try {
    // Accepts buffers of other realms.
    return new Uint8Array(ArrayBuffer.prototype.slice.call(source, 0));
  } catch (cause) {
    throw new TypeError(`${what} must be an ArrayBuffer or a view of one`, { cause });
  }
}

/** Copies the bytes into a buffer of exactly their length, as WebCrypto returns them. */
export function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

/**
 * The names of the DOMExceptions that this module throws (Web Cryptography API section 13.4; Web IDL for
 * NotFoundError).
 */
export type RefusalName =
  "DataError" | "InvalidAccessError" | "NotFoundError" | "NotSupportedError" | "OperationError" | "SyntaxError";

/** Makes a DOMException with the lower error as its `cause`. */
export function refusal(name: RefusalName, message: string, cause?: unknown): DOMException {
  return new DOMException(message, { name, ...(cause !== undefined && { cause }) });
}

/** Errors that mean that the request was wrong, not that the operation failed. */
const NAMES: ReadonlyMap<number, RefusalName> = new Map<number, RefusalName>([
  [CKR.MECHANISM_INVALID, "NotSupportedError"],
  [CKR.MECHANISM_PARAM_INVALID, "NotSupportedError"],
  [CKR.FUNCTION_NOT_SUPPORTED, "NotSupportedError"],
  [CKR.KEY_SIZE_RANGE, "NotSupportedError"],
  [CKR.CURVE_NOT_SUPPORTED, "NotSupportedError"],
  [CKR.DOMAIN_PARAMS_INVALID, "NotSupportedError"],
  [CKR.KEY_FUNCTION_NOT_PERMITTED, "InvalidAccessError"],
  [CKR.KEY_TYPE_INCONSISTENT, "InvalidAccessError"],
  [CKR.KEY_UNEXTRACTABLE, "InvalidAccessError"],
  [CKR.PUBLIC_KEY_INVALID, "DataError"],
]);

/** The same of the codes of {@link TokenError} that are no return values. */
const LAYER_NAMES: Readonly<Partial<Record<string, RefusalName>>> = {
  NO_SERVICE: "NotFoundError",
  NO_READER: "NotFoundError",
  NO_CARD: "NotFoundError",
  NO_TOKEN: "NotFoundError",
  NO_OBJECT: "NotFoundError",
  SEVERAL_TOKENS: "DataError",
  SEVERAL_OBJECTS: "DataError",
  BAD_INPUT: "DataError",
  KEY_CANNOT: "InvalidAccessError",
  NOT_SUPPORTED: "NotSupportedError",
};

/** Turns an error of the token into a DOMException with it as cause; returns any other error unchanged. */
function toRefusal(error: unknown): unknown {
  if (error instanceof TokenError) {
    const name = LAYER_NAMES[error.code] ?? NAMES.get(error.rv) ?? "OperationError";
    const { candidates, cause } = error;
    const message = candidates.length === 0 ? error.message : `${error.message}: ${candidates.join(" and ")}`;
    return refusal(name, message, cause instanceof CryptokiError ? cause : error);
  }
  if (error instanceof CryptokiError) {
    return refusal(NAMES.get(error.rv) ?? "OperationError", error.message, error);
  }
  return error instanceof DataError ? refusal("DataError", error.message, error) : error;
}

/** Runs `work` and converts its errors with {@link toRefusal}. */
export async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toRefusal(error);
  }
}

/** A hash by the names of WebCrypto and of the host. */
export interface Hash {
  readonly name: "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
  readonly hash: HashName;
}

const HASHES: readonly Hash[] = [
  { name: "SHA-1", hash: "sha1" },
  { name: "SHA-256", hash: "sha256" },
  { name: "SHA-384", hash: "sha384" },
  { name: "SHA-512", hash: "sha512" },
];

/**
 * Returns the hash that an algorithm's `hash` names, as text or as `{ name }`, in any case.
 * @throws {TypeError} if there is no name.
 * @throws {DOMException} NotSupportedError for another hash.
 */
export function hashOf(identifier: unknown): Hash {
  const name = nameOfAlgorithm(identifier, "hash");
  const found = HASHES.find((hash) => hash.name === name.toUpperCase());
  if (!found) throw refusal("NotSupportedError", `hash ${name}: SHA-1, SHA-256, SHA-384 or SHA-512`);
  return found;
}

/** WebCrypto's name of a hash. @throws {DOMException} NotSupportedError if it has none. */
export function nameOfHash(hash: HashName): string {
  const found = HASHES.find((one) => one.hash === hash);
  if (!found) throw refusal("NotSupportedError", `hash ${hash}: SHA-1, SHA-256, SHA-384 or SHA-512`);
  return found.name;
}

/** The name in an AlgorithmIdentifier. @throws {TypeError} if there is none. */
export function nameOfAlgorithm(identifier: unknown, what = "algorithm"): string {
  const name = typeof identifier === "string" ? identifier : memberOf(identifier, "name");
  if (typeof name !== "string") throw new TypeError(`the ${what} must be a name, or an object with a name`);
  return name;
}

/** A member of a dictionary; undefined if it is not an object. */
export function memberOf(value: unknown, member: string): unknown {
  return typeof value === "object" && value !== null ? (Reflect.get(value, member) as unknown) : undefined;
}
