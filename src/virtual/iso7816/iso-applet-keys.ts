import type { KeyObject } from "node:crypto";
import { encodeTlv, findTlv, readTlvs, SW, type Tlv } from "../../apdu/index.ts";
import { concat, DataError, wipe } from "../../bytes/index.ts";
import { decodePkcs1Encryption, digest, encodePkcs1Signature, encodePss, type HashName } from "../../crypto/index.ts";
import { ReferenceData, Refusal } from "../card.ts";
import { describeKey, ecdsa, ecKeyOf, encodePublicKey, generateKey, KEY_TYPES, rsaKeyOf, rsaRaw } from "../keys.ts";
import { deviatingEcdsa, deviatingRsa, type ResultDeviation } from "../result-deviations.ts";
import type { CardCommand } from "../transport.ts";
import { type CardPin, deviates, type IsoContext } from "./model.ts";

/** Reference of the only PIN, and of the PUK that unblocks it. */
export const PIN = 1;
/** Bytes of PIN and PUK; a shorter PIN is padded with zeros. */
export const PIN_LENGTH = 16;

const PUK = 2;
const PIN_MIN_LENGTH = 4;
const PIN_TRIES = 3;
const PUK_TRIES = 5;

/** Whether the applet has a PIN, and so protects its files. */
export const hasPin = ({ contents }: Pick<IsoContext, "contents">): boolean => contents.pins.has(PIN);

/** VERIFY; without data it returns the tries left, also for a verified PIN, and 9000 if there is no PIN yet. */
export function verify(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== PIN) throw new Refusal(SW.INCORRECT_P1_P2);
  if (!hasPin(context) && data.length === 0) return new Uint8Array();
  const pin = thePin(context);
  if (data.length === 0 && deviates(context, "pin-status-refused")) throw new Refusal(SW.WRONG_LENGTH);
  if (data.length === 0) throw new Refusal(triesLeft(pin.data));
  compare(context, pin, pin.data, filled(pin, data));
  context.session.verified.add(PIN);
  return new Uint8Array();
}

/** P1 of CHANGE REFERENCE DATA: only the new value. */
const SET_VALUE = 0x01;

/**
 * CHANGE REFERENCE DATA: the old PIN and the new one, each padded. An applet without a PIN takes the PUK, if it has none
 * either, or the PIN, alone (IsoApplet.java, processChangeReferenceData).
 */
export function changeReferenceData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (!hasPin(context)) return setReferenceData(context.contents, p1, p2, data);
  if (p1 !== 0 || p2 !== PIN) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length !== 2 * PIN_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  const pin = thePin(context);
  compare(context, pin, pin.data, data.subarray(0, PIN_LENGTH));
  pin.data.replace(data.subarray(PIN_LENGTH));
  return new Uint8Array();
}

function setReferenceData({ pins }: IsoContext["contents"], p1: number, p2: number, data: Uint8Array): Uint8Array {
  const isPuk = p2 === PUK && !pins.has(PUK);
  if (p1 !== SET_VALUE || !(isPuk || p2 === PIN)) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length > PIN_LENGTH || data.length < (isPuk ? PIN_LENGTH : PIN_MIN_LENGTH)) {
    throw new Refusal(SW.WRONG_LENGTH);
  }
  const padded = concat(data, new Uint8Array(PIN_LENGTH - data.length));
  if (isPuk) pins.set(PUK, { data: new ReferenceData(padded, PUK_TRIES), minLength: PIN_LENGTH });
  else {
    const puk = pins.has(PUK) ? { puk: PUK } : {};
    pins.set(PIN, { data: new ReferenceData(padded, PIN_TRIES), minLength: PIN_MIN_LENGTH, ...puk });
  }
  return new Uint8Array();
}

