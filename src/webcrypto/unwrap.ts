import { fromUtf8, wipe } from "../bytes/index.ts";
import { decryptFor } from "./decrypt.ts";
import { refusal } from "./error.ts";
import { hostSubtle } from "./host.ts";
import type { TokenCryptoKey } from "./token-crypto-key.ts";
import type { AlgorithmIdentifier, BufferSource, CryptoKey, JsonWebKey, KeyFormat, KeyUsage } from "./types.ts";

/** What the unwrapped key is to be. */
export interface UnwrappedKey {
  readonly format: KeyFormat;
  readonly algorithm: AlgorithmIdentifier;
  readonly extractable: boolean;
  readonly usages: KeyUsage[];
}

/** Unwraps a key with a token's RSA key; the unwrapped key is the host's. @throws {DOMException} DataError if it is no such key. */
export async function unwrapKey(
  algorithm: AlgorithmIdentifier,
  unwrappingKey: TokenCryptoKey,
  wrapped: BufferSource,
  { format, algorithm: imported, extractable, usages }: UnwrappedKey,
): Promise<CryptoKey> {
  const bytes = await decryptFor("unwrapKey", algorithm, unwrappingKey, wrapped);
  try {
    if (format === "jwk") return await hostSubtle.importKey(format, readJwk(bytes), imported, extractable, usages);
    return await hostSubtle.importKey(format, bytes, imported, extractable, usages);
  } finally {
    wipe(bytes);
  }
}

/** Web Cryptography API section 10, "parse a JWK". The key's text is in no message. */
function readJwk(bytes: Uint8Array): JsonWebKey {
  try {
    const value: unknown = JSON.parse(fromUtf8(bytes));
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The parser's message would show a part of the key.
  }
  throw refusal("DataError", "what was unwrapped is no JSON Web Key");
}
