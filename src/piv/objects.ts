import type { CardCertificate, CardData, CardPrivateKey, CardPublicKey } from "../card/index.ts";
import { CONTAINER, type Container } from "./containers.ts";
import { KEY_SLOTS, type KeySlot, referenceName, retiredNumber } from "./keys.ts";
import type { PivStore } from "./store.ts";

/** What belongs to one place for a key. */
export interface SlotObjects {
  readonly slot: KeySlot;
  readonly certificate: CardCertificate;
  readonly publicKey: CardPublicKey;
  readonly privateKey: CardPrivateKey;
}

/** What every place for a key may hold, as objects that read from `store` when they are asked. */
export function slotObjects(store: PivStore): readonly SlotObjects[] {
  return KEY_SLOTS.map((slot) => ({
    slot,
    certificate: certificateObject(store, slot),
    publicKey: publicKeyObject(store, slot),
    privateKey: privateKeyObject(store, slot),
  }));
}

/** One of the other data objects, and its place. */
export interface DataObject {
  readonly container: Container;
  readonly object: CardData;
}

/** The other data objects, likewise. */
export function dataObjects(store: PivStore): readonly DataObject[] {
  return Object.values(CONTAINER).map((container) => ({ container, object: dataObject(store, container) }));
}

/** All but the two with tags of their own, which say how the card is used: the PIN that counts, and what biometrics there are. */
export function isWritable({ tag }: Container): boolean {
  return tag > 0xffff;
}

/**
 * Whether a search looks into `slot` at all. Of the retired keys, the key history object counts those with a certificate on the
 * card; where there is no such object (many personalisations omit it), asking 20 times is left to searches that name one.
 */
async function isWorthAsking(store: PivStore, slot: KeySlot, named: boolean): Promise<boolean> {
  const number = retiredNumber(slot);
  if (number === undefined) return true;
  const history = await store.keyHistory();
  return history ? number <= history.onCard : named;
}

type KeyObject = Pick<CardPublicKey, "reference" | "id" | "exists" | "publicKey">;

function keyObject(store: PivStore, slot: KeySlot, half: "private-key" | "public-key"): KeyObject {
  return {
    reference: `${referenceName(slot)}.${half}`,
    id: Uint8Array.of(slot.id),
    exists: async (named) => (await isWorthAsking(store, slot, named)) && (await store.hasKey(slot)),
    publicKey: () => store.publicKey(slot),
  };
}

function certificateObject(store: PivStore, slot: KeySlot): CardCertificate {
  return {
    class: "certificate",
    reference: `${referenceName(slot)}.certificate`,
    label: slot.labels.certificate,
    id: Uint8Array.of(slot.id),
    private: false,
    modifiable: true,
    destroyable: true,
    exists: async (named) =>
      (await isWorthAsking(store, slot, named)) && (await store.read(slot.certificate)) !== undefined,
    value: () => store.certificate(slot),
  };
}

function publicKeyObject(store: PivStore, slot: KeySlot): CardPublicKey {
  return {
    ...keyObject(store, slot, "public-key"),
    class: "public-key",
    private: false,
    label: slot.labels.publicKey,
    usage: slot.usage,
  };
}

function privateKeyObject(store: PivStore, slot: KeySlot): CardPrivateKey {
  return {
    ...keyObject(store, slot, "private-key"),
    class: "private-key",
    label: slot.labels.privateKey,
    usage: slot.usage,
    needsLogin: slot.pin !== "never",
    private: slot.pin !== "never",
    alwaysAuthenticate: slot.pin === "always",
    primitives: ["rsa-raw", "ecdsa", "ecdh"],
  };
}

function dataObject(store: PivStore, container: Container): CardData {
  return {
    class: "data",
    reference: container.name,
    label: container.name,
    id: new Uint8Array(),
    private: container.pin,
    modifiable: isWritable(container),
    destroyable: isWritable(container),
    application: "PIV",
    objectId: container.objectId,
    exists: async (named) => named && (await store.read(container.tag)) !== undefined,
    value: () => store.require(container),
  };
}
