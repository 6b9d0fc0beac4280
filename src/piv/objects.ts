import type { CallOptions } from "../async/index.ts";
import { SW } from "../apdu/index.ts";
import { concat } from "../bytes/index.ts";
import {
  type CardCertificate,
  type CardData,
  type CardPrivateKey,
  type CardPublicKey,
  StatusError,
  unlessRefused,
  UnsupportedError,
  untilCancelled,
  type VendorAttributes,
} from "../card/index.ts";
import { Hasher } from "../crypto/index.ts";
import { CONTAINER, type Container, readCertificate } from "./data-objects.ts";
import { KEY_SLOTS, type KeySlot, referenceName } from "./keys.ts";
import { type KeyReport, NO_KEY } from "./metadata.ts";
import type { PivStore } from "./store.ts";
import { ATTESTATION_CERTIFICATE, CKA_YUBICO } from "./yubico-admin.ts";

/** The objects of one key slot. */
export interface SlotObjects {
  readonly slot: KeySlot;
  readonly certificate: CardCertificate;
  readonly publicKey: CardPublicKey;
  readonly privateKey: CardPrivateKey;
}

/** The possible objects of every key slot; they read from `store` on request. */
export function slotObjects(store: PivStore): readonly SlotObjects[] {
  return KEY_SLOTS.map((slot) => ({
    slot,
    certificate: certificateObject(store, slot),
    publicKey: publicKeyObject(store, slot),
    privateKey: privateKeyObject(store, slot),
  }));
}

/** Another data object and its container. */
export interface DataObject {
  readonly container: Container;
  readonly object: CardData;
}

/** The possible other data objects, likewise. */
export function dataObjects(store: PivStore): readonly DataObject[] {
  return Object.values(CONTAINER).map((container) => ({ container, object: dataObject(store, container) }));
}

/**
 * All containers except the two with tags of their own, which describe the card: the discovery object and the BIT
 * group.
 */
export function isWritable({ tag }: Container): boolean {
  return tag > 0xffff;
}

/**
 * Whether a search reads `slot` at all. A search without an identifier reads only the retired slots that are probably
 * used ({@link PivStore.expectsRetired}): each of the 20 slots costs an exchange.
 * @param what A retired key whose certificate is elsewhere is on the card, but its certificate is not.
 */
async function isWorthAsking(
  store: PivStore,
  slot: KeySlot,
  named: boolean,
  what: "key" | "certificate",
): Promise<boolean> {
  return named || slot.retired === undefined || (await store.expectsRetired(slot, slot.retired, what));
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
    isPresent: ({ explicitlyRequested: named }, options) =>
      untilCancelled(
        options,
        async () =>
          (await isWorthAsking(store, slot, named, "certificate")) && (await store.hasCertificate(slot, named)),
      ),
    value: (options) => untilCancelled(options, () => store.certificate(slot)),
  };
}

function publicKeyObject(store: PivStore, slot: KeySlot): CardPublicKey {
  return {
    class: "public-key",
    reference: `${referenceName(slot)}.public-key`,
    label: slot.labels.publicKey,
    id: Uint8Array.of(slot.id),
    private: false,
    get type() {
      return store.foreseenType(slot);
    },
    usage: slot.usage,
    isPresent: ({ explicitlyRequested: named }, options) =>
      untilCancelled(
        options,
        async () => (await isWorthAsking(store, slot, named, "key")) && (await store.hasPublicKey(slot, named)),
      ),
    publicKey: (options) => untilCancelled(options, () => store.publicKey(slot, "certificate")),
  };
}

/** The PIN policy of a key is known after its metadata were read, if the card has any. */
function privateKeyObject(store: PivStore, slot: KeySlot): CardPrivateKey {
  return {
    class: "private-key",
    reference: `${referenceName(slot)}.private-key`,
    label: slot.labels.privateKey,
    id: Uint8Array.of(slot.id),
    private: slot.pin !== "never",
    get type() {
      return store.foreseenType(slot);
    },
    // Firmware before 5.7 refuses both. What is modified is the CKA_ID: the key moves.
    get modifiable() {
      return store.reports.hasYubicoCommands;
    },
    get destroyable() {
      return store.reports.hasYubicoCommands;
    },
    usage: slot.usage,
    get needsLogin() {
      return store.pinPolicy(slot) !== "never";
    },
    get alwaysAuthenticate() {
      return store.pinPolicy(slot) === "always";
    },
    primitives: ["rsa-raw", "ecdsa", "ecdh", "eddsa"],
    local: (options) =>
      untilCancelled(
        options,
        async () => store.wasGenerated(slot) || ((await store.metadata(slot))?.generated ?? false),
      ),
    vendorAttributes: vendorAttributes(store, slot),
    isPresent: ({ explicitlyRequested: named }, options) =>
      untilCancelled(
        options,
        async () => (await isWorthAsking(store, slot, named, "key")) && (await store.hasPrivateKey(slot, named)),
      ),
    publicKey: (options) =>
      untilCancelled(options, () => store.publicKey(slot, slot.pin === "never" ? "certificate" : "key")),
  };
}

