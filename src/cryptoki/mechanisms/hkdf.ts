import { wipe } from "../../bytes/index.ts";
import { hashLength, hkdfExpand, hkdfExtract } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import type { SecretMechanism } from "./scheme.ts";
import { type HkdfParameters, readHkdfParameters } from "./symmetric-parameters.ts";

/** CKM_HKDF_DERIVE and CKM_HKDF_DATA (PKCS#11 3.1, HKDF mechanisms; RFC 5869). */
export const hkdf: NonNullable<SecretMechanism["derive"]> = ({ value }, parameter, length, other) => {
  const { salt, ...parameters } = readHkdfParameters(parameter);
  // "The salt should be ignored if bExtract is false."
  const named = typeof salt === "number" && parameters.extract ? other(salt).value : salt;
  return Promise.resolve(derive(value, parameters, typeof named === "number" ? new Uint8Array() : named, length));
};

function derive(
  value: Uint8Array,
  { extract, expand, hash, info }: Omit<HkdfParameters, "salt">,
  salt: Uint8Array,
  length: number | undefined,
): Uint8Array {
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
