import type { CKA } from "../../constants/cka.ts";
import type { AttributeValue } from "../kinds.ts";

/**
 * The footnotes that stand with attributes in the tables of the standard (PKCS#11 3.1 table 10):
 *
 *  1, 2   must, must not be specified when the object is created with C_CreateObject
 *  3, 4   ... when it is generated with C_GenerateKey or C_GenerateKeyPair
 *  5, 6   ... when it is unwrapped with C_UnwrapKey
 *  7      not revealed if CKA_SENSITIVE is true or CKA_EXTRACTABLE false
 *  8      may be modified after the object is created, or in the process of copying it
 *  9      the default value is token-specific, and may depend on the values of other attributes
 * 10      set to true only by the security officer
 * 11, 12  not changed any more once it is true, false
 */
export type Footnote = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12;

/**
 * A row of a table: an attribute, its footnotes, and the value of an object whose template does not say. Without that value, the
 * library works it out, or the object does not have the attribute.
 */
export type Row = readonly [type: CKA, notes: readonly Footnote[], initial?: AttributeValue];

interface Rule {
  readonly notes: ReadonlySet<Footnote>;
  readonly initial: AttributeValue | undefined;
}

/** The attributes that an object can have. */
export type Rules = ReadonlyMap<number, Rule>;

/** The rules of several tables; what a later one says of an attribute replaces what an earlier one said. */
export function rules(...tables: readonly (readonly Row[])[]): Rules {
  return new Map(tables.flat().map(([type, notes, initial]) => [type, { notes: new Set(notes), initial }]));
}

export const EMPTY = new Uint8Array();
