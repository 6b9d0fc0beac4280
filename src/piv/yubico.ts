/**
 * Commands that Yubico added to PIV, and that other makers have adopted: GET METADATA (firmware 5.3 and later) and GET
 * SERIAL (firmware 5 and later). https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/apdu-list.html
 */

import { type CommandApdu, findTlv, MalformedAnswerError, readTlvs, type Tlv } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import { type KeyType, UnsupportedError } from "../card/index.ts";
import { encodePublicKey, parsePublicKey, rsaPublicKey } from "../crypto/index.ts";

/** The name of a key type: "RSA-2048", "P-256". */
export function keyTypeName(type: KeyType): string {
  return type.type === "rsa" ? `RSA-${type.modulusBits}` : type.curve;
}

/**
 * Algorithm identifiers of asymmetric keys, P1 of GENERAL AUTHENTICATE (SP 800-78-5 table 9). 16, E0 and E1 are Yubico's, of firmware 5.7
 * and later (https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/auth-sign.html).
 */
const ALGORITHMS: readonly (readonly [id: number, type: KeyType])[] = [
  [0x05, { type: "rsa", modulusBits: 3072 }],
  [0x06, { type: "rsa", modulusBits: 1024 }],
  [0x07, { type: "rsa", modulusBits: 2048 }],
  [0x11, { type: "ec", curve: "P-256" }],
  [0x14, { type: "ec", curve: "P-384" }],
  [0x16, { type: "rsa", modulusBits: 4096 }],
  [0xe0, { type: "edwards", curve: "Ed25519" }],
  [0xe1, { type: "montgomery", curve: "X25519" }],
];

/** The card's identifier for keys of this type, or undefined if PIV has none. */
export function algorithmOf(key: KeyType): number | undefined {
  const name = keyTypeName(key);
  return ALGORITHMS.find(([, type]) => keyTypeName(type) === name)?.[0];
}

/** As {@link algorithmOf}. @throws {UnsupportedError} if PIV has none. */
export function requiredAlgorithm(key: KeyType): number {
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) throw new UnsupportedError("PIV has no algorithm identifier for keys of this type");
  return algorithm;
}

/** The key type of an identifier; undefined if it is unknown. */
export function keyTypeOfAlgorithm(id: number): KeyType | undefined {
  return ALGORITHMS.find(([known]) => known === id)?.[1];
}

/**
 * Parses a public key from the card's data objects: 81 modulus and 82 exponent, or 86 point (SP 800-73-4 part 2 table
 * 11). Keys on Curve25519 have 32 bytes in 86.
 * @returns SubjectPublicKeyInfo, DER.
 * @throws {DataError} if they do not hold a key of this type.
 */
export function readPublicKeyObjects(type: KeyType, objects: readonly Tlv[]): Uint8Array {
  const value = (tag: number): Uint8Array => findTlv(objects, tag) ?? new Uint8Array();
  const der = encodePublicKey(
    type.type === "rsa" ? rsaPublicKey(value(0x81), value(0x82)) : { ...type, point: value(0x86) },
  );
  // Checks the lengths for the key type.
  parsePublicKey(der);
  return der;
}

/** GET METADATA of a key, PIN or PUK. */
export function getMetadata(reference: number): CommandApdu {
  return { cla: 0x00, ins: 0xf7, p1: 0x00, p2: reference, ne: 65_536, conceal: "nothing" };
}

/** Tag of a PIN's tries in its metadata: the maximum and the remaining tries, a byte each. */
const TRIES = 0x06;

/** A PIN's tries from its metadata; empty if they are absent. */
export function readTries(metadata: Uint8Array): { readonly maximum?: number; readonly left?: number } {
  try {
    const [maximum, left] = findTlv(readTlvs(metadata, "metadata of the PIN"), TRIES) ?? [];
    return maximum !== undefined && left !== undefined && maximum > 0 && left <= maximum ? { maximum, left } : {};
  } catch (error) {
    if (error instanceof DataError) return {};
    throw error;
  }
}

