import { createCipheriv, type KeyObject } from "node:crypto";
import { findTlv, readTlvs, SW, type Tlv } from "../../apdu/index.ts";
import { fromHex } from "../../bytes/index.ts";
import { type ReferenceData, Refusal } from "../card.ts";
import { KEY_TYPES, type KeyTypeInfo, type KeyTypeName } from "../keys.ts";
import type { PivDeviation } from "./deviations.ts";

/** Cryptographic algorithm identifiers (SP 800-78-5 table 6-2; RSA-4096 and those on Curve25519 as Yubico numbers them). */
export const ALGORITHM = {
  TDEA: 0x03,
  RSA_3072: 0x05,
  RSA_1024: 0x06,
  RSA_2048: 0x07,
  AES_128: 0x08,
  AES_192: 0x0a,
  AES_256: 0x0c,
  P256: 0x11,
  P384: 0x14,
  RSA_4096: 0x16,
  ED25519: 0xe0,
  X25519: 0xe1,
} as const;

const KEY_ALGORITHMS: Readonly<Record<KeyTypeName, number>> = {
  "rsa-1024": ALGORITHM.RSA_1024,
  "rsa-2048": ALGORITHM.RSA_2048,
  "rsa-3072": ALGORITHM.RSA_3072,
  "rsa-4096": ALGORITHM.RSA_4096,
  "p-256": ALGORITHM.P256,
  "p-384": ALGORITHM.P384,
  ed25519: ALGORITHM.ED25519,
  x25519: ALGORITHM.X25519,
};
const NAMES = Object.keys(KEY_TYPES) as KeyTypeName[];

/** The kind of key that a two-digit algorithm identifier names, or undefined. */
export function keyTypeOf(algorithm: number): KeyTypeInfo | undefined {
  const name = NAMES.find((candidate) => KEY_ALGORITHMS[candidate] === algorithm);
  return name && KEY_TYPES[name];
}

/** The algorithm identifier of a kind of key. */
export function algorithmOf(info: KeyTypeInfo): number | undefined {
  const name = NAMES.find((candidate) => KEY_TYPES[candidate] === info);
  return name && KEY_ALGORITHMS[name];
}

/** The factory value of many makers' cards. */
export const WELL_KNOWN_KEY = /* @__PURE__ */ fromHex("0102030405060708".repeat(3));

/** Algorithms of the card management key (SP 800-78-4 table 5-1), with key and block lengths in bytes. */
export const MANAGEMENT_ALGORITHMS = {
  "3des": { algorithm: ALGORITHM.TDEA, length: 24, block: 8, cipher: "des-ede3-ecb" },
  "aes-128": { algorithm: ALGORITHM.AES_128, length: 16, block: 16, cipher: "aes-128-ecb" },
  "aes-192": { algorithm: ALGORITHM.AES_192, length: 24, block: 16, cipher: "aes-192-ecb" },
  "aes-256": { algorithm: ALGORITHM.AES_256, length: 32, block: 16, cipher: "aes-256-ecb" },
} as const;

export type ManagementAlgorithm = keyof typeof MANAGEMENT_ALGORITHMS;

/** Encrypts one block: mutual and external authentication need no more of the cipher on the card's side. */
export function encryptBlock(name: ManagementAlgorithm, key: Uint8Array, block: Uint8Array): Uint8Array {
  const cipher = createCipheriv(MANAGEMENT_ALGORITHMS[name].cipher, key, null).setAutoPadding(false);
  return Buffer.concat([cipher.update(block), cipher.final()]);
}

/** When a private key needs the PIN (SP 800-73-4 part 1 table 4b): never, once verified, or just before each use. */
export type PinPolicy = "never" | "once" | "always";

/**
 * When a key needs a touch, on a card with Yubico's commands: never, for each use, or cached for 15 seconds. A virtual
 * card counts as touched.
 */
export type TouchPolicy = "never" | "always" | "cached";

/** Key references of asymmetric keys (SP 800-73-4 part 1 table 4b). */
export const SLOT = { AUTHENTICATION: 0x9a, SIGNATURE: 0x9c, KEY_MANAGEMENT: 0x9d, CARD_AUTHENTICATION: 0x9e } as const;
/** Key reference of the card management key. */
export const MANAGEMENT_KEY = 0x9b;
const FIRST_RETIRED = 0x82;
const LAST_RETIRED = 0x95;

/** The four keys of the standard. */
const MAIN_SLOTS: readonly number[] = Object.values(SLOT);

/** A retired key management key, 82 to 95. */
export function isRetired(slot: number): boolean {
  return slot >= FIRST_RETIRED && slot <= LAST_RETIRED;
}

