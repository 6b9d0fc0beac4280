import { type AttributeValue, CKR, CryptokiError, type Template } from "../../cryptoki/index.ts";
import { isReadable, valueLength, type WireAttribute, type Wanted } from "../wire/attribute.ts";
import { attributeForm } from "../wire/attribute-forms.ts";
import type { Dialect } from "../wire/field.ts";

/** What C_GetAttributeValue is answered with. */
export interface Answers {
  readonly attributes: readonly WireAttribute[];
  readonly rv: number;
}

/**
 * @throws {CryptokiError} for questions that must not be answered: p11-kit ends its program on an answer without attributes,
 *   and before 0.25 its connection on one that has a template.
 */
export function checkWanted(wanted: readonly Wanted[], dialect: Dialect): void {
  if (wanted.length === 0) throw new CryptokiError(CKR.ARGUMENTS_BAD, "no attribute was asked for");
  if (!wanted.every(({ type }) => isReadable(type, dialect))) throw new CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID);
}

/**
 * The values, as far as there is room for them.
 * @param rv What the function says of those that are missing among the values.
 */
export function attributeAnswers(wanted: readonly Wanted[], values: Template, rv: number, dialect: Dialect): Answers {
  const byType = new Map(Object.entries(values as Readonly<Record<string, AttributeValue>>));
  const attributes = wanted.map((one): WireAttribute => {
    const { type, room } = one;
    const value = byType.get(String(type));
    if (value === undefined) return { type };
    const length = valueLength(type, value, dialect);
    if (room === 0) return { type, length };
    return length > room || !fitsNested(one, value, dialect) ? { type } : { type, length, value };
  });
  const tooSmall = attributes.some(({ type, length }) => length === undefined && byType.has(String(type)));
  return { attributes, rv: rv === CKR.OK && tooSmall ? CKR.BUFFER_TOO_SMALL : rv };
}

/** A template goes as a whole or not at all; the caller's attributes are in no particular order. */
function fitsNested({ type, nested = [] }: Wanted, value: AttributeValue, dialect: Dialect): boolean {
  if (attributeForm(type, dialect.offered) !== "template" || typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, inner]: [string, AttributeValue], index) => {
    const room = nested[index];
    return (
      room !== undefined && valueLength(Number(key), inner, dialect) <= room.room && fitsNested(room, inner, dialect)
    );
  });
}
