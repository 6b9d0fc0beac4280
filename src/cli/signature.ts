import { DataError } from "../bytes/index.ts";
import {
  digest,
  digestInfo,
  ecdsaFromDer,
  ecdsaToDer,
  type HashName,
  hashLength,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
  verifyPss,
  verifyRsaRaw,
} from "../crypto/index.ts";
import { UsageError } from "./failure.ts";
import { HASHES, type SignatureScheme } from "./mechanism.ts";
import type { SigningKey } from "./signing-key.ts";

/** How an ECDSA signature is written: r and s one after the other, as PKCS #11 has it, or as DER, as most others do. */
export type SignatureFormat = "raw" | "der";

/** A signature as PKCS #11 gives it, in the format that is wanted. RSA signatures have one format only. */
export function formatSignature(signature: Uint8Array, key: SigningKey, format: SignatureFormat): Uint8Array {
  return key.type === "ec" && format === "der" ? ecdsaToDer(signature) : signature;
}

/**
 * The signature as PKCS #11 has it, from either format: one that is twice as long as the curve is taken for r and s, unless
 * told. Undefined if it is neither.
 */
export function readSignature(bytes: Uint8Array, key: SigningKey, format?: SignatureFormat): Uint8Array | undefined {
  if (key.type !== "ec") return bytes;
  const rawLength = key.point.length - 1;
  if (format === "raw" || (format === undefined && bytes.length === rawLength)) return bytes;
  try {
    return ecdsaFromDer(bytes, key.curve);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Whether `signature`, as PKCS #11 has it, is the key's over `data`; computed on the host. */
export function verifySignature(
  { family, hash }: SignatureScheme,
  key: SigningKey,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const hashed = hash === undefined ? data : digest(hash, data);
  if (key.type === "ec") return verifyEcdsa(key, hashed, signature);
  if (key.type === "edwards") return verifyEddsa(key, data, signature);
  switch (family) {
    case "rsa-raw":
      return verifyRsaRaw(key, data, signature);
    case "rsa-pss":
      return verifyPss(key, hashed, pssParameters(hash ?? hashOfLength(hashed.length)), signature);
    case "rsa-pkcs1":
    case "ecdsa":
    case "eddsa":
      return verifyPkcs1(key, hash === undefined ? data : digestInfo(hash, hashed), signature);
  }
}

/** The same hash everywhere, and a salt as long as its result: what everybody uses. */
function pssParameters(hash: HashName): { hash: HashName; mgfHash: HashName; saltLength: number } {
  return { hash, mgfHash: hash, saltLength: hashLength(hash) };
}

/**
 * The SHA-1 or SHA-2 hash whose result is this long: for a hash that was computed before.
 * @throws {UsageError} if there is none.
 */
export function hashOfLength(length: number): HashName {
  const hash = HASHES.find((name) => hashLength(name) === length);
  if (!hash) throw new UsageError(`RSA_PKCS_PSS signs a hash, and none has ${length} bytes; name one with --hash`);
  return hash;
}
