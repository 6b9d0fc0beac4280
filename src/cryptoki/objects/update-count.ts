import { concat, DataError, utf8 } from "../../bytes/index.ts";
import { CardError, type CardObject } from "../../card/index.ts";
import { Hasher } from "../../crypto/index.ts";
import { isGone } from "../error-map.ts";
import type { Token } from "../slots/token.ts";

/**
 * A value that differs as soon as the token's contents do: the card's own, and where it has none, made of the contents as this
 * driver knows them. That reads all public objects, as far as they have not been read.
 */
export async function updateCount({ cardToken, changes }: Token): Promise<Uint8Array> {
  const own = await cardToken.updateCount?.();
  if (own) return own;
  const hasher = new Hasher("sha256");
  // Private objects change, too; only this process knows when.
  hasher.update(uint32(changes.count));
  for (const object of await cardToken.objects()) {
    if (!object.private && !(await isThere(object))) continue;
    for (const part of [utf8(object.reference), utf8(object.label), object.id, await contentsOf(object)]) {
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

const isThere = (object: CardObject): Promise<boolean> => unlessRefused(() => object.exists(false), false);

function contentsOf(object: CardObject): Promise<Uint8Array> {
  const nothing = new Uint8Array();
  if (object.private) return Promise.resolve(nothing);
  return unlessRefused(() => ("value" in object ? object.value() : object.publicKey()), nothing);
}

/** What the card refuses, or what does not parse, is a part of its contents too. */
async function unlessRefused<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (isGone(error) || !(error instanceof CardError || error instanceof DataError)) throw error;
    return otherwise;
  }
}
