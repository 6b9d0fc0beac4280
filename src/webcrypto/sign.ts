import { digest, digestInfo, hashLength, truncateDigest } from "../crypto/index.ts";
import { type CK_MECHANISM, CKM } from "../cryptoki/index.ts";
import { copyOf, toArrayBuffer } from "./buffer-source.ts";
import { refusal } from "./error.ts";
import { hashOf, memberOf } from "./hashes.ts";
import type { TokenKeyAlgorithm } from "./key-algorithm.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";
import type { AlgorithmIdentifier, BufferSource } from "./types.ts";

/** What the token is asked to sign, and how. */
interface SignatureJob {
  readonly mechanism: CK_MECHANISM;
  readonly input: Uint8Array;
}

/**
 * Signs with a token's key. The host hashes, so that a message of any length costs the token the same, and every module has the
 * mechanism. An ECDSA signature is r || s.
 */
export async function sign(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<ArrayBuffer> {
  const stored = TokenCryptoKey.require(key, algorithm, "sign");
  const { mechanism, input } = jobFor(key.algorithm, algorithm, copyOf(data));
  return toArrayBuffer(await stored.sign(mechanism, input));
}

function jobFor(key: TokenKeyAlgorithm, parameters: unknown, message: Uint8Array): SignatureJob {
  switch (key.name) {
    case "RSASSA-PKCS1-v1_5": {
      const { hash } = hashOf(key.hash);
      return { mechanism: { mechanism: CKM.RSA_PKCS }, input: digestInfo(hash, digest(hash, message)) };
    }
    case "RSA-PSS": {
      const { hash, mechanism: hashAlg, mgf } = hashOf(key.hash);
      const sLen = saltLength(parameters, key.modulusLength, hashLength(hash));
      return {
        mechanism: { mechanism: CKM.RSA_PKCS_PSS, parameter: { hashAlg, mgf, sLen } },
        input: digest(hash, message),
      };
    }
    case "ECDSA": {
      const { hash } = hashOf(memberOf(parameters, "hash"));
      return {
        mechanism: { mechanism: CKM.ECDSA },
        input: truncateDigest(digest(hash, message), key.namedCurve),
      };
    }
    case "Ed25519":
      return { mechanism: { mechanism: CKM.EDDSA }, input: message };
    default:
      throw refusal("InvalidAccessError", `${key.name} does not sign`);
  }
}

/** @throws {TypeError} if it is no length. @throws {DOMException} OperationError if the key has no room for it (RFC 8017 section 9.1.1). */
function saltLength(parameters: unknown, modulusLength: number, hashBytes: number): number {
  const length = memberOf(parameters, "saltLength");
  if (typeof length !== "number" || !Number.isInteger(length) || length < 0) {
    throw new TypeError("RSA-PSS wants saltLength, in bytes");
  }
  if (Math.ceil((modulusLength - 1) / 8) < hashBytes + length + 2) {
    throw refusal("OperationError", `no room for a salt of ${length} bytes with a key of ${modulusLength} bits`);
  }
  return length;
}
