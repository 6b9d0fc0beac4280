import { fromUtf8 } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import { invalid, readOnly } from "../attributes/refusals.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { blame } from "../error-map.ts";
import { TOKEN_LABEL, UPDATE_COUNT } from "../objects/built-in.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";
import { change, orDoubt } from "./card-objects.ts";

/**
 * C_SetAttributeValue of an object that every token has by itself: the value of TokenLabel is the token's label, and is changed on the
 * card. All else stays.
 * @throws {CryptokiError} CKR_ATTRIBUTE_READ_ONLY, with the reason; CKR_ATTRIBUTE_VALUE_INVALID for what is no text.
 */
export async function changeBuiltIn(
  application: Application,
  { token }: Session,
  { attributes }: StoredObject,
  template: AttributeList,
  signal?: AbortSignal,
): Promise<void> {
  const name = attributes.known(CKA.LABEL);
  let label: string | undefined;
  for (const [type, value] of template) {
    if (type !== CKA.VALUE) throw readOnly(type, `of ${name} stays as it is`);
    if (name === UPDATE_COUNT)
      throw readOnly(type, "of UpdateCount changes by itself, when the contents of the token do");
    if (name !== TOKEN_LABEL) throw readOnly(type, `of ${name} is the card's`);
    label = labelOf(value);
  }
  if (label === undefined) return;
  const wanted = await token.nameIn(label);
  const { cardToken } = token;
  if (cardToken.setLabel === undefined) {
    throw readOnly(CKA.VALUE, `of TokenLabel stays: ${cardToken.fixedLabel ?? "the card has no place for a label"}`);
  }
  const work = change(application, token, true, (it) => it.setLabel?.(wanted, signal), CKR.ATTRIBUTE_READ_ONLY);
  try {
    await orDoubt(token, work, signal);
  } finally {
    token.renamed();
  }
}

/** @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID unless it is UTF-8 without control characters. */
function labelOf(value: unknown): string {
  const text = value instanceof Uint8Array ? blame(CKR.ATTRIBUTE_VALUE_INVALID, () => fromUtf8(value)) : "";
  if (text.trim() === "" || /\p{Cc}/u.test(text)) throw invalid(CKA.VALUE, "of TokenLabel is text, in UTF-8");
  return text;
}
