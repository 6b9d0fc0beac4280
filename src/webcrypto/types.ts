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
