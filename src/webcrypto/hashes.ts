import { CKG_MGF, CKM } from "../cryptoki/index.ts";
import type { HashName } from "../crypto/index.ts";
import { refusal } from "./error.ts";

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
