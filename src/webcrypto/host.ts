import type {
  AlgorithmIdentifier,
  BufferSource,
  Crypto,
  CryptoKey,
  CryptoKeyPair,
  JsonWebKey,
  KeyFormat,
  KeyUsage,
  SubtleCrypto,
} from "./types.ts";

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
