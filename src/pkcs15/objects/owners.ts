import { equalBytes } from "../../bytes/index.ts";
import type { DirectoryItem } from "./contents.ts";
import type { Pins } from "../pins/pins.ts";

/** Which token an object is of: the one whose PIN guards it, or its private key; all else is of the first. */
export class Owners {
  readonly #items: readonly DirectoryItem[];
  readonly #pins: Pins;

  constructor(items: readonly DirectoryItem[], pins: Pins) {
    this.#items = items;
    this.#pins = pins;
  }

  of({ entry }: DirectoryItem): number {
    const own = this.#guard(entry.head.authId);
    if (entry.class === "private-key") return own ?? 0;
    const id = "key" in entry ? entry.key.id : entry.class === "certificate" ? entry.id : undefined;
    const key =
      id && this.#items.find((item) => item.entry.class === "private-key" && equalBytes(item.entry.key.id, id));
    return (key && this.#guard(key.entry.head.authId)) ?? own ?? 0;
  }

  #guard(authId: Uint8Array | undefined): number | undefined {
    if (!authId) return undefined;
    const index = this.#pins.users.findIndex((pin) => pin.authId && equalBytes(pin.authId, authId));
    return index < 0 ? undefined : index;
  }
}
