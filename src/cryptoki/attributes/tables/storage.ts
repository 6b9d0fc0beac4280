import { CKA } from "../../constants/cka.ts";
import { EMPTY, type Row } from "./rule.ts";

/** Attributes of all objects that can be created (PKCS#11 3.1 sections 4.2, common attributes, and 4.4, storage objects). */
export const STORAGE: readonly Row[] = [
  [CKA.CLASS, [1]],
  [CKA.UNIQUE_ID, [2, 4, 6]],
  [CKA.TOKEN, [], false],
  [CKA.PRIVATE, [9]],
  [CKA.MODIFIABLE, [], true],
  [CKA.LABEL, [8], ""],
  // "Can't be set to TRUE once it is set to FALSE."
  [CKA.COPYABLE, [8, 12], true],
  [CKA.DESTROYABLE, [], true],
];

/** Data objects (section 4.5). The standard leaves open whether they may be modified; here they are. */
export const DATA: readonly Row[] = [
  [CKA.APPLICATION, [8], ""],
  [CKA.OBJECT_ID, [8], EMPTY],
  [CKA.VALUE, [8], EMPTY],
];

/** Domain parameter objects (section 4.11). */
export const DOMAIN_PARAMETERS: readonly Row[] = [
  [CKA.KEY_TYPE, [1]],
  [CKA.LOCAL, [2, 4]],
];

export const DSA_PARAMETERS: readonly Row[] = [
  [CKA.PRIME, [1, 4]],
  [CKA.SUBPRIME, [1, 4]],
  [CKA.BASE, [1, 4]],
  [CKA.PRIME_BITS, [2, 3]],
];

export const DH_PARAMETERS: readonly Row[] = [
  [CKA.PRIME, [1, 4]],
  [CKA.BASE, [1, 4]],
  [CKA.PRIME_BITS, [2, 3]],
];

export const X9_42_DH_PARAMETERS: readonly Row[] = [
  [CKA.PRIME, [1, 4]],
  [CKA.BASE, [1, 4]],
  [CKA.SUBPRIME, [1, 4]],
  [CKA.PRIME_BITS, [2, 3]],
  [CKA.SUBPRIME_BITS, [2, 3]],
];
