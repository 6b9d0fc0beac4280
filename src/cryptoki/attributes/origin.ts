import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import type { AttributeValue } from "./kinds.ts";
import type { NewObject } from "./new-object.ts";

/** Where a key comes from, as far as it is known not to have been seen by anybody. */
export type Origin =
  | { readonly from: "elsewhere" }
  | { readonly from: "generation"; readonly mechanism: number }
  /** What its base key was. */
  | { readonly from: "derivation"; readonly alwaysSensitive: boolean; readonly neverExtractable: boolean };

/**
 * Sets CKA_LOCAL, CKA_KEY_GEN_MECHANISM, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE of a new key (PKCS#11 3.1 sections 4.7.2
 * and 4.9, and what the functions that make keys say).
 */
export function setOrigin({ rules, values }: NewObject, origin: Origin): void {
  const sensitive = values.get(CKA.SENSITIVE) === true;
  const unextractable = values.get(CKA.EXTRACTABLE) === false;
  const generated = origin.from === "generation";
  const derived = origin.from === "derivation";
  const set = (type: number, value: AttributeValue): void => {
    if (rules.has(type)) values.set(type, value);
  };
  set(CKA.LOCAL, generated);
  set(CKA.KEY_GEN_MECHANISM, generated ? origin.mechanism : CK.UNAVAILABLE_INFORMATION);
  set(CKA.ALWAYS_SENSITIVE, sensitive && (generated || (derived && origin.alwaysSensitive)));
  set(CKA.NEVER_EXTRACTABLE, unextractable && (generated || (derived && origin.neverExtractable)));
}
