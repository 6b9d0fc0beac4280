import { DataError } from "../bytes/index.ts";
import type { HashName } from "../crypto/index.ts";
import { CKG_MGF, CKM, CKR, CryptokiError } from "../cryptoki/index.ts";

/**
 * The types of the W3C's Web Cryptography API, taken from what this program's `crypto` is declared to be: Node's, or the DOM's where
 * a program has that library. So a {@link TokenCrypto} fits wherever the program's own `crypto` does.
 */
export type Crypto = typeof globalThis.crypto;
/** `crypto.CryptoKey`, where the host has it. */
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

/** RFC 7517, as far as WebCrypto has it. */
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

/**
 * The host's own cryptography, as it was when this module was loaded: a program may put a token's in the place of the global one.
 */
export const host: Crypto = globalThis.crypto;

/** What is passed on to the host as it was given: the overloads of its declaration tell apart what nobody here needs to. */
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
 * A copy of the bytes of a BufferSource, to be made before anything is waited for: what the caller does to them afterwards does not
 * matter (Web IDL, "get a copy of the bytes held by the buffer source").
 * @throws {TypeError} if it is none.
 */
export function copyOf(source: unknown, what = "the data"): Uint8Array {
  if (ArrayBuffer.isView(source)) {
    return Uint8Array.from(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  }
  try {
    // Takes buffers of other realms too, and nothing else.
    return new Uint8Array(ArrayBuffer.prototype.slice.call(source, 0));
  } catch (cause) {
    throw new TypeError(`${what} must be an ArrayBuffer or a view of one`, { cause });
  }
}

/** As WebCrypto gives bytes: in a buffer of exactly their length. */
export function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

/** The names of DOMExceptions that are thrown here (Web Cryptography API section 13.4; Web IDL for NotFoundError). */
export type RefusalName =
  "DataError" | "InvalidAccessError" | "NotFoundError" | "NotSupportedError" | "OperationError" | "SyntaxError";

/** A DOMException of the W3C's, with the lower error as its `cause`. */
export function refusal(name: RefusalName, message: string, cause?: unknown): DOMException {
  return new DOMException(message, { name, ...(cause !== undefined && { cause }) });
}

/** What is no failure of the operation, but of what was asked. */
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

/** What a failure is in WebCrypto: a {@link CryptokiError} becomes the cause of a DOMException; anything else stays what it is. */
function toRefusal(error: unknown): unknown {
  if (error instanceof CryptokiError) {
    return refusal(NAMES.get(error.rv) ?? "OperationError", error.message, error);
  }
  return error instanceof DataError ? refusal("DataError", error.message, error) : error;
}

/** Runs `work`; what it throws is {@link toRefusal}'s. */
export async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toRefusal(error);
  }
}

/** A hash by the names of WebCrypto, of the host and of PKCS#11. */
export interface Hash {
  readonly name: string;
  readonly hash: HashName;
  readonly mechanism: number;
  readonly mgf: number;
}

const HASHES: readonly Hash[] = [
  { name: "SHA-1", hash: "sha1", mechanism: CKM.SHA_1, mgf: CKG_MGF.MGF1_SHA1 },
  { name: "SHA-256", hash: "sha256", mechanism: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 },
  { name: "SHA-384", hash: "sha384", mechanism: CKM.SHA384, mgf: CKG_MGF.MGF1_SHA384 },
  { name: "SHA-512", hash: "sha512", mechanism: CKM.SHA512, mgf: CKG_MGF.MGF1_SHA512 },
];

/**
 * The hash that an algorithm's `hash` names, as text or as `{ name }`, in letters of either case.
 * @throws {TypeError} if there is no name. @throws {DOMException} NotSupportedError for another hash.
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

/** A member of a dictionary; undefined of what is no object. */
export function memberOf(value: unknown, member: string): unknown {
  return typeof value === "object" && value !== null ? (Reflect.get(value, member) as unknown) : undefined;
}
