import { wipe } from "../../bytes/index.ts";
import { hashLength, hkdfExpand, hkdfExtract } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import type { SecretMechanism } from "./scheme.ts";
import { readHkdfParameters } from "./symmetric-parameters.ts";

/** CKM_HKDF_DERIVE and CKM_HKDF_DATA (PKCS#11 3.1, HKDF mechanisms; RFC 5869). */
export const hkdf: NonNullable<SecretMechanism["derive"]> = ({ value }, parameter, length) =>
  Promise.resolve(derive(value, parameter, length));

function derive(value: Uint8Array, parameter: unknown, length: number | undefined): Uint8Array {
  const { extract, expand, hash, salt, info } = readHkdfParameters(parameter);
  const wanted = length ?? hashLength(hash);
  if (!expand) {
    // "If bExpand is false ... the length of the key is that of the hash."
    if (wanted !== hashLength(hash))
      throw new CryptokiError(CKR.KEY_SIZE_RANGE, `extraction gives ${hashLength(hash)} bytes`);
    return hkdfExtract(hash, salt, value);
  }
  const key = extract ? hkdfExtract(hash, salt, value) : value;
  try {
    return blame(CKR.KEY_SIZE_RANGE, () => hkdfExpand(hash, key, info, wanted));
  } finally {
    if (extract) wipe(key);
  }
}
