import * as codec from "../codec/rsa-padding.ts";
import { digest, hmac, randomBytes } from "./digests.ts";

// The paddings of codec/rsa-padding with the host's hashes and random numbers. Lengths and errors are told there.

const HOST: codec.PaddingCrypto = { digest, hmac, randomBytes };

/** EME-PKCS1-v1_5 (RFC 8017 section 7.2.1 step 2). @param length Of the modulus in bytes. */
export function encodePkcs1Encryption(message: Uint8Array, length: number): Uint8Array {
  return codec.encodePkcs1Encryption(HOST, message, length);
}

/** EME-PKCS1-v1_5 decoding with implicit rejection (RFC 8017 section 7.2.2 step 3). */
export function decodePkcs1Encryption(block: Uint8Array): Uint8Array {
  return codec.decodePkcs1Encryption(HOST, block);
}

/** EME-OAEP (RFC 8017 section 7.1.1 step 2). @param length Of the modulus in bytes. */
export function encodeOaep(message: Uint8Array, parameters: codec.OaepParameters, length: number): Uint8Array {
  return codec.encodeOaep(HOST, message, parameters, length);
}

/** EME-OAEP decoding (RFC 8017 section 7.1.2 step 3). @throws {DataError} "OAEP: decryption error". */
export function decodeOaep(block: Uint8Array, parameters: codec.OaepParameters): Uint8Array {
  return codec.decodeOaep(HOST, block, parameters);
}

/** EMSA-PSS (RFC 8017 section 9.1.1) over the hash of a message. @param salt Random unless given: for test vectors. */
export function encodePss(
  hashed: Uint8Array,
  parameters: codec.PssParameters,
  modulusBits: number,
  salt?: Uint8Array,
): Uint8Array {
  return codec.encodePss(HOST, hashed, parameters, modulusBits, salt);
}

/** EMSA-PSS verification (RFC 8017 section 9.1.2). */
export function isPss(
  block: Uint8Array,
  hashed: Uint8Array,
  parameters: codec.PssParameters,
  modulusBits: number,
): boolean {
  return codec.isPss(HOST, block, hashed, parameters, modulusBits);
}
