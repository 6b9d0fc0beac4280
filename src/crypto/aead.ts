import {
  type CipherCCM,
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  type DecipherCCM,
  type DecipherGCM,
} from "node:crypto";
import { concat, concatSecret, DataError, wipe } from "../bytes/index.ts";
import { equivalentGcmNonce } from "./gcm-nonce.ts";
import { plain } from "./plain.ts";

export interface AeadParameters {
  readonly key: Uint8Array;
  /** GCM: 1 byte or more. CCM: 7 to 13. */
  readonly nonce: Uint8Array;
  /** Authenticated, not encrypted. */
  readonly additional: Uint8Array;
  /** Bytes of the tag. GCM: 4, 8, 12 to 16. CCM: 4, 6, ... 16. */
  readonly tagLength: number;
}

/** AES-GCM (SP 800-38D). @returns The ciphertext without the tag, and the tag. @throws {DataError} for parameters that it has not. */
export function encryptGcm(
  parameters: AeadParameters,
  message: Uint8Array,
): { ciphertext: Uint8Array; tag: Uint8Array } {
  return refusing(() => {
    const algorithm = gcm(parameters);
    const nonce = nativeNonce(parameters, algorithm);
    const cipher = createCipheriv(algorithm, parameters.key, nonce, { authTagLength: parameters.tagLength });
    cipher.setAAD(parameters.additional);
    return sealed(cipher, message);
  });
}

/** @throws {AuthenticationError} if the tag is not the message's: then nothing is known of it. */
export function decryptGcm(parameters: AeadParameters, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array {
  const decipher = refusing(() => {
    const algorithm = gcm(parameters);
    const nonce = nativeNonce(parameters, algorithm);
    const made = createDecipheriv(algorithm, parameters.key, nonce, { authTagLength: tag.length });
    made.setAAD(parameters.additional);
    return made.setAuthTag(tag);
  });
  return opened(decipher, ciphertext);
}

/** AES-CCM (SP 800-38C). As {@link encryptGcm}. */
export function encryptCcm(
  parameters: AeadParameters,
  message: Uint8Array,
): { ciphertext: Uint8Array; tag: Uint8Array } {
  return refusing(() => {
    const cipher = createCipheriv(ccm(parameters), parameters.key, parameters.nonce, {
      authTagLength: parameters.tagLength,
    });
    cipher.setAAD(parameters.additional, { plaintextLength: message.length });
    return sealed(cipher, message);
  });
}

/** As {@link decryptGcm}. */
export function decryptCcm(parameters: AeadParameters, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array {
  const decipher = refusing(() => {
    const made = createDecipheriv(ccm(parameters), parameters.key, parameters.nonce, { authTagLength: tag.length });
    made.setAuthTag(tag);
    return made.setAAD(parameters.additional, { plaintextLength: ciphertext.length });
  });
  return opened(decipher, ciphertext);
}

/** A tag is not that of its message. */
export class AuthenticationError extends DataError {}

const bits = ({ key }: AeadParameters): 128 | 192 | 256 => {
  if (key.length === 16) return 128;
  if (key.length === 24) return 192;
  if (key.length === 32) return 256;
  throw new DataError(`aes key: ${key.length} bytes`);
};
const gcm = (parameters: AeadParameters) => `aes-${bits(parameters)}-gcm` as const;
/** OpenSSL takes initialisation vectors of up to 128 bytes for GCM. */
const nativeNonce = ({ key, nonce }: AeadParameters, algorithm: ReturnType<typeof gcm>): Uint8Array =>
  nonce.length > 128 ? equivalentGcmNonce(key, nonce, algorithm) : nonce;
const ccm = (parameters: AeadParameters) => `aes-${bits(parameters)}-ccm` as const;

function sealed(cipher: CipherGCM | CipherCCM, message: Uint8Array): { ciphertext: Uint8Array; tag: Uint8Array } {
  const ciphertext = concat(cipher.update(message), cipher.final());
  return { ciphertext, tag: plain(cipher.getAuthTag()) };
}

function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError("authenticated encryption: a nonce, tag or message of a length that there is not", { cause });
  }
}

/** What comes out before the tag was found right is nobody's to see. */
function opened(decipher: DecipherGCM | DecipherCCM, ciphertext: Uint8Array): Uint8Array {
  let message: Uint8Array = new Uint8Array();
  try {
    message = decipher.update(ciphertext);
    return concatSecret(message, decipher.final());
  } catch (cause) {
    throw new AuthenticationError("authenticated encryption: the tag is not the message's", { cause });
  } finally {
    wipe(message);
  }
}