/** Whether `slot` names an asymmetric key. */
export function isSlot(slot: number): boolean {
  return MAIN_SLOTS.includes(slot) || isRetired(slot);
}

/** Whether keys in this slot establish keys (decrypt, ECDH) rather than sign. */
export function establishesKeys(slot: number): boolean {
  return slot === SLOT.KEY_MANAGEMENT || isRetired(slot);
}

/** The standard's PIN policy for the key in `slot`. */
export function standardPinPolicy(slot: number): PinPolicy {
  if (slot === SLOT.CARD_AUTHENTICATION) return "never";
  return slot === SLOT.SIGNATURE ? "always" : "once";
}

/** Tag of the data object that holds the certificate for the key in `slot`. */
export function certificateTag(slot: number): number {
  if (isRetired(slot)) return 0x5fc10d + slot - FIRST_RETIRED;
  switch (slot) {
    case SLOT.AUTHENTICATION:
      return 0x5fc105;
    case SLOT.SIGNATURE:
      return 0x5fc10a;
    case SLOT.KEY_MANAGEMENT:
      return 0x5fc10b;
    default:
      return 0x5fc101;
  }
}

/** A private key on the card. */
export interface PivKey {
  readonly privateKey: KeyObject;
  readonly pinPolicy: PinPolicy;
  readonly touchPolicy: TouchPolicy;
  /** Whether it was generated on the card or imported. */
  readonly origin: "generated" | "imported";
}

/** The key that attests others, F9. */
export interface AttestationKey {
  readonly privateKey: KeyObject;
  /** Certificate of the authority that issued the key's own, DER. */
  readonly root: Uint8Array;
}

/** The card management key, 9B. */
export interface ManagementKey {
  readonly algorithm: ManagementAlgorithm;
  readonly value: Uint8Array;
}

/** The fixed properties of a card. */
export interface PivTraits {
  /** Supports extended length fields. */
  readonly extended: boolean;
  /** PIV is the application selected after reset (SP 800-73-4 part 1 section 2.2). */
  readonly defaultSelected: boolean;
  /** Supports Yubico's additional commands. */
  readonly yubico: boolean;
  /** Serial number for the Yubico command. */
  readonly serial: number;
}

/** The persistent state of a card. */
export interface PivContents {
  readonly traits: PivTraits;
  readonly deviations: ReadonlySet<PivDeviation>;
  pin: ReferenceData;
  /** Key reference 00, used if the discovery object says so. */
  readonly globalPin: ReferenceData;
  puk: ReferenceData;
  managementKey: ManagementKey;
  /** Private keys by key reference. */
  readonly keys: Map<number, PivKey>;
  /** On a card with Yubico's commands. */
  readonly attestationKey?: AttestationKey;
  /** Contents of data objects by tag, without the outer 53, 7E or 7F61. */
  readonly objects: Map<number, Uint8Array>;
}

/** Tags of the card's data objects (SP 800-73-4 part 1 table 3). */
export const TAG = {
  CARD_AUTHENTICATION_CERTIFICATE: 0x5fc101,
  CHUID: 0x5fc102,
  FINGERPRINTS: 0x5fc103,
  AUTHENTICATION_CERTIFICATE: 0x5fc105,
  SECURITY_OBJECT: 0x5fc106,
  CAPABILITY_CONTAINER: 0x5fc107,
  FACIAL_IMAGE: 0x5fc108,
  PRINTED_INFORMATION: 0x5fc109,
  SIGNATURE_CERTIFICATE: 0x5fc10a,
  KEY_MANAGEMENT_CERTIFICATE: 0x5fc10b,
  KEY_HISTORY: 0x5fc10c,
  FIRST_RETIRED_CERTIFICATE: 0x5fc10d,
  LAST_RETIRED_CERTIFICATE: 0x5fc120,
  IRIS_IMAGES: 0x5fc121,
  SECURE_MESSAGING_SIGNER: 0x5fc122,
  PAIRING_CODE: 0x5fc123,
  DISCOVERY: 0x7e,
  BIOMETRIC_TEMPLATES: 0x7f61,
} as const;

const PIN_GUARDED: readonly number[] = [
  TAG.FINGERPRINTS,
  TAG.FACIAL_IMAGE,
  TAG.PRINTED_INFORMATION,
  TAG.IRIS_IMAGES,
  TAG.PAIRING_CODE,
];

/** Most bytes of a data object here: more than twice the standard's largest (SP 800-73-4 part 1 table 7). */
export const MAX_OBJECT = 32_767;

