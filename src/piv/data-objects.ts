import { encodeTlv, findTlv, readTlvs } from "../apdu/index.ts";
import { ByteReader, concat, DataError, startsWith, toHex } from "../bytes/index.ts";
import { readStoredCertificate } from "../card/index.ts";
import { PIV_AID } from "./commands.ts";
import { RETIRED_KEYS } from "./keys.ts";

/** A data object of the PIV card application besides the certificates (SP 800-73-4 part 1 tables 2 and 3). */
export interface Container {
  readonly tag: number;
  readonly name: string;
  /** ContainerID as an object identifier below 2.16.840.1.101.3.7. */
  readonly objectId: string;
  /** Reading needs the PIN. */
  readonly pin: boolean;
}

const container = (tag: number, name: string, arcs: string, pin = false): Container => ({
  tag,
  name,
  objectId: `2.16.840.1.101.3.7.${arcs}`,
  pin,
});

export const CONTAINER = {
  CCC: container(0x5fc107, "Card Capability Container", "1.219.0"),
  CHUID: container(0x5fc102, "Card Holder Unique Identifier", "2.48.0"),
  FINGERPRINTS: container(0x5fc103, "Cardholder Fingerprints", "2.96.16", true),
  SECURITY_OBJECT: container(0x5fc106, "Security Object", "2.144.0"),
  FACIAL_IMAGE: container(0x5fc108, "Cardholder Facial Image", "2.96.48", true),
  PRINTED_INFORMATION: container(0x5fc109, "Printed Information", "2.48.1", true),
  DISCOVERY: container(0x7e, "Discovery Object", "2.96.80"),
  KEY_HISTORY: container(0x5fc10c, "Key History Object", "2.96.96"),
  IRIS_IMAGES: container(0x5fc121, "Cardholder Iris Images", "2.16.21", true),
  BIT_GROUP: container(0x7f61, "Biometric Information Templates Group Template", "2.16.22"),
  SECURE_MESSAGING_SIGNER: container(0x5fc122, "Secure Messaging Certificate Signer", "2.16.23"),
  PAIRING_CODE: container(0x5fc123, "Pairing Code Reference Data Container", "2.16.24", true),
} as const satisfies Record<string, Container>;

/** The first fields of a Card Holder Unique Identifier (SP 800-73-4 part 1 table 9; TIG SCEPACS 2.3). */
export interface Chuid {
  /** Federal Agency Smart Credential Number, 25 bytes of 5-bit characters. */
  readonly fascn?: Uint8Array;
  /** Card UUID, 16 bytes. */
  readonly guid?: Uint8Array;
}

/** Bytes that contain the fields before the signature: 53, EE, 30, 32, 33, 34, 35, 36. */
export const CHUID_HEAD = 80;

/**
 * Parses the first fields of a CHUID, as far as `bytes` go: the signature, which makes it ten times as long, comes last
 * and is not needed. Takes the answer to GET DATA, with its wrapping.
 * @throws {DataError} if the wrapping is missing.
 */
export function readChuidHead(bytes: Uint8Array): Chuid {
  const reader = new ByteReader(bytes, "CHUID");
  if (reader.u8() !== 0x53) throw new DataError("CHUID: no data object 53");
  skipLength(reader);
  const fields = new Map<number, Uint8Array>();
  while (reader.remaining >= 2) {
    const tag = reader.u8();
    const length = reader.u8();
    // Stops at a field of 128 bytes or more (the signature) and at one that is cut off.
    if (length >= 0x80 || length > reader.remaining) break;
    fields.set(tag, reader.take(length));
  }
  const fascn = fields.get(0x30);
  const guid = fields.get(0x34);
  return {
    ...(fascn?.length === 25 && { fascn }),
    ...(guid?.length === 16 && { guid }),
  };
}

function skipLength(reader: ByteReader): void {
  const first = reader.u8();
  if (first > 0x80) reader.take(first & 0x7f);
}

/**
 * The card's serial number, hexadecimal: the FASC-N; the card UUID if there is no FASC-N or its agency is 9999, which
 * all issuers outside the government share (SP 800-73-4 part 1 section 3.1.2). OpenSC uses the same one (card-piv.c,
 * piv_get_serial_nr_from_CHUI). Undefined for a card without either, or with zeros in their place.
 */
export function chuidNumber({ fascn, guid }: Chuid): string | undefined {
  const uuid = guid && isSet(guid) ? guid : undefined;
  const number = fascn && isSet(fascn) && !(uuid && isOfNoAgency(fascn)) ? fascn : uuid;
  return number && toHex(number);
}

const isSet = (number: Uint8Array): boolean => number.some((byte) => byte !== 0);

/**
 * Whether a FASC-N begins with the start sentinel and agency 9999: five characters of five bits each; the last bit
 * belongs to the next character.
 */
function isOfNoAgency([first, second, third, fourth = 0]: Uint8Array): boolean {
  return first === 0xd4 && second === 0xe7 && third === 0x39 && (fourth & 0x80) !== 0;
}

