import { KeyObject, randomBytes, randomInt, X509Certificate } from "node:crypto";
import { concat, DataError, utf8 } from "../../bytes/index.ts";
import { type Authority, deviatingCertificate } from "../certificates.ts";
import { describeKey, generateKey, isOnCurve25519, KEY_TYPES, type KeyTypeName, parsePrivateKey } from "../keys.ts";
import { ATTESTATION_CERTIFICATE, makeAttestationKey } from "./attestation.ts";
import { encodeFascn, issueCertificate, TEST_FASCN } from "./identity.ts";
import {
  certificateTag,
  isRetired,
  isSlot,
  MANAGEMENT_ALGORITHMS,
  type ManagementKey,
  MAX_OBJECT,
  type PinPolicy,
  type PivContents,
  type PivKey,
  SLOT,
  standardPinPolicy,
  TAG,
  type TouchPolicy,
  WELL_KNOWN_KEY,
} from "./model.ts";
import type { PivDeviation } from "./deviations.ts";
import { MISSING_OBJECTS } from "./commands.ts";
import * as identity from "./identity.ts";
import { REFERENCE_LENGTH, ReferenceData } from "../card.ts";
import { isWellFormedPin } from "./pin.ts";

/**
 * A key for the card: generated, or given as PEM (PKCS#8, PKCS#1 or SEC1) with its certificate. Ed25519 and X25519 need
 * `yubico`.
 */
export type KeySource =
  | KeyTypeName
  | {
      /** The kind of key to generate. */
      readonly privateKey: string | KeyObject | { readonly type: KeyTypeName };
      /** PEM or DER; default: issued by a test authority; null for none on the card. */
      readonly certificate?: string | Uint8Array | null;
      /** Whether the certificate may belong to another key, for a card that tests whether programs notice. */
      readonly anyCertificate?: boolean;
      /** Default: the standard's policy for the slot. */
      readonly pinPolicy?: PinPolicy;
      /** Default: "never". */
      readonly touchPolicy?: TouchPolicy;
    };

/** The contents of a new card; everything has a default. */
export interface PivCardOptions {
  /** 6 to 8 digits; default: "123456". */
  readonly pin?: string;
  /** 6 to 8 digits; default: "12345678". Used only if `pinUsage` says so. */
  readonly globalPin?: string;
  /** 8 characters; default: "12345678". */
  readonly puk?: string;
  /** Tries of each PIN and of the PUK, 1 to 15; default: 3. */
  readonly tries?: number;
  /** For the discovery object; default: "application". */
  readonly pinUsage?: identity.PinUsage;
  /** Default: 3DES with the well-known 0102030405060708 three times. */
  readonly managementKey?: ManagementKey;
  /**
   * Keys by slot in hexadecimal: "9a", "9c", "9d", "9e", and "82" to "95" for retired ones. Default: 9a and 9d are
   * RSA-2048, 9c and 9e P-256; null leaves a slot empty.
   */
  readonly keys?: Readonly<Record<string, KeySource | null>>;
  /**
   * Contents of data objects by tag, without the outer 53, 7E or 7F61, instead of the default ones; null leaves one
   * out.
   */
  readonly objects?: ReadonlyMap<number, Uint8Array | null>;
  /** As its maker delivers it: no keys but those of `keys`, no data objects but the discovery object; default: false. */
  readonly empty?: boolean;
  /** The cardholder's name; default: "Test Cardholder". */
  readonly name?: string;
  /** The card's UUID, 16 bytes; default: random. */
  readonly guid?: Uint8Array;
  /** Supports extended-length commands; default: only a card with Yubico's commands does. */
  readonly extended?: boolean;
  /** PIV is selected after reset; default: true. */
  readonly defaultSelected?: boolean;
  /**
   * "YubiKey" in its answer to reset, Yubico's additional commands, and their cards' policies for keys; default: false.
   */
  readonly yubico?: boolean;
  /** Serial number for Yubico's command, 32 bits; default: random. */
  readonly serial?: number;
  /** Deviations from the standard, of `PIV_DEVIATIONS`; default: none. */
  readonly deviations?: readonly PivDeviation[];
}

