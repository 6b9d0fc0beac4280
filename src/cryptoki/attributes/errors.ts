import type { PinUser } from "../../card/index.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../errors.ts";
import type { AttributeValue, Template } from "./kinds.ts";

/** Why an attribute has no value. */
export interface Unavailable {
  /** CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID. */
  readonly rv: number;
  /** The error of a value that should exist: a certificate that does not parse. */
  readonly cause?: unknown;
}

/**
 * C_GetAttributeValue could not return every requested attribute. As in C, where such a call still fills in the rest of
 * the template, {@link values} has the others.
 */
export class AttributeError extends CryptokiError {
  /** The attributes with a value. */
  readonly values: Template;
  /** The reason for each of the others. */
  readonly unavailable: ReadonlyMap<number, Unavailable>;

  constructor(values: ReadonlyMap<number, AttributeValue>, unavailable: ReadonlyMap<number, Unavailable>) {
    const reasons = [...unavailable.values()];
    const sensitive = reasons.some(({ rv }) => rv === CKR.ATTRIBUTE_SENSITIVE);
    const names = [...unavailable.keys()].map((type) => nameOf("CKA", type)).join(", ");
    const cause = reasons.find((reason) => reason.cause !== undefined)?.cause;
    super(
      sensitive ? CKR.ATTRIBUTE_SENSITIVE : CKR.ATTRIBUTE_TYPE_INVALID,
      `no value for ${names}${cause instanceof Error ? `: ${cause.message}` : ""}; the others are in \`values\``,
      { cause },
    );
    this.values = Object.fromEntries(values);
    this.unavailable = unavailable;
  }
}

// Errors of a template (PKCS#11 3.1 section 4.1.1), by the attribute that causes them.

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

/** An attribute that belongs to other objects is inconsistent; an unknown one is invalid. */
export function noSuch(type: number): CryptokiError {
  return KNOWN.has(type)
    ? inconsistent(type, "does not belong to such an object")
    : refusal(CKR.ATTRIBUTE_TYPE_INVALID)(type, "is not a known attribute");
}

/** @throws {CryptokiError} CKR_ATTRIBUTE_READ_ONLY if a user other than the security officer sets CKA_TRUSTED. */
export function requireOfficer(type: number, value: AttributeValue, user: PinUser | undefined): void {
  if (value === true && user !== "so") throw readOnly(type, "can be set to true only by the security officer");
}