/** Key references of PINs (SP 800-73-4 part 1 table 4). */
export const PIN_REFERENCE = { GLOBAL: 0x00, APPLICATION: 0x80 } as const;
export type PinReference = (typeof PIN_REFERENCE)[keyof typeof PIN_REFERENCE];

/** Key reference of the PUK, in the same table. */
export const PUK_REFERENCE = 0x81;

/** The contents of the discovery object (SP 800-73-4 part 1 section 3.3.2). */
export interface Discovery {
  /** Whether the object holds the AID of PIV. */
  readonly piv: boolean;
  /** The cardholder's primary PIN, which a login verifies. */
  readonly pin: PinReference;
}

/** The policy of a card without a discovery object: it has the application PIN only. */
export const NO_DISCOVERY: Discovery = { piv: false, pin: PIN_REFERENCE.APPLICATION };

/**
 * Parses a discovery object: 4F is the application's AID; 5F2F is the PIN usage policy. Bit 6 of its first byte says
 * that the global PIN satisfies the access rules too; a second byte of 20 says that it is the primary one.
 * @throws {DataError} if it is not BER-TLV.
 */
export function readDiscovery(value: Uint8Array): Discovery {
  const objects = readTlvs(value, "discovery object");
  const [policy = 0, primary = 0] = findTlv(objects, 0x5f2f) ?? [];
  const globalIsPrimary = (policy & 0x20) !== 0 && primary === 0x20;
  return {
    piv: startsWith(findTlv(objects, 0x4f) ?? new Uint8Array(), PIV_AID.subarray(0, 5)),
    pin: globalIsPrimary ? PIN_REFERENCE.GLOBAL : PIN_REFERENCE.APPLICATION,
  };
}

/** The contents of the key history object: retired key management keys (SP 800-73-4 part 1 section 3.3.3). */
export interface KeyHistory {
  /** Number of retired keys whose certificates are on the card: key 82 and following. */
  readonly onCard: number;
  /** Number of retired keys whose certificates are elsewhere: the keys after those. */
  readonly offCard: number;
  /** The URL of those certificates. */
  readonly url?: Uint8Array;
}

const TAG = { ON_CARD: 0xc1, OFF_CARD: 0xc2, URL: 0xf3, ERROR_DETECTION: 0xfe } as const;

/**
 * Parses a key history object.
 * @throws {DataError} for counts of more than 20 keys.
 */
export function readKeyHistory(value: Uint8Array): KeyHistory {
  const objects = readTlvs(value, "key history object");
  const [onCard = 0] = findTlv(objects, TAG.ON_CARD) ?? [];
  const [offCard = 0] = findTlv(objects, TAG.OFF_CARD) ?? [];
  const url = findTlv(objects, TAG.URL);
  if (onCard + offCard > RETIRED_KEYS) {
    throw new DataError(`key history object: ${onCard} and ${offCard} retired keys, ${RETIRED_KEYS} at most`);
  }
  return { onCard, offCard, ...(url && { url }) };
}

/** Encodes a key history object. */
export function encodeKeyHistory({ onCard, offCard, url }: KeyHistory): Uint8Array {
  return concat(
    encodeTlv(TAG.ON_CARD, Uint8Array.of(onCard)),
    encodeTlv(TAG.OFF_CARD, Uint8Array.of(offCard)),
    encodeTlv(TAG.URL, url ?? new Uint8Array()),
    encodeTlv(TAG.ERROR_DETECTION),
  );
}

/**
 * Updates the key history after the certificate of retired key `number` was written or deleted. Programs look for as
 * many retired certificates as it counts, so the count reaches to the last one.
 * @returns Undefined if nothing changes.
 */
export function renewedHistory(
  history: KeyHistory | undefined,
  number: number,
  isPresent: boolean,
): KeyHistory | undefined {
  const { onCard = 0, offCard = 0 } = history ?? {};
  if (isPresent) {
    return number <= onCard
      ? undefined
      : { ...history, onCard: number, offCard: Math.min(offCard, RETIRED_KEYS - number) };
  }
  return number === onCard ? { ...history, onCard: number - 1, offCard } : undefined;
}

/** Bits of CertInfo: the certificate is compressed with gzip (SP 800-73-4 part 1 table 10, appendix A). */
const COMPRESSED = 0x01;

/**
 * Returns the X.509 certificate, DER, from a certificate data object: 70 the certificate, 71 CertInfo, FE error
 * detection code (SP 800-73-4 part 1 table 10). Some cards compress without setting CertInfo, or with another method
 * than gzip, or pad the object with zeros.
 * @throws {DataError} if there is none, or it does not decompress to at most 65,536 bytes.
 */
export async function readCertificate(value: Uint8Array): Promise<Uint8Array> {
  const objects = readTlvs(value, "certificate object");
  const certificate = findTlv(objects, 0x70);
  if (!certificate || certificate.length === 0) throw new DataError("certificate object: no certificate in it");
  const [info = 0] = findTlv(objects, 0x71) ?? [];
  return readStoredCertificate(certificate, (info & COMPRESSED) !== 0);
}
