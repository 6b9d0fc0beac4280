import { wipe } from "../bytes/index.ts";
import { type CK_MECHANISM, CKM, CKZ } from "../cryptoki/index.ts";
import { copyOf, toArrayBuffer } from "./buffer-source.ts";
import { refusal } from "./error.ts";
import { hashOf, memberOf } from "./hashes.ts";
import type { TokenKeyAlgorithm } from "./key-algorithm.ts";
import type { StoredKey } from "./stored-key.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";
import type { AlgorithmIdentifier, BufferSource, KeyUsage } from "./types.ts";

/** Decrypts with a token's RSA key: RSA-OAEP, with the key's hash also in the mask generation function. */
export async function decrypt(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<ArrayBuffer> {
  const plaintext = await decryptFor("decrypt", algorithm, key, data);
  const result = toArrayBuffer(plaintext);
  wipe(plaintext);
  return result;
}

/** The same for a use of the key. The plaintext is its caller's to wipe. */
export function decryptFor(
  usage: KeyUsage,
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<Uint8Array> {
  const stored: StoredKey = TokenCryptoKey.require(key, algorithm, usage);
  return stored.decrypt(mechanismFor(key.algorithm, algorithm), copyOf(data));
}

function mechanismFor(key: TokenKeyAlgorithm, parameters: unknown): CK_MECHANISM {
  if (key.name !== "RSA-OAEP") throw refusal("InvalidAccessError", `${key.name} does not decrypt`);
  const { mechanism: hashAlg, mgf } = hashOf(key.hash);
  const label = labelOf(parameters);
  return {
    mechanism: CKM.RSA_PKCS_OAEP,
    parameter: { hashAlg, mgf, source: CKZ.DATA_SPECIFIED, ...(label && { pSourceData: label }) },
  };
}

/** The label, which is empty if left out. @throws {TypeError} if it is no BufferSource. */
function labelOf(parameters: unknown): Uint8Array | undefined {
  const label = memberOf(parameters, "label");
  return label === undefined ? undefined : copyOf(label, "the label");
}
