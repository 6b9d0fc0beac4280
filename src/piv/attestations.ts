import { SW } from "../apdu/index.ts";
import { type CardCertificate, StatusError, UnsupportedError } from "../card/index.ts";
import { readCertificate } from "./data-objects.ts";
import { requestAttestation } from "./key-administration.ts";
import { KEY_SLOTS, type KeySlot, referenceName } from "./keys.ts";
import type { PivSession } from "./session.ts";
import type { PivStore } from "./store.ts";
import { ATTESTATION_CERTIFICATE } from "./yubico-admin.ts";

/** Labels as Yubico's own module has them (yubico-piv-tool, ykcs11/objects.c), so that URIs made with it find the same objects. */
const LABEL = "X.509 Certificate for PIV Attestation";
/** CKA_ID of the key that attests others, F9. */
const SIGNER_ID = 0x19;

/**
 * The certificates by which a card with Yubico's commands proves that its keys were made on it, and that of the key which signs them. The card
 * makes them when they are asked for, in more time than any other object takes, so only a search for their label finds them. Each has the
 * CKA_ID of its key.
 */
export function attestationObjects(store: PivStore, session: PivSession): readonly CardCertificate[] {
  return [signerObject(store), ...KEY_SLOTS.map((slot) => attestationObject(store, session, slot))];
}

function signerObject(store: PivStore): CardCertificate {
  const read = (): Promise<Uint8Array | undefined> => store.read(ATTESTATION_CERTIFICATE);
  return {
    class: "certificate",
    reference: "F9.certificate",
    label: LABEL,
    id: Uint8Array.of(SIGNER_ID),
    private: false,
    isPresent: async ({ byLabel = false }) =>
      byLabel && store.reports.hasYubicoCommands && (await read()) !== undefined,
    value: async () => {
      const value = await read();
      if (!value) throw new StatusError("GET DATA of the attestation certificate", SW.FILE_NOT_FOUND);
      return readCertificate(value);
    },
  };
}

function attestationObject(store: PivStore, session: PivSession, slot: KeySlot): CardCertificate {
  const read = async (): Promise<Uint8Array> => {
    const known = store.attestations.get(slot);
    if (known) return known;
    const certificate = await requestAttestation(session, slot);
    store.attestations.set(slot, certificate);
    return certificate;
  };
  return {
    class: "certificate",
    reference: `${referenceName(slot)}.attestation`,
    label: `${LABEL} ${referenceName(slot).toLowerCase()}`,
    id: Uint8Array.of(slot.id),
    private: false,
    isPresent: async ({ byLabel = false }) => {
      if (!byLabel || !store.reports.hasYubicoCommands) return false;
      try {
        return (await read()).length > 0;
      } catch (error) {
        if (error instanceof UnsupportedError) return false;
        throw error;
      }
    },
    value: read,
  };
}