/** Whether the standard has a data object of this tag. */
export function isStandardTag(tag: number): boolean {
  if (tag === TAG.DISCOVERY || tag === TAG.BIOMETRIC_TEMPLATES) return true;
  return tag >= TAG.CARD_AUTHENTICATION_CERTIFICATE && tag <= TAG.PAIRING_CODE && tag !== 0x5fc104;
}

/** Whether reading needs the PIN. */
export function needsPin(tag: number): boolean {
  return PIN_GUARDED.includes(tag);
}

/** The tag around an object's content in commands and answers: its own for the two that have one, else 53. */
export function outerTag(tag: number): number {
  return tag === TAG.DISCOVERY || tag === TAG.BIOMETRIC_TEMPLATES ? tag : 0x53;
}

/** A challenge or witness that the host has not answered yet. */
export interface Challenge {
  readonly kind: "external" | "mutual";
  /** The expected answer. */
  readonly expected: Uint8Array;
}

/** The volatile state of a card, until the next reset. */
export interface PivSession {
  selected: boolean;
  /** Whether Yubico's management application is selected instead of PIV. */
  managementSelected: boolean;
  pinVerified: boolean;
  globalPinVerified: boolean;
  /** Ordinal number of the APDU that last verified a PIN, for keys that need it just before each use. */
  pinVerifiedAt: number;
  /** Whether the card management key is authenticated. */
  administrator: boolean;
  challenge: Challenge | undefined;
  /** Keys whose touch was missed since the reset, on a card with the deviation "missed-touch". */
  readonly missedTouches: Set<number>;
}

/** The state after a reset. */
export function newSession(selected: boolean): PivSession {
  return {
    selected,
    managementSelected: false,
    pinVerified: false,
    globalPinVerified: false,
    pinVerifiedAt: Number.NEGATIVE_INFINITY,
    administrator: false,
    challenge: undefined,
    missedTouches: new Set(),
  };
}

/** The state that a command works on: persistent contents and volatile state. */
export interface PivContext {
  readonly contents: PivContents;
  readonly session: PivSession;
}

/** Tag of the PIN usage policy in the discovery object, and its bit for the global PIN (SP 800-73-4 part 1 section 3.3.2). */
const PIN_USAGE_POLICY = 0x5f2f;
const GLOBAL_PIN = 0x20;

/** Whether the global PIN opens the same as the application PIN, by the discovery object. */
export function acceptsGlobalPin({ objects }: PivContents): boolean {
  try {
    const policy = findTlv(readTlvs(objects.get(TAG.DISCOVERY) ?? new Uint8Array()), PIN_USAGE_POLICY);
    return ((policy?.[0] ?? 0) & GLOBAL_PIN) !== 0;
  } catch {
    // The administrator may write anything there; malformed data give the default.
    return false;
  }
}

/** Whether a PIN of this application is verified. */
function isPinVerified({ contents, session }: PivContext): boolean {
  return session.pinVerified || (session.globalPinVerified && acceptsGlobalPin(contents));
}

/** @throws {Refusal} 6982 unless a PIN is verified. */
export function requirePin(context: PivContext): void {
  if (!isPinVerified(context)) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** @throws {Refusal} 6982 unless the card management key was authenticated. */
export function requireAdministrator({ session }: PivContext): void {
  if (!session.administrator) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** The policies in a Yubico command for a new key in `slot`: AA for the PIN, AB for the touch, both optional. */
export function readPolicies(fields: readonly Tlv[], slot: number): Pick<PivKey, "pinPolicy" | "touchPolicy"> {
  return {
    pinPolicy: readPinPolicy(findTlv(fields, 0xaa), slot),
    touchPolicy: readTouchPolicy(findTlv(fields, 0xab)),
  };
}

/** The one byte of `value`, or undefined if it has another length. */
export const onlyByte = (value: Uint8Array | undefined): number | undefined =>
  value?.length === 1 ? value[0] : undefined;

/** Yubico's PIN policy: 0 default of the slot, 1 never, 2 once, 3 always. */
function readPinPolicy(value: Uint8Array | undefined, slot: number): PinPolicy {
  const policies: readonly PinPolicy[] = [standardPinPolicy(slot), "never", "once", "always"];
  const policy = policies[value === undefined ? 0 : (onlyByte(value) ?? -1)];
  if (policy === undefined) throw new Refusal(SW.WRONG_DATA);
  return policy;
}

/** Yubico's touch policy: 0 and 1 never, 2 always, 3 cached. */
function readTouchPolicy(value: Uint8Array | undefined): TouchPolicy {
  const policies: readonly TouchPolicy[] = ["never", "never", "always", "cached"];
  const policy = policies[value === undefined ? 0 : (onlyByte(value) ?? -1)];
  if (policy === undefined) throw new Refusal(SW.WRONG_DATA);
  return policy;
}
