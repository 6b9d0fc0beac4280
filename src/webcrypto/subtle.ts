import {
  type AlgorithmIdentifier,
  type BufferSource,
  copyOf,
  type CryptoKey,
  type CryptoKeyPair,
  type EcdhParameters,
  type EcKeyGenParameters,
  hostSubtle,
  type JsonWebKey,
  type KeyFormat,
  type KeyUsage,
  memberOf,
  refusal,
  refusing,
  type RsaKeyGenParameters,
  type SecretKeyGenParameters,
  type SubtleCrypto,
} from "./platform.ts";
import type { Token } from "../tokens/parts.ts";
import { decrypt, sign, unwrapKey } from "./operations.ts";
import { deriveBits, deriveKey } from "./derive.ts";
import { generateOnToken, type KeyPlace } from "./generate.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";

/**
 * The operations of the Web Cryptography API (section 14.3): the token performs those with its keys, the host all
 * others. Errors are DOMExceptions with the W3C's names; the token's error is their `cause`.
 */
export class TokenSubtle implements SubtleCrypto {
  readonly #token: Token;

  /** @param token Where generateKey makes keys whose algorithm has a `token`: true, or `{ id, label }`. */
  constructor(token: Token) {
    this.#token = token;
  }

  sign(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer> {
    return refusing(() =>
      key instanceof TokenCryptoKey ? sign(algorithm, key, data) : hostSubtle.sign(algorithm, key, data),
    );
  }

  verify(
    algorithm: AlgorithmIdentifier,
    key: CryptoKey,
    signature: BufferSource,
    data: BufferSource,
  ): Promise<boolean> {
    return refusing(() => hostSubtle.verify(algorithm, hostKey(key, "verify"), signature, data));
  }

  encrypt(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer> {
    return refusing(() => hostSubtle.encrypt(algorithm, hostKey(key, "encrypt"), data));
  }

  decrypt(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer> {
    return refusing(() =>
      key instanceof TokenCryptoKey ? decrypt(algorithm, key, data) : hostSubtle.decrypt(algorithm, key, data),
    );
  }

  deriveBits(
    algorithm: AlgorithmIdentifier | EcdhParameters,
    baseKey: CryptoKey,
    length: number | null = null,
  ): Promise<ArrayBuffer> {
    return refusing(() =>
      baseKey instanceof TokenCryptoKey
        ? deriveBits(algorithm, baseKey, length)
        : hostSubtle.deriveBits(algorithm, baseKey, length),
    );
  }

  deriveKey(
    algorithm: AlgorithmIdentifier | EcdhParameters,
    baseKey: CryptoKey,
    derivedKeyType: AlgorithmIdentifier,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey> {
    return refusing(() =>
      baseKey instanceof TokenCryptoKey
        ? deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages)
        : hostSubtle.deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages),
    );
  }

  digest(algorithm: AlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer> {
    return hostSubtle.digest(algorithm, data);
  }

  generateKey(
    algorithm: RsaKeyGenParameters | EcKeyGenParameters,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKeyPair>;
  generateKey(
    algorithm: SecretKeyGenParameters,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey>;
  generateKey(
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKeyPair | CryptoKey>;
  generateKey(
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKeyPair | CryptoKey> {
    return refusing(() => {
      const place = memberOf(algorithm, "token");
      if (place === undefined || place === false) return hostSubtle.generateKey(algorithm, extractable, keyUsages);
      if (extractable) throw refusal("NotSupportedError", "a private key on a token is not extractable");
      return generateOnToken(this.#token, algorithm, keyUsages, placeIn(place));
    });
  }

  importKey(
    format: KeyFormat,
    keyData: BufferSource | JsonWebKey,
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey> {
    return hostSubtle.importKey(format, keyData, algorithm, extractable, keyUsages);
  }

  exportKey(format: "jwk", key: CryptoKey): Promise<JsonWebKey>;
  exportKey(format: Exclude<KeyFormat, "jwk">, key: CryptoKey): Promise<ArrayBuffer>;
  exportKey(format: KeyFormat, key: CryptoKey): Promise<JsonWebKey | ArrayBuffer> {
    return refusing(() => hostSubtle.exportKey(format, hostKey(key, "exportKey")));
  }

  wrapKey(
    format: KeyFormat,
    key: CryptoKey,
    wrappingKey: CryptoKey,
    wrapAlgorithm: AlgorithmIdentifier,
  ): Promise<ArrayBuffer> {
    return refusing(() =>
      hostSubtle.wrapKey(format, hostKey(key, "wrapKey"), hostKey(wrappingKey, "wrapKey"), wrapAlgorithm),
    );
  }

  unwrapKey(
    format: KeyFormat,
    wrappedKey: BufferSource,
    unwrappingKey: CryptoKey,
    unwrapAlgorithm: AlgorithmIdentifier,
    unwrappedKeyAlgorithm: AlgorithmIdentifier,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey> {
    const target = { format, algorithm: unwrappedKeyAlgorithm, extractable, usages: [...keyUsages] };
    return refusing(() =>
      unwrappingKey instanceof TokenCryptoKey
        ? unwrapKey(unwrapAlgorithm, unwrappingKey, wrappedKey, target)
        : hostSubtle.unwrapKey(
            format,
            wrappedKey,
            unwrappingKey,
            unwrapAlgorithm,
            unwrappedKeyAlgorithm,
            extractable,
            target.usages,
          ),
    );
  }
}

function placeIn(token: unknown): KeyPlace {
  const id = memberOf(token, "id");
  const label = memberOf(token, "label");
  const replace = memberOf(token, "replace");
  return {
    ...(id !== undefined && { id: copyOf(id, "the id") }),
    ...(typeof label === "string" && { label }),
    ...(replace === true && { replace }),
  };
}

/** @throws {DOMException} InvalidAccessError for a token's key, which is private and never leaves the token. */
function hostKey(key: CryptoKey, use: string): CryptoKey {
  if (!(key instanceof TokenCryptoKey)) return key;
  throw refusal("InvalidAccessError", `${use}: the private key is on a token and never leaves it`);
}