/** RESET RETRY COUNTER: the PUK, then the new PIN. */
export function resetRetryCounter(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (!hasPin(context)) throw new Refusal(SW.COMMAND_NOT_ALLOWED);
  const pin = thePin(context);
  if (data.length < PIN_LENGTH + pin.minLength || data.length > 2 * PIN_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  if (p1 !== 0 || p2 !== PIN) throw new Refusal(SW.INCORRECT_P1_P2);
  const puk = pin.puk === undefined ? undefined : context.contents.pins.get(pin.puk);
  if (!puk) throw new Refusal(SW.TRIES_LEFT);
  compare(context, pin, puk.data, data.subarray(0, PIN_LENGTH));
  pin.data.replace(filled(pin, data.subarray(PIN_LENGTH)));
  return new Uint8Array();
}

function thePin({ contents }: IsoContext): CardPin {
  const pin = contents.pins.get(PIN);
  if (!pin) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return pin;
}

function filled({ minLength }: CardPin, value: Uint8Array): Uint8Array {
  if (value.length < minLength || value.length > PIN_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  return concat(value, new Uint8Array(PIN_LENGTH - value.length));
}

/** A wrong PIN cancels an earlier verification; a blocked one is answered with 63C0, like any wrong one. */
function compare({ session }: IsoContext, pin: CardPin, data: ReferenceData, candidate: Uint8Array): void {
  if (data.matches(candidate)) return;
  if (data === pin.data) session.verified.delete(PIN);
  throw new Refusal(triesLeft(data));
}

const triesLeft = ({ tries }: ReferenceData): number => SW.TRIES_LEFT | Math.min(tries, 15);

/** @throws {Refusal} 6982 before the PIN is verified. */
function requirePin({ session }: IsoContext): void {
  if (!session.verified.has(PIN)) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** P2: for generating or importing a key, else the control reference template (ISO/IEC 7816-4 table 54). */
const PURPOSE = { NEW_KEY: 0x00, SIGNATURE: 0xb6, CONFIDENTIALITY: 0xb8 } as const;
/** Algorithm references (IsoApplet 0.6, IsoApplet.java). */
const ALGORITHM = {
  RSA_PKCS1: 0x11,
  /** From version 1 on, like RSA keys of 4,096 bits. */
  RSA_PSS: 0x12,
  /** Version 0 hashes with SHA-1 before it signs, version 1 does not hash. */
  ECDSA: 0x21,
  NEW_RSA_2048: 0xf3,
  NEW_RSA_4096: 0xf5,
  NEW_EC: 0xec,
} as const;
const SINCE_1: readonly number[] = [ALGORITHM.RSA_PSS, ALGORITHM.NEW_RSA_4096];
/** Keys have the numbers 0 to 15. */
const KEYS = 16;

const ALLOWED: ReadonlyMap<number, ReadonlyMap<number, string>> = new Map<number, ReadonlyMap<number, string>>([
  [
    PURPOSE.NEW_KEY,
    new Map([
      [ALGORITHM.NEW_RSA_2048, "any"],
      [ALGORITHM.NEW_RSA_4096, "any"],
      [ALGORITHM.NEW_EC, "any"],
    ]),
  ],
  [
    PURPOSE.SIGNATURE,
    new Map([
      [ALGORITHM.RSA_PKCS1, "rsa"],
      [ALGORITHM.RSA_PSS, "rsa"],
      [ALGORITHM.ECDSA, "ec"],
    ]),
  ],
  [PURPOSE.CONFIDENTIALITY, new Map([[ALGORITHM.RSA_PKCS1, "rsa"]])],
]);

const SET = 0x41;
const RESTORE = 0xf3;

/** MANAGE SECURITY ENVIRONMENT: SET names algorithm (80) and key number (84); RESTORE clears both. */
export function manageSecurityEnvironment(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { contents, session } = context;
  if (p1 === RESTORE) {
    session.environment = undefined;
    return new Uint8Array();
  }
  if (p1 !== SET) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  const fields = readTlvs(data, "control reference template");
  const algorithm = onlyByte(findTlv(fields, 0x80));
  const key = onlyByte(findTlv(fields, 0x84));
  if (algorithm === undefined || key === undefined || key >= KEYS) throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  const type = ALLOWED.get(p2)?.get(algorithm);
  const isKnown = isVersion1(context) || !SINCE_1.includes(algorithm);
  if (type === undefined || !isKnown) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  if (type !== "any" && contents.keys.get(key)?.asymmetricKeyType !== type) {
    throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  }
  session.environment = { template: p2, algorithm, key };
  return new Uint8Array();
}

/** Whether the applet is of version 1. */
export const isVersion1 = ({ contents }: IsoContext): boolean => contents.traits.make === "iso-applet-1";

const onlyByte = (value: Uint8Array | undefined): number | undefined => (value?.length === 1 ? value[0] : undefined);

/**
 * The key of the environment, for an algorithm.
 * @throws {Refusal} 6985 if there is none.
 */
function chosenKey({ contents, session }: IsoContext, algorithm: number): KeyObject | undefined {
  const { environment } = session;
  return environment?.algorithm === algorithm ? contents.keys.get(environment.key) : undefined;
}

/** The number and algorithm for a new key. @throws {Refusal} 6985 if none is set. */
function newKey({ session }: IsoContext): { readonly number: number; readonly algorithm: number } {
  const { environment } = session;
  if (environment?.template !== PURPOSE.NEW_KEY) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return { number: environment.key, algorithm: environment.algorithm };
}

/** Domain parameters in the order of their tags: prime, a, b, base point, order; the cofactor is 87 (ISO/IEC 7816-8 table 3). */
const PARAMETERS: readonly number[] = [0x81, 0x82, 0x83, 0x84, 0x85];
const COFACTOR = 0x87;
/** The order of each curve, which identifies the curve. */
const ORDERS = [
  { info: KEY_TYPES["p-256"], prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff" },
  {
    info: KEY_TYPES["p-384"],
    prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
  },
] as const;
const SECRET = 0x88;
/** Numbers of an RSA key: p, q, 1/q mod p, d mod (p - 1), d mod (q - 1) (ISO/IEC 7816-8 annex C.2). */
const RSA = { PRIME_1: 0x92, PRIME_2: 0x93, EXPONENT_1: 0x95 } as const;

/**
 * GENERATE ASYMMETRIC KEY PAIR under the number of the environment. The command contains the curve, and the answer
 * repeats it with the point.
 */
export async function generateAsymmetricKeyPair(context: IsoContext, command: CardCommand): Promise<Uint8Array> {
  requirePin(context);
  const { number, algorithm } = newKey(context);
  const isRsa = algorithm !== ALGORITHM.NEW_EC;
  if (command.p1 !== (isRsa ? 0x42 : 0x00) || command.p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const curve = isRsa ? [] : readTlvs(command.data, "domain parameters");
  const key = await generateKey(
    isRsa ? KEY_TYPES[algorithm === ALGORITHM.NEW_RSA_4096 ? "rsa-4096" : "rsa-2048"] : curveOf(curve),
  );
  context.contents.keys.set(number, key);
  context.contents.changes++;
  const [first, ...rest] = encodePublicKey(key);
  const parameters = curve.filter(({ tag }) => PARAMETERS.includes(tag)).map(({ tag, value }) => encodeTlv(tag, value));
  const cofactor = curve.filter(({ tag }) => tag === COFACTOR).map(({ tag, value }) => encodeTlv(tag, value));
  return encodeTlv(0x7f49, ...parameters, first ?? new Uint8Array(), ...rest, ...cofactor);
}

/** PUT DATA 3FFF: imports a key under the number of the environment. */
export function putData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  requirePin(context);
  if (p1 !== 0x3f || p2 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  const { number, algorithm } = newKey(context);
  const isRsa = algorithm !== ALGORITHM.NEW_EC;
  const template = findTlv(readTlvs(data, "private key"), isRsa ? 0x7f48 : 0xe0);
  if (!template) throw new Refusal(SW.WRONG_DATA);
  const fields = readTlvs(template, "private key");
  const field = (tag: number): Uint8Array => findTlv(fields, tag) ?? new Uint8Array();
  if (!isRsa) curveOf(fields);
  const key = isRsa ? rsaKeyOf(field(RSA.PRIME_1), field(RSA.PRIME_2), field(RSA.EXPONENT_1)) : ecKeyOf(field(SECRET));
  context.contents.keys.set(number, key);
  context.contents.changes++;
  return new Uint8Array();
}

function curveOf(fields: readonly Tlv[]): (typeof ORDERS)[number]["info"] {
  const prime = findTlv(fields, 0x81);
  const found = ORDERS.find((curve) => prime && Buffer.from(prime).toString("hex") === curve.prime);
  if (!found) throw new DataError("domain parameters: neither P-256 nor P-384");
  return found.info;
}

/**
 * The longest input that version 0 pads, two bytes less than possible; version 1 allows all but the 11 bytes of
 * padding.
 */
const MAX_RSA_INPUT = 247;
const PADDING = 11;
/** Signs with PSS: the length determines the hash. */
const HASHES: ReadonlyMap<number, HashName> = new Map([
  [20, "sha1"],
  [28, "sha224"],
  [32, "sha256"],
  [48, "sha384"],
  [64, "sha512"],
]);

/** PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE and DECIPHER (ISO/IEC 7816-8 section 5.4). */
export function performSecurityOperation(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  requirePin(context);
  if (p1 === 0x9e && p2 === 0x9a) return sign(context, data);
  if (p1 === 0x80 && p2 === 0x86) return decipher(context, data);
  throw new Refusal(SW.INCORRECT_P1_P2);
}

/** Pads for RSA; for a curve, version 0 hashes with SHA-1. */
function sign(context: IsoContext, data: Uint8Array): Uint8Array {
  const has = (deviation: ResultDeviation): boolean => deviates(context, deviation);
  const rsa = chosenKey(context, ALGORITHM.RSA_PKCS1);
  if (rsa) {
    const most = isVersion1(context) ? describeKey(rsa).bits / 8 - PADDING : MAX_RSA_INPUT;
    if (data.length > most) throw new Refusal(SW.WRONG_LENGTH);
    return deviatingRsa(rsaRaw(rsa, encodePkcs1Signature(data, describeKey(rsa).bits / 8)), has);
  }
  const pss = chosenKey(context, ALGORITHM.RSA_PSS);
  if (pss) return deviatingRsa(signPss(pss, data), has);
  const ec = chosenKey(context, ALGORITHM.ECDSA);
  const info = ec && describeKey(ec);
  if (!ec || info?.type !== "ec") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return deviatingEcdsa(ecdsa(ec, info, isVersion1(context) ? data : digest("sha1", data)), has);
}

/** A salt as long as the hash, and MGF1 with the same hash. */
function signPss(key: KeyObject, hash: Uint8Array): Uint8Array {
  const name = HASHES.get(hash.length);
  if (name === undefined) throw new Refusal(SW.WRONG_LENGTH);
  const parameters = { hash: name, mgfHash: name, saltLength: hash.length };
  return rsaRaw(key, encodePss(hash, parameters, describeKey(key).bits));
}

/** The message in a cryptogram; malformed padding gives data that look like a message. */
function decipher(context: IsoContext, data: Uint8Array): Uint8Array {
  if (data[0] !== 0x00) throw new Refusal(SW.WRONG_DATA);
  const key = chosenKey(context, ALGORITHM.RSA_PKCS1);
  if (!key) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  const cryptogram = data.subarray(1);
  if (cryptogram.length !== describeKey(key).bits / 8) throw new Refusal(SW.WRONG_LENGTH);
  const block = rsaRaw(key, cryptogram);
  try {
    return decodePkcs1Encryption(block);
  } finally {
    wipe(block);
  }
}
