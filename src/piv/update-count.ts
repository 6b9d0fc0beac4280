import { concat } from "../bytes/index.ts";
import { unlessRefused } from "../card/index.ts";
import { Hasher } from "../crypto/index.ts";
import { CONTAINER } from "./containers.ts";
import { KEY_SLOTS, type KeySlot } from "./keys.ts";
import { type KeyReport, NO_KEY } from "./metadata.ts";
import type { PivStore } from "./store.ts";

const LENGTH = 12;

/**
 * A value made of all that can be read without the PIN, 12 bytes. All of it is read anew, so that what another program wrote is seen,
 * and shown from then on. PIV has no counter of changes, and of a new key without a certificate only Yubico's metadata tell.
 * @throws {StatusError} if the card fails; what the way to the card throws.
 */
export async function updateCount(store: PivStore): Promise<Uint8Array> {
  const hasher = new Hasher("sha256");
  const add = (part: Uint8Array | undefined): void => {
    // What is not there differs from what is empty.
    hasher.update(part ? concat(uint32(part.length), part) : uint32(0xffff_ffff));
  };
  add(uint32(store.privateWrites));
  for (const { tag, pin } of Object.values(CONTAINER)) if (!pin) add(await unlessRefused(() => store.renew(tag)));
  for (const slot of KEY_SLOTS) {
    add(await unlessRefused(() => store.renew(slot.certificate)));
    add(await keyOf(store, slot));
  }
  return hasher.digest().slice(0, LENGTH);
}

/** What the card says of a key; of one that only this process knows of, its public half. */
async function keyOf(store: PivStore, slot: KeySlot): Promise<Uint8Array | undefined> {
  const report: KeyReport = await unlessRefused(() => store.renewReport(slot));
  if (report === undefined) return store.madeKey(slot);
  if (report === NO_KEY) return undefined;
  const { pinPolicy, touchPolicy, generated, publicKey = new Uint8Array() } = report;
  return concat(Uint8Array.of(pinPolicy, touchPolicy, generated ? 1 : 0), publicKey);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
