import { CKA } from "../cryptoki/index.ts";

/** What a private key does. */
export type KeyUse = "sign" | "decrypt" | "derive" | "unwrap";

/** The attribute of the private key that allows each use. */
export const PERMISSION = { sign: CKA.SIGN, decrypt: CKA.DECRYPT, derive: CKA.DERIVE, unwrap: CKA.UNWRAP } as const;
/** The same of the public half. */
export const PUBLIC_PERMISSION = {
  sign: CKA.VERIFY,
  decrypt: CKA.ENCRYPT,
  derive: CKA.DERIVE,
  unwrap: CKA.WRAP,
} as const;