function vendorAttributes(store: PivStore, slot: KeySlot): VendorAttributes {
  const reported = (options?: CallOptions): Promise<Awaited<ReturnType<PivStore["reported"]>>> =>
    untilCancelled(options, () => store.reported(slot));
  return new Map([
    [CKA_YUBICO.TOUCH_POLICY, async (options?: CallOptions) => (await reported(options))?.touchPolicy],
    [CKA_YUBICO.PIN_POLICY, async (options?: CallOptions) => (await reported(options))?.pinPolicy],
  ]);
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
    isPresent: ({ explicitlyRequested: named }, options) =>
      untilCancelled(options, async () => named && (await store.read(container.tag)) !== undefined),
    value: (options) => untilCancelled(options, () => store.mustGet(container)),
  };
}

/** Labels as Yubico's own module has them (yubico-piv-tool, ykcs11/objects.c), so that URIs made with it find the same objects. */
const ATTESTATION_LABEL = "X.509 Certificate for PIV Attestation";
/** CKA_ID of the key that attests others, F9. */
const SIGNER_ID = 0x19;

/** Has the card attest the key in a slot: DER. @throws {UnsupportedError} for a key that was not made there. */
type Attester = (slot: KeySlot) => Promise<Uint8Array>;

/**
 * The certificates by which a card with Yubico's commands proves that its keys were made on it, and that of the key which signs them. The card
 * makes them when they are asked for, in more time than any other object takes, so only a search for their label finds them. Each has the
 * CKA_ID of its key.
 */
export function attestationObjects(store: PivStore, attest: Attester): readonly CardCertificate[] {
  return [signerObject(store), ...KEY_SLOTS.map((slot) => attestationObject(store, attest, slot))];
}

function signerObject(store: PivStore): CardCertificate {
  const read = (): Promise<Uint8Array | undefined> => store.read(ATTESTATION_CERTIFICATE);
  return {
    class: "certificate",
    reference: "F9.certificate",
    label: ATTESTATION_LABEL,
    id: Uint8Array.of(SIGNER_ID),
    private: false,
    isPresent: ({ byLabel = false }, options) =>
      untilCancelled(options, async () => byLabel && store.reports.hasYubicoCommands && (await read()) !== undefined),
    value: async (options) => {
      const value = await untilCancelled(options, read);
      if (!value) throw new StatusError("GET DATA of the attestation certificate", SW.FILE_NOT_FOUND);
      return readCertificate(value);
    },
  };
}

function attestationObject(store: PivStore, attest: Attester, slot: KeySlot): CardCertificate {
  const read = async (): Promise<Uint8Array> => {
    const known = store.attestations.get(slot);
    if (known) return known;
    const certificate = await attest(slot);
    store.attestations.set(slot, certificate);
    return certificate;
  };
  return {
    class: "certificate",
    reference: `${referenceName(slot)}.attestation`,
    label: `${ATTESTATION_LABEL} ${referenceName(slot).toLowerCase()}`,
    id: Uint8Array.of(slot.id),
    private: false,
    isPresent: async ({ byLabel = false }, options) => {
      const isMade = byLabel && store.reports.hasYubicoCommands;
      try {
        return await untilCancelled(options, async () => isMade && (await read()).length > 0);
      } catch (error) {
        if (error instanceof UnsupportedError) return false;
        throw error;
      }
    },
    value: (options) => untilCancelled(options, read),
  };
}

const LENGTH = 12;

/**
 * A digest of all contents that can be read without the PIN, 12 bytes. It reads everything anew, so that changes by
 * other programs are seen and shown from then on. PIV has no change counter, and only Yubico's metadata report a new
 * key without a certificate.
 * @throws {StatusError} if the card fails; errors of the connection.
 */
export async function updateCount(store: PivStore): Promise<Uint8Array> {
  const hasher = new Hasher("sha256");
  const add = (part: Uint8Array | undefined): void => {
    // An absent object and an empty one differ.
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

/** The metadata of a key; for a key that only this process knows, its public key. */
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
