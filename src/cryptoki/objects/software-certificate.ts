import { digest } from "../../crypto/index.ts";
import { inconsistent, invalid } from "../attributes/refusals.ts";
import type { Values } from "../attributes/new-object.ts";
import { bytesOf, numberOf } from "../attributes/values.ts";
import { CK_CERTIFICATE_CATEGORY, CK_SECURITY_DOMAIN } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKC } from "../constants/ckc.ts";
import { HASH_BY_MECHANISM } from "../mechanisms/hashes.ts";
import { requireCheckValue } from "./check-value.ts";

const CATEGORIES: readonly unknown[] = Object.values(CK_CERTIFICATE_CATEGORY);
const DOMAINS: readonly unknown[] = Object.values(CK_SECURITY_DOMAIN);

/** Certificates of the three types (PKCS#11 3.1 sections 4.6.3 to 4.6.5): what their values must have in common. */
export function completeCertificate(values: Values): void {
  if (!CATEGORIES.includes(values.get(CKA.CERTIFICATE_CATEGORY))) {
    throw invalid(CKA.CERTIFICATE_CATEGORY, "is no category");
  }
  const value = bytesOf(values, CKA.VALUE);
  if (values.get(CKA.CERTIFICATE_TYPE) !== CKC.X_509_ATTR_CERT) requireWhereabouts(values, value);
  else if (value.length === 0) throw invalid(CKA.VALUE, "is empty");
  requireCheckValue(values, value.length === 0 ? new Uint8Array() : digest("sha1", value).slice(0, 3));
}

/** A certificate that is not in the object is somewhere else, and known by the hashes of its keys. */
function requireWhereabouts(values: Values, value: Uint8Array): void {
  const domain = values.get(CKA.JAVA_MIDP_SECURITY_DOMAIN);
  if (domain !== undefined && !DOMAINS.includes(domain)) throw invalid(CKA.JAVA_MIDP_SECURITY_DOMAIN, "is no domain");
  if (!HASH_BY_MECHANISM.has(numberOf(values, CKA.NAME_HASH_ALGORITHM) ?? NaN)) {
    throw invalid(CKA.NAME_HASH_ALGORITHM, "is no hash that is known here");
  }
  if (values.get(CKA.URL) === "") {
    if (value.length === 0) throw inconsistent(CKA.VALUE, "and CKA_URL are both empty");
    return;
  }
  for (const type of [CKA.HASH_OF_SUBJECT_PUBLIC_KEY, CKA.HASH_OF_ISSUER_PUBLIC_KEY] as const) {
    if (bytesOf(values, type).length === 0) throw inconsistent(type, "is empty, which needs CKA_URL to be empty too");
  }
}
