import type { Place } from "./place.ts";

/** A PKI applet, or one object of it: a private key and its certificate. */
export interface PkiEntry {
  readonly place: Place;
  readonly label: string;
  /** CKA_ID. */
  readonly id: Uint8Array;
}

/** A container of data. */
export interface ContainerEntry {
  readonly place: Place;
  readonly label: string;
  /** Any search shows it; otherwise one that names it, because many cards have it and nothing in it. */
  readonly listed: boolean;
}

/** What a card says is on it. */
export interface CardContents {
  readonly pki: readonly PkiEntry[];
  readonly containers: readonly ContainerEntry[];
  /** The card's number; undefined if it tells none. */
  readonly cardId: Uint8Array | undefined;
}

/** More PKI objects than this no card has, and no other program shows. */
const MAX_PKI = 16;

/** The names of the three certificates of every CAC, in the order of its applets: those that OpenSC gives them. */
const PKI_LABELS = ["CAC ID Certificate", "CAC Email Signature Certificate", "CAC Email Encryption Certificate"];

/**
 * The PKI object with this number among those of the card, from 0: label and CKA_ID as OpenSC numbers them, so that a URI or a
 * configuration that was made with either is good for the other. Undefined beyond the last that there may be.
 */
export function pkiEntry(place: Place, index: number): PkiEntry | undefined {
  if (index >= MAX_PKI) return undefined;
  const number = index + 1;
  return { place, label: PKI_LABELS[index] ?? `CAC Cert ${number}`, id: Uint8Array.of(0x00, number) };
}

interface ContainerName {
  readonly label: string;
  readonly listed: boolean;
}

const listed = (label: string): ContainerName => ({ label, listed: true });
const unlisted = (label: string): ContainerName => ({ label, listed: false });

/** Containers by object identifier: CAC data model (GSC-IS 2.1 appendix D), and SP 800-73-1 section 1.8. */
const CONTAINERS: ReadonlyMap<number, ContainerName> = new Map([
  [0x0200, listed("Person Instance")],
  [0x0201, listed("Personnel")],
  [0x0202, listed("Benefits")],
  [0x0203, listed("Other Benefits")],
  [0x02fd, listed("PKI Credential")],
  [0x02fe, listed("PKI Certificate")],
  [0x3000, unlisted("Card Holder Unique Identifier")],
  [0x6010, unlisted("Cardholder Fingerprints")],
  [0x6030, unlisted("Cardholder Facial Image")],
  [0x9000, unlisted("Security Object")],
]);

/** The container with this object identifier, two bytes; undefined if nobody knows what it is. */
export function containerEntry(place: Place, object: Uint8Array): ContainerEntry | undefined {
  const [high = 0, low = 0] = object;
  const name = CONTAINERS.get(high * 256 + low);
  return name && { place, ...name };
}

/** The containers that cards without a list may have: applets of their own, whose identifier ends in the object's. */
export const UNLISTED_APPLETS: readonly Uint8Array[] = [...CONTAINERS.keys()]
  .filter((object) => object < 0x3000)
  .map((object) => Uint8Array.of(object >> 8, object & 0xff));
