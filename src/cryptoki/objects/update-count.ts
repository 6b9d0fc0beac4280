import { concat, utf8 } from "../../bytes/index.ts";
import type { CardObject } from "../../card/index.ts";
import { Hasher } from "../../crypto/index.ts";
import { CKA } from "../constants/cka.ts";
import type { Token } from "../slots/token.ts";
import type { CardCopies } from "./card-copies.ts";
import { unlessRefused } from "./refused.ts";

/**
 * A value that differs as soon as the token's contents do: the card's own, and where it has none, made of the contents as this
 * driver knows them. That reads all public objects, as far as they have not been read.
 */
export async function updateCount({ cardToken, copies }: Token): Promise<Uint8Array> {
  const own = await cardToken.updateCount?.();
  if (own) {
    copies.counted(own);
    return own;
  }
  const hasher = new Hasher("sha256");
  // Private objects change, too; only this process knows when.
  hasher.update(uint32(copies.changes));
  for (const object of await cardToken.objects()) {
    if (!object.private && !(await unlessRefused(() => object.exists(false), false))) continue;
    for (const part of [utf8(object.reference), utf8(object.label), object.id, await contentsOf(object, copies)]) {
      hasher.update(concat(uint32(part.length), part));
    }
  }
  return hasher.digest().slice(0, 12);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** What the card refuses, or what does not parse, is a part of its contents too. */
async function contentsOf(object: CardObject, copies: CardCopies): Promise<Uint8Array> {
  const nothing = new Uint8Array();
  if (object.private) return nothing;
  const { attributes } = copies.of(object);
  const type = "value" in object ? CKA.VALUE : CKA.PUBLIC_KEY_INFO;
  return (await unlessRefused(() => attributes.value(type), undefined)) ?? nothing;
}
