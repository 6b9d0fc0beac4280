import { CK_CERTIFICATE_CATEGORY, CK_SECURITY_DOMAIN } from "../../constants/ck.ts";
import { CKA } from "../../constants/cka.ts";
import { CKM } from "../../constants/ckm.ts";
import { EMPTY, type Row } from "./rule.ts";

/** Certificate objects (PKCS#11 3.1 section 4.6.2). */
export const CERTIFICATE: readonly Row[] = [
  [CKA.CERTIFICATE_TYPE, [1]],
  [CKA.TRUSTED, [10], false],
  [CKA.CERTIFICATE_CATEGORY, [], CK_CERTIFICATE_CATEGORY.UNSPECIFIED],
  [CKA.CHECK_VALUE, []],
  [CKA.START_DATE, [], null],
  [CKA.END_DATE, [], null],
  [CKA.PUBLIC_KEY_INFO, [], EMPTY],
];

/** Where the certificate is, if it is not in the object, and what it is known by (sections 4.6.3 and 4.6.4). */
const ELSEWHERE: readonly Row[] = [
  [CKA.URL, [], ""],
  [CKA.HASH_OF_SUBJECT_PUBLIC_KEY, [], EMPTY],
  [CKA.HASH_OF_ISSUER_PUBLIC_KEY, [], EMPTY],
  [CKA.NAME_HASH_ALGORITHM, [], CKM.SHA_1],
];

/** "Only the CKA_ID, CKA_ISSUER, and CKA_SERIAL_NUMBER attributes may be modified" (section 4.6.3). */
export const X_509: readonly Row[] = [
  [CKA.SUBJECT, [1]],
  [CKA.ID, [8], EMPTY],
  [CKA.ISSUER, [8], EMPTY],
  [CKA.SERIAL_NUMBER, [8], EMPTY],
  [CKA.VALUE, [1]],
  [CKA.JAVA_MIDP_SECURITY_DOMAIN, [], CK_SECURITY_DOMAIN.UNSPECIFIED],
  ...ELSEWHERE,
];

/** Section 4.6.4. */
export const WTLS: readonly Row[] = [[CKA.SUBJECT, [1]], [CKA.ISSUER, [8], EMPTY], [CKA.VALUE, [1]], ...ELSEWHERE];

/** Section 4.6.5. */
export const X_509_ATTR_CERT: readonly Row[] = [
  [CKA.OWNER, [1]],
  [CKA.AC_ISSUER, [8], EMPTY],
  [CKA.SERIAL_NUMBER, [8], EMPTY],
  [CKA.ATTR_TYPES, [8], EMPTY],
  [CKA.VALUE, [1]],
];
