import { CKA } from "../../constants/cka.ts";
import { EMPTY, type Row } from "./rule.ts";

// What the standard calls token-specific (9) is given by the table of the key's type where it is not said here.

/** Attributes of all keys (PKCS#11 3.1 section 4.7.2). */
export const KEY: readonly Row[] = [
  [CKA.KEY_TYPE, [1, 5]],
  [CKA.ID, [8], EMPTY],
  [CKA.START_DATE, [8], null],
  [CKA.END_DATE, [8], null],
  [CKA.DERIVE, [8], false],
  [CKA.LOCAL, [2, 4, 6]],
  [CKA.KEY_GEN_MECHANISM, [2, 4, 6]],
  [CKA.ALLOWED_MECHANISMS, []],
];

/** Section 4.8. */
export const PUBLIC_KEY: readonly Row[] = [
  [CKA.SUBJECT, [8], EMPTY],
  [CKA.ENCRYPT, [8, 9], false],
  [CKA.VERIFY, [8, 9], false],
  [CKA.VERIFY_RECOVER, [8, 9], false],
  [CKA.WRAP, [8, 9], false],
  [CKA.TRUSTED, [10], false],
  [CKA.WRAP_TEMPLATE, [], {}],
  [CKA.PUBLIC_KEY_INFO, []],
];

/** Section 4.9. */
export const PRIVATE_KEY: readonly Row[] = [
  [CKA.SUBJECT, [8], EMPTY],
  [CKA.SENSITIVE, [8, 9, 11], true],
  [CKA.DECRYPT, [8, 9], false],
  [CKA.SIGN, [8, 9], false],
  [CKA.SIGN_RECOVER, [8, 9], false],
  [CKA.UNWRAP, [8, 9], false],
  [CKA.EXTRACTABLE, [8, 9, 12], false],
  [CKA.ALWAYS_SENSITIVE, [2, 4, 6]],
  [CKA.NEVER_EXTRACTABLE, [2, 4, 6]],
  [CKA.WRAP_WITH_TRUSTED, [11], false],
  [CKA.UNWRAP_TEMPLATE, [], {}],
  [CKA.ALWAYS_AUTHENTICATE, [], false],
  [CKA.PUBLIC_KEY_INFO, []],
  [CKA.DERIVE_TEMPLATE, [], {}],
];

/** Section 4.10. */
export const SECRET_KEY: readonly Row[] = [
  [CKA.SENSITIVE, [8, 11], false],
  [CKA.ENCRYPT, [8, 9], false],
  [CKA.DECRYPT, [8, 9], false],
  [CKA.SIGN, [8, 9], false],
  [CKA.VERIFY, [8, 9], false],
  [CKA.WRAP, [8, 9], false],
  [CKA.UNWRAP, [8, 9], false],
  [CKA.EXTRACTABLE, [8, 9, 12], true],
  [CKA.ALWAYS_SENSITIVE, [2, 4, 6]],
  [CKA.NEVER_EXTRACTABLE, [2, 4, 6]],
  // "C_SetAttributeValue may be used to destroy the attribute, by supplying no-value."
  [CKA.CHECK_VALUE, [8]],
  [CKA.WRAP_WITH_TRUSTED, [11], false],
  [CKA.TRUSTED, [10], false],
  [CKA.WRAP_TEMPLATE, [], {}],
  [CKA.UNWRAP_TEMPLATE, [], {}],
  [CKA.DERIVE_TEMPLATE, [], {}],
];
