import type { AttributeValue, Template } from "./kinds.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../error.ts";

/** Why an attribute has no value to show. */
export interface Unavailable {
  /** CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID. */
  readonly rv: number;
  /** What went wrong with a value that should be there: a certificate that does not parse. */
  readonly cause?: unknown;
}

/**
 * C_GetAttributeValue could not show every attribute that was asked for. As in C, where such a call still fills in the rest of
 * the template, {@link values} has all that could be shown.
 */
export class AttributeError extends CryptokiError {
  /** The attributes that have a value to show. */
  readonly values: Template;
  /** Why not, for each of the others. */
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
