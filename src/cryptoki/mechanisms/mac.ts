import { type BlockCipher, blockLength, Cmac, type HashName, hashLength, HmacStream } from "../../crypto/index.ts";
import { concatSecret, wipe } from "../../bytes/index.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError } from "../errors.ts";
import { readMacLength, readNoParameter } from "./parameters.ts";
import type { SecretMechanism, Signer } from "./family.ts";

type Maker = NonNullable<SecretMechanism["mac"]>;

/** Complete HMAC. */
export const hmac =
  (hash: HashName): Maker =>
  (key, parameter) => {
    readNoParameter(parameter);
    return hmacSigner(hash, key.value, hashLength(hash));
  };

/** HMAC, truncated to the parameter's number of bytes. */
export const hmacGeneral =
  (hash: HashName): Maker =>
  (key, parameter) =>
    hmacSigner(hash, key.value, readMacLength(parameter, hashLength(hash)));

/** Complete CMAC. */
export const cmac =
  (cipher: BlockCipher): Maker =>
  (key, parameter) => {
    readNoParameter(parameter);
    return cmacSigner(cipher, key.value, blockLength(cipher));
  };

/** CMAC, truncated to the parameter's number of bytes. */
export const cmacGeneral =
  (cipher: BlockCipher): Maker =>
  (key, parameter) =>
    cmacSigner(cipher, key.value, readMacLength(parameter, blockLength(cipher)));

function hmacSigner(hash: HashName, key: Uint8Array, length: number): Signer {
  const stream = new HmacStream(hash, key);
  return {
    update: (part) => {
      stream.update(part);
    },
    final: () => cut(stream.final(), length),
    wipe: () => undefined,
  };
}

function cmacSigner(cipher: BlockCipher, key: Uint8Array, length: number): Signer {
  const stream = asCallerError(
    CKR.KEY_SIZE_RANGE,
    () => new Cmac(cipher, key.length === 16 && cipher === "3des" ? doubled(key) : key),
  );
  return {
    update: (part) => {
      stream.update(part);
    },
    final: () => cut(stream.final(), length),
    wipe: () => {
      stream.wipe();
    },
  };
}

/** A two-key DES key as the equivalent three-key one. */
const doubled = (key: Uint8Array): Uint8Array => concatSecret(key, key.subarray(0, 8));

function cut(mac: Uint8Array, length: number): Uint8Array {
  if (length === mac.length) return mac;
  const result = mac.slice(0, length);
  wipe(mac);
  return result;
}
