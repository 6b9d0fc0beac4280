import type { PinUser } from "../../card/index.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../error.ts";
import type { AttributeValue } from "./kinds.ts";

// What is wrong with a template (PKCS#11 3.1 section 4.1.1), by the attribute that is the reason.

const refusal =
  (rv: number) =>
  (type: number, why: string): CryptokiError =>
    new CryptokiError(rv, `${nameOf("CKA", type)} ${why}`);

export const inconsistent = refusal(CKR.TEMPLATE_INCONSISTENT);
export const invalid = refusal(CKR.ATTRIBUTE_VALUE_INVALID);
export const readOnly = refusal(CKR.ATTRIBUTE_READ_ONLY);

export function incomplete(type: number): CryptokiError {
  return refusal(CKR.TEMPLATE_INCOMPLETE)(type, "is missing");
}

const KNOWN: ReadonlySet<number> = new Set(Object.values(CKA));

/** An attribute of other objects contradicts this one; one that nobody knows is invalid. */
export function noSuch(type: number): CryptokiError {
  return KNOWN.has(type)
    ? inconsistent(type, "is no attribute of such an object")
    : refusal(CKR.ATTRIBUTE_TYPE_INVALID)(type, "is no attribute that is known here");
}

/** @throws {CryptokiError} CKR_ATTRIBUTE_READ_ONLY if anybody but the security officer makes something trusted. */
export function requireOfficer(type: number, value: AttributeValue, user: PinUser | undefined): void {
  if (value === true && user !== "so") throw readOnly(type, "is set to true by the security officer alone");
}
