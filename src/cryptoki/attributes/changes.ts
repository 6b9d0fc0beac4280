import type { PinUser } from "../../card/index.ts";
import { CKA } from "../constants/cka.ts";
import type { AttributeValue } from "./kinds.ts";
import { type Values, valuesOf } from "./new-object.ts";
import { noSuch, readOnly, requireOfficer } from "./refusals.ts";
import type { Footnote, Rules } from "./tables/rule.ts";
import { type AttributeList, ownValues, sameValue } from "./template.ts";

/** Footnotes of what may be changed at all: 10, 11 and 12 say in which direction. */
const CHANGEABLE: readonly Footnote[] = [8, 10, 11, 12];

/** Changed in the process of copying, and never afterwards (PKCS#11 3.1 section 4.1.3). */
const IN_A_COPY: ReadonlySet<number> = new Set([CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.DESTROYABLE]);

/**
 * Checks a template of C_SetAttributeValue, or of C_CopyObject.
 * @param now The object's values as they are.
 * @param user Who is logged in.
 * @returns The new values, copied.
 * @throws {CryptokiError} CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT (section 4.1.2).
 */
export function checkChanges(
  rules: Rules,
  now: (type: number) => AttributeValue | undefined,
  template: AttributeList,
  user: PinUser | undefined,
  copying: boolean,
): Values {
  const changes = valuesOf(template);
  for (const [type, value] of changes) {
    const notes = rules.get(type)?.notes;
    if (!notes) throw noSuch(type);
    if (copying && IN_A_COPY.has(type)) continue;
    if (!CHANGEABLE.some((note) => notes.has(note))) throw readOnly(type, "cannot be changed");
    const before = now(type);
    if (before !== undefined && sameValue(before, value)) continue;
    if (notes.has(11) && before === true) throw readOnly(type, "stays true");
    if (notes.has(12) && before === false) throw readOnly(type, "stays false");
    if (notes.has(10)) requireOfficer(type, value, user);
  }
  return ownValues(changes);
}