const DEFAULT_KEYS: Readonly<Record<string, KeySource>> = {
  "9a": "rsa-2048",
  "9c": "p-256",
  "9d": "rsa-2048",
  "9e": "p-256",
};
const YEAR = 365 * 24 * 3_600_000;

/** The contents of a new card. Errors as VirtualPivCard.create. */
export async function personalise(options: PivCardOptions): Promise<PivContents> {
  const deviations = new Set(options.deviations);
  const tries = options.tries ?? (deviations.has("five-pin-tries") ? 5 : 3);
  if (!Number.isInteger(tries) || tries < 1 || tries > 15)
    throw new DataError(`PIV card: ${tries} tries; it has 1 to 15`);
  const guid = options.guid ?? randomUuid();
  if (guid.length !== 16) throw new DataError(`PIV card: a UUID of ${guid.length} bytes instead of 16`);
  const { keys, certificates } = await makeKeys(options, guid);
  const attestation = options.yubico ? await makeAttestationKey() : undefined;
  return {
    traits: {
      extended: options.extended ?? options.yubico ?? false,
      defaultSelected: options.defaultSelected ?? true,
      yubico: options.yubico ?? false,
      serial: options.serial ?? randomInt(1, 2 ** 32),
    },
    deviations,
    pin: new ReferenceData(paddedPin(options.pin ?? "123456", "PIN"), tries),
    globalPin: new ReferenceData(paddedPin(options.globalPin ?? "12345678", "global PIN"), tries),
    puk: new ReferenceData(checkedPuk(options.puk ?? "12345678"), tries),
    managementKey: checkedManagementKey(options.managementKey ?? { algorithm: "3des", value: WELL_KNOWN_KEY }),
    keys,
    ...(attestation && { attestationKey: attestation.key }),
    objects: makeObjects(options, guid, certificates, attestation?.certificate),
  };
}

/** Keys and certificates according to the deviations. */
async function makeKeys(
  options: PivCardOptions,
  guid: Uint8Array,
): Promise<{ keys: Map<number, PivKey>; certificates: Map<number, Uint8Array> }> {
  const authority: Authority = { privateKey: await generateKey(KEY_TYPES["p-256"]), name: "Virtual PIV CA" };
  const name = options.name ?? "Test Cardholder";
  const keys = new Map<number, PivKey>();
  const certificates = new Map<number, Uint8Array>();
  for (const [slotName, source] of Object.entries({ ...(options.empty ? {} : DEFAULT_KEYS), ...options.keys })) {
    if (source === null) continue;
    const slot = parseSlot(slotName);
    const key = await makeKey(slot, source);
    if (isOnCurve25519(describeKey(key.privateKey)) && !options.yubico) {
      throw new DataError(`PIV key ${slotName}: only cards with Yubico's commands support keys on Curve25519`);
    }
    keys.set(slot, key);
    const { certificate: given, anyCertificate = false } = typeof source === "string" ? {} : source;
    if (given === null) continue;
    const notBefore = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000);
    const notAfter = new Date(notBefore.getTime() + 3 * YEAR);
    const { privateKey } = key;
    const request = { slot, privateKey, name, issuer: authority, notBefore, notAfter, fascn: FASCN, guid };
    certificates.set(
      slot,
      given === undefined
        ? await issueCertificate(request)
        : readCertificate(given, slotName, anyCertificate ? undefined : privateKey),
    );
  }
  const deviations = new Set(options.deviations);
  if (deviations.has("no-certificates")) certificates.clear();
  if (deviations.has("certificate-without-key")) keys.delete(SLOT.AUTHENTICATION);
  if (deviations.has("pin-for-each-use")) {
    for (const [slot, key] of keys) keys.set(slot, { ...key, pinPolicy: "always" });
  }
  return { keys, certificates };
}

const FASCN = /* @__PURE__ */ encodeFascn(TEST_FASCN);

async function makeKey(slot: number, source: KeySource): Promise<PivKey> {
  if (typeof source === "string") return makeKey(slot, { privateKey: { type: source } });
  const { privateKey, pinPolicy = standardPinPolicy(slot), touchPolicy = "never" } = source;
  const policies = { pinPolicy, touchPolicy };
  if (typeof privateKey === "object" && !(privateKey instanceof KeyObject)) {
    return { ...policies, privateKey: await generateKey(KEY_TYPES[privateKey.type]), origin: "generated" };
  }
  return { ...policies, privateKey: parsePrivateKey(privateKey), origin: "imported" };
}