/** Whether a PIN, PUK or management key still has the value that the factory set; undefined where the metadata do not tell. */
export function readIsDefault(metadata: Uint8Array): boolean | undefined {
  try {
    const [isDefault] = findTlv(readTlvs(metadata, "metadata of the PIN"), IS_DEFAULT) ?? [];
    return isDefault === undefined ? undefined : isDefault === 1;
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

const IS_DEFAULT = 0x05;

/** The algorithm identifier of a key, from its metadata; undefined where they do not tell. */
export function readAlgorithm(metadata: Uint8Array): number | undefined {
  try {
    return findTlv(readTlvs(metadata, "metadata of a key"), METADATA.ALGORITHM)?.[0];
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** GET SERIAL: the serial number of the device that the card application is on. */
export function getSerial(): CommandApdu {
  return { cla: 0x00, ins: 0xf8, p1: 0x00, p2: 0x00, ne: 256, conceal: "nothing" };
}

/** The serial number as printed on the device, decimal; undefined for a malformed answer, or 0. */
export function readSerial(answer: Uint8Array): string | undefined {
  if (answer.length !== 4) return undefined;
  const serial = answer.reduce((value, byte) => value * 256 + byte, 0);
  return serial === 0 ? undefined : String(serial);
}

/** When a key needs the PIN: fixed by the standard; on Yubico's cards chosen when the key is made. */
export type KeyPinPolicy = "never" | "once" | "always";

/** The answer to GET METADATA of a key. */
export interface KeyMetadata {
  /** The card's byte; 0 for the policy of the key's slot. */
  readonly pinPolicy: number;
  /** 0 for no policy, 1 never, 2 always, 3 cached for 15 seconds. */
  readonly touchPolicy: number;
  /** Whether the key was generated on the card, not imported. */
  readonly generated: boolean;
  /** SubjectPublicKeyInfo, DER; undefined for an unknown key type. */
  readonly publicKey: Uint8Array | undefined;
}

/** Tags in the metadata of a key. */
const METADATA = { ALGORITHM: 0x01, POLICY: 0x02, ORIGIN: 0x03, PUBLIC_KEY: 0x04 } as const;
const GENERATED = 1;

/**
 * The metadata of a key.
 * @throws {MalformedAnswerError} if they do not parse.
 */
export function readKeyMetadata(answer: Uint8Array): KeyMetadata {
  try {
    const fields = readTlvs(answer, "metadata of a key");
    const [algorithm = 0] = findTlv(fields, METADATA.ALGORITHM) ?? [];
    const [pinPolicy = 0, touchPolicy = 0] = findTlv(fields, METADATA.POLICY) ?? [];
    const [origin] = findTlv(fields, METADATA.ORIGIN) ?? [];
    const type = keyTypeOfAlgorithm(algorithm);
    const objects = findTlv(fields, METADATA.PUBLIC_KEY);
    return {
      pinPolicy,
      touchPolicy,
      generated: origin === GENERATED,
      publicKey: type && objects && readPublicKeyObjects(type, readTlvs(objects, "public key in the metadata")),
    };
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the card's answer to GET METADATA does not parse: ${cause.message}`, { cause });
  }
}

/** 4 and 5 mean a PIN or a fingerprint. */
const PIN_POLICIES: ReadonlyMap<number, KeyPinPolicy> = new Map([
  [1, "never"],
  [2, "once"],
  [3, "always"],
  [4, "once"],
  [5, "always"],
]);

/** When a key with this policy needs the PIN; undefined for the policy of its slot, and for an unknown one. */
export function pinPolicyOf(policy: number | undefined): KeyPinPolicy | undefined {
  return policy === undefined ? undefined : PIN_POLICIES.get(policy);
}

/** GET VERSION: the firmware's version, three bytes. */
export function getVersion(): CommandApdu {
  return { cla: 0x00, ins: 0xfd, p1: 0x00, p2: 0x00, ne: 256, conceal: "nothing" };
}
