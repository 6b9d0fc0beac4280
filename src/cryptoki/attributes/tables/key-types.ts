import { CKA } from "../../constants/cka.ts";
import type { Row } from "./rule.ts";

/** RSA (PKCS#11 3.1 section 6.1.2). */
export const RSA_PUBLIC: readonly Row[] = [
  [CKA.MODULUS, [1, 4]],
  [CKA.MODULUS_BITS, [2, 3]],
  [CKA.PUBLIC_EXPONENT, [1]],
  [CKA.ENCRYPT, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
  [CKA.VERIFY_RECOVER, [8, 9], true],
];

/** Section 6.1.3. */
export const RSA_PRIVATE: readonly Row[] = [
  [CKA.MODULUS, [1, 4, 6]],
  [CKA.PUBLIC_EXPONENT, [1, 4, 6]],
  [CKA.PRIVATE_EXPONENT, [1, 4, 6, 7]],
  [CKA.PRIME_1, [4, 6, 7]],
  [CKA.PRIME_2, [4, 6, 7]],
  [CKA.EXPONENT_1, [4, 6, 7]],
  [CKA.EXPONENT_2, [4, 6, 7]],
  [CKA.COEFFICIENT, [4, 6, 7]],
  [CKA.DECRYPT, [8, 9], true],
  [CKA.SIGN, [8, 9], true],
  [CKA.SIGN_RECOVER, [8, 9], true],
];

/** Short Weierstrass curves (section 6.3.3). */
export const EC_PUBLIC: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 3]],
  [CKA.EC_POINT, [1, 4]],
  [CKA.VERIFY, [8, 9], true],
];

/** Section 6.3.4. */
export const EC_PRIVATE: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 4, 6]],
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.SIGN, [8, 9], true],
];

/** Montgomery curves (sections 6.3.7 and 6.3.8): keys that agree on secrets, which CKA_DERIVE has to say. */
export const EC_MONTGOMERY_PUBLIC: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 3]],
  [CKA.EC_POINT, [1, 4]],
];

export const EC_MONTGOMERY_PRIVATE: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 4, 6]],
  [CKA.VALUE, [1, 4, 6, 7]],
];

/** Generic secrets (section 6.8.2), and the keys of HMAC and HKDF, which are alike. */
export const GENERIC_SECRET: readonly Row[] = [
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.VALUE_LEN, [2, 3]],
  [CKA.SIGN, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
];

/** AES (section 6.10.2). */
export const AES: readonly Row[] = [
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.VALUE_LEN, [2, 3]],
  [CKA.ENCRYPT, [8, 9], true],
  [CKA.DECRYPT, [8, 9], true],
  [CKA.SIGN, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
];

/** DES, DES2 and DES3 (section 6.15; the historical mechanisms for DES), whose length their type says. */
export const DES: readonly Row[] = [
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.VALUE_LEN, [2]],
  [CKA.ENCRYPT, [8, 9], true],
  [CKA.DECRYPT, [8, 9], true],
  [CKA.SIGN, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
];