/** @param key The key that the certificate must belong to, if any. */
function readCertificate(source: string | Uint8Array, slot: string, key: KeyObject | undefined): Uint8Array {
  let certificate;
  try {
    certificate = new X509Certificate(source);
  } catch (cause) {
    throw new DataError(`PIV certificate for ${slot}: not X.509 in PEM or DER`, { cause });
  }
  if (key && !certificate.checkPrivateKey(key))
    throw new DataError(`PIV certificate for ${slot}: it belongs to another key`);
  return certificate.raw;
}

function makeObjects(
  options: PivCardOptions,
  guid: Uint8Array,
  certificates: ReadonlyMap<number, Uint8Array>,
  attestation: Uint8Array | undefined,
): Map<number, Uint8Array> {
  const expires = new Date(Date.now() + 5 * YEAR);
  const objects = new Map<number, Uint8Array>([[TAG.DISCOVERY, identity.discovery(options.pinUsage ?? "application")]]);
  if (!options.empty) {
    objects.set(TAG.CAPABILITY_CONTAINER, identity.capabilityContainer(guid));
    objects.set(TAG.CHUID, identity.chuid(FASCN, guid, expires));
    objects.set(TAG.PRINTED_INFORMATION, identity.printedInformation(options.name ?? "Test Cardholder", expires));
  }
  const retired = [...certificates.keys()].filter(isRetired).length;
  if (retired > 0) objects.set(TAG.KEY_HISTORY, identity.keyHistory(retired));
  const deviations = new Set(options.deviations);
  for (const [slot, der] of certificates) {
    const stored = deviatingCertificate(der, (deviation) => deviations.has(deviation));
    objects.set(certificateTag(slot), identity.certificateObject(stored, deviations.has("gzip-certificates")));
  }
  if (attestation) objects.set(ATTESTATION_CERTIFICATE, identity.certificateObject(attestation, false));
  for (const [tag, content] of options.objects ?? []) {
    if (content === null) objects.delete(tag);
    else objects.set(tag, content.slice());
  }
  for (const [tag, deviation] of MISSING_OBJECTS) if (deviations.has(deviation)) objects.delete(tag);
  for (const [tag, { length }] of objects) {
    if (length > MAX_OBJECT)
      throw new DataError(`PIV object ${tag.toString(16)}: ${length} bytes; the limit is ${MAX_OBJECT}`);
  }
  return objects;
}

/** The key reference that `name` means in hexadecimal. */
export function parseSlot(name: string): number {
  const slot = /^[0-9a-f]{2}$/iu.test(name) ? Number.parseInt(name, 16) : -1;
  if (!isSlot(slot)) throw new DataError(`PIV slot ${name}: slots are 9a, 9c, 9d, 9e and 82 to 95`);
  return slot;
}

function paddedPin(text: string, what: string): Uint8Array {
  const pin = concat(utf8(text), new Uint8Array(REFERENCE_LENGTH).fill(0xff)).slice(0, REFERENCE_LENGTH);
  if (text.length > REFERENCE_LENGTH || !isWellFormedPin(pin))
    throw new DataError(`PIV card: a ${what} is 6 to 8 digits`);
  return pin;
}

function checkedPuk(text: string): Uint8Array {
  const puk = utf8(text);
  if (puk.length !== REFERENCE_LENGTH) throw new DataError("PIV card: a PUK is 8 bytes");
  return puk;
}

/** A copy of a management key with the right length for its algorithm. */
export function checkedManagementKey({ algorithm, value }: ManagementKey): ManagementKey {
  const { length } = MANAGEMENT_ALGORITHMS[algorithm];
  if (value.length !== length)
    throw new DataError(`PIV management key: ${value.length} bytes instead of ${length} for ${algorithm}`);
  return { algorithm, value: value.slice() };
}

/** A random UUID of version 4 (RFC 4122 section 4.4). */
function randomUuid(): Uint8Array {
  const uuid = randomBytes(16);
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x40;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuid;
}
