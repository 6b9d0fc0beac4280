import { concatSecret, copySecret, DataError, wipe } from "../bytes/index.ts";
import { digest, hashLength, type HashName } from "./hash.ts";

/** More than any key needs; the standard's own limit is far above. */
const MAX_LENGTH = 65_536;

/**
 * The key derivation function of ANSI X9.63 (SEC 1 version 2 section 3.6.1): CKD_SHA1_KDF and its like for CKM_ECDH1_DERIVE.
 * @param secret The x coordinate of the shared point.
 * @param length Of the key in bytes.
 * @param sharedInfo pSharedData of CK_ECDH1_DERIVE_PARAMS.
 * @throws {DataError} if `length` is over 65,536.
 */
export function x963Kdf(
  hash: HashName,
  secret: Uint8Array,
  length: number,
  sharedInfo: Uint8Array = new Uint8Array(),
): Uint8Array {
  if (length > MAX_LENGTH) throw new DataError(`key derivation: ${length} bytes, ${MAX_LENGTH} at most`);
  const counter = new DataView(new ArrayBuffer(4));
  const blocks = Array.from({ length: Math.ceil(length / hashLength(hash)) }, (_, index) => {
    counter.setUint32(0, index + 1);
    return digest(hash, secret, new Uint8Array(counter.buffer), sharedInfo);
  });
  const all = concatSecret(...blocks);
  wipe(...blocks);
  const key = copySecret(all.subarray(0, length));
  wipe(all);
  return key;
}
