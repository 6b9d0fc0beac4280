import type { KeyObject } from "node:crypto";
import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { ByteReader, concat, equalBytes, wipe } from "../../bytes/index.ts";
import { decodePkcs1Encryption, encodePkcs1Signature } from "../../crypto/index.ts";
import { Refusal } from "../card.ts";
import {
  describeKey,
  ecdh,
  ecdsa,
  ecKeyOf,
  encodePublicKey,
  FILE_KEY_TYPES,
  generateKey,
  rsaKeyOf,
  rsaRaw,
} from "../keys.ts";
import { deviatingEcdh, deviatingEcdsa, deviatingRsa, type ResultDeviation } from "../result-deviations.ts";
import type { CardCommand } from "../transport.ts";
import { deviates, type IsoContext, type KeyFile, requireAccess, type SecurityEnvironment } from "./model.ts";

/** Control reference templates (ISO/IEC 7816-4 section 10.3.1, table 54). */
const TEMPLATE = { AUTHENTICATION: 0xa4, SIGNATURE: 0xb6, CONFIDENTIALITY: 0xb8 } as const;
const TEMPLATES: readonly number[] = Object.values(TEMPLATE);
/** P1: SET for computation, decipherment and authentication (4), for verification and encipherment (8), for both. */
const SET: readonly number[] = [0x41, 0x81, 0xc1];
const RESTORE = 0xf3;

/**
 * MANAGE SECURITY ENVIRONMENT (section 11.5.11): SET names algorithm (80) and key file (81); RESTORE sets the empty
 * environment, the only one that is stored.
 */
export function manageSecurityEnvironment(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { session } = context;
  if (p1 === RESTORE) {
    if (p2 > 1) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
    session.environment = undefined;
    return new Uint8Array();
  }
  if (!SET.includes(p1) || !TEMPLATES.includes(p2)) throw new Refusal(SW.INCORRECT_P1_P2);
  const fields = readTlvs(data, "control reference template");
  const file = findTlv(fields, 0x81);
  const key = file?.length === 2 ? new ByteReader(file).u16() : session.file?.id;
  const [algorithm = 0] = findTlv(fields, 0x80) ?? [];
  if (key === undefined || !findKey(context, key)) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  session.environment = { template: p2, algorithm, key };
  session.half = undefined;
  return new Uint8Array();
}

/**
 * The key of the environment, for an operation of its template.
 * @throws {Refusal} 6985 if there is none; 6982 if the key's rules do not allow it now.
 */
function chosenKey(
  context: IsoContext,
  template: number,
): { readonly environment: SecurityEnvironment; readonly file: KeyFile } {
  const { environment, fresh } = context.session;
  const file = environment && findKey(context, environment.key);
  if (environment?.template !== template || !file) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  requireAccess(context, file, "use");
  const { use } = context.make.rules(file);
  // One VERIFY allows one use.
  if (file.consent && typeof use === "number" && !fresh.delete(use)) {
    throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
  }
  return { environment, file };
}

/** A key file in the current directory or one above it. */
function findKey({ session }: IsoContext, id: number): KeyFile | undefined {
  for (const df of session.path.toReversed()) {
    for (const file of df.files) if (file.kind === "key" && file.id === id) return file;
  }
  return undefined;
}

/**
 * GENERATE ASYMMETRIC KEY PAIR in the current key file, with the type and size of the file; returns the public key
 * (ISO/IEC 7816-8 section 5.2). The public exponent is 65,537 here, whatever MyEID's host sends.
 */
export async function generateAsymmetricKeyPair(context: IsoContext, command: CardCommand): Promise<Uint8Array> {
  const { p1, p2, ne } = command;
  const { file } = context.session;
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "key") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  requireAccess(context, file, "generate");
  const type = Object.values(FILE_KEY_TYPES).find((info) => info.type === file.type && info.bits === file.bits);
  if (!type) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  file.privateKey = await generateKey(type);
  context.contents.changes++;
  // MyEID's host requests no answer, and reads the key by GET DATA.
  return ne === undefined ? new Uint8Array() : encodeTlv(0x7f49, ...encodePublicKey(file.privateKey));
}

/** P2: a part of an RSA key (OpenSC, card-myeid.c, LOAD_KEY_...). */
const RSA = {
  MODULUS: 0x80,
  EXPONENT: 0x81,
  P: 0x83,
  Q: 0x84,
  DP: 0x85,
  DQ: 0x86,
  INVERSE: 0x87,
  MODULUS_FIRST_HALF: 0x88,
  MODULUS_SECOND_HALF: 0x89,
} as const;
const RSA_PARTS: readonly number[] = Object.values(RSA);
const PRIMES_AND_EXPONENTS: readonly number[] = [RSA.P, RSA.Q, RSA.DP, RSA.DQ, RSA.INVERSE];
/** P2: a part of an EC key. */
const EC = { POINT: 0x86, NUMBER: 0x87 } as const;

/**
 * PUT DATA of MyEID: imports a private key into the current key file part by part, in any order. The key is complete
 * with its last part; until then, or until a reset, the file keeps its old key.
 */
export function putData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { contents, session } = context;
  const { file } = session;
  if (p1 !== 0x01) throw new Refusal(SW.INCORRECT_P1_P2);
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "key") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  requireAccess(context, file, "update");
  checkPart(file, p2, data);
  const parts = session.loading?.file === file ? session.loading.parts : new Map<number, Uint8Array>();
  parts.set(p2, data.slice());
  session.loading = { file, parts };
  const key = file.type === "rsa" ? rsaKey(parts) : ecKey(parts);
  if (!key) return new Uint8Array();
  file.privateKey = key;
  contents.changes++;
  wipe(...parts.values());
  session.loading = undefined;
  return new Uint8Array();
}

/** Lengths according to the file's size; numbers of an RSA key may have a sign byte before them. */
function checkPart({ type, bits }: KeyFile, p2: number, data: Uint8Array): void {
  if (type === "ec") {
    const length = Math.ceil(bits / 8);
    if (p2 !== EC.POINT && p2 !== EC.NUMBER) throw new Refusal(SW.INCORRECT_P1_P2);
    if (data.length !== (p2 === EC.POINT ? 1 + 2 * length : length)) throw new Refusal(SW.WRONG_LENGTH);
    return;
  }
  if (!RSA_PARTS.includes(p2)) throw new Refusal(SW.INCORRECT_P1_P2);
  const most = PRIMES_AND_EXPONENTS.includes(p2) ? bits / 16 : bits / 8;
  if (withoutSign(data).length > most) throw new Refusal(SW.WRONG_LENGTH);
}

/** The key, if all parts are there. @throws {DataError} or {Refusal} if they do not match. */
function rsaKey(parts: ReadonlyMap<number, Uint8Array>): KeyObject | undefined {
  const first = parts.get(RSA.MODULUS_FIRST_HALF);
  const second = parts.get(RSA.MODULUS_SECOND_HALF);
  const modulus = parts.get(RSA.MODULUS) ?? (first && second && concat(first, second));
  const exponent = parts.get(RSA.EXPONENT);
  const [p, q, dp, dq, inverse] = PRIMES_AND_EXPONENTS.map((part) => parts.get(part));
  if (!modulus || !exponent || !p || !q || !dp || !dq || !inverse) return undefined;
  const key = rsaKeyOf(p, q, dp);
  const { n = "", e = "", dq: ownDq = "", qi = "" } = key.export({ format: "jwk" });
  const told = [modulus, exponent, dq, inverse];
  if ([n, e, ownDq, qi].every((own, index) => sameNumber(Buffer.from(own, "base64url"), told[index]))) return key;
  throw new Refusal(SW.WRONG_DATA);
}

/** Likewise. */
function ecKey(parts: ReadonlyMap<number, Uint8Array>): KeyObject | undefined {
  const number = parts.get(EC.NUMBER);
  const point = parts.get(EC.POINT);
  if (!number || !point) return undefined;
  const key = ecKeyOf(number);
  if (equalBytes(concat(...encodePublicKey(key)), encodeTlv(0x86, point))) return key;
  throw new Refusal(SW.WRONG_DATA);
}

function sameNumber(own: Uint8Array, told: Uint8Array = new Uint8Array()): boolean {
  return equalBytes(withoutSign(own), withoutSign(told));
}

function withoutSign(number: Uint8Array): Uint8Array {
  const from = number.findIndex((byte) => byte !== 0);
  return from < 0 ? new Uint8Array() : number.subarray(from);
}

/** MyEID's algorithm references (OpenSC, card-myeid.c, myeid_set_security_env). */
const ALGORITHM = { RSA_RAW: 0x00, RSA_PKCS1: 0x02, EC: 0x04 } as const;
/** Padding indicators: none, and the halves of a cryptogram that is too long for a short command. */
const INDICATOR = { NOTHING: 0x00, FIRST_HALF: 0x81, SECOND_HALF: 0x82 } as const;

/** PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE and DECIPHER (ISO/IEC 7816-8 section 5.4). */
export function performSecurityOperation(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 === 0x9e && p2 === 0x9a) return sign(context, data);
  if (p1 === 0x80 && p2 === 0x86) return decipher(context, data);
  throw new Refusal(SW.INCORRECT_P1_P2);
}

/** A block without padding, a DigestInfo that the card pads, or a hash. */
function sign(context: IsoContext, data: Uint8Array): Uint8Array {
  const { environment, file } = chosenKey(context, TEMPLATE.SIGNATURE);
  const key = file.privateKey;
  if (!key) throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  const info = describeKey(key, FILE_KEY_TYPES);
  const has = deviationsOf(context);
  if (info.type === "ec") {
    if (environment.algorithm !== ALGORITHM.EC) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    return deviatingEcdsa(ecdsa(key, info, data), has);
  }
  switch (environment.algorithm) {
    case ALGORITHM.RSA_RAW:
      return deviatingRsa(rsaRaw(key, data), has);
    case ALGORITHM.RSA_PKCS1:
      return deviatingRsa(rsaRaw(key, encodePkcs1Signature(data, info.bits / 8)), has);
    default:
      throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  }
}

/** Removes PKCS #1 padding; malformed padding gives data that look like a message. */
function decipher(context: IsoContext, data: Uint8Array): Uint8Array {
  const cryptogram = whole(context, data);
  if (!cryptogram) return new Uint8Array();
  const { environment, file } = chosenKey(context, TEMPLATE.CONFIDENTIALITY);
  if (!file.privateKey || file.type !== "rsa") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  const block = rsaRaw(file.privateKey, cryptogram);
  switch (environment.algorithm) {
    case ALGORITHM.RSA_RAW:
      return deviatingRsa(block, deviationsOf(context));
    case ALGORITHM.RSA_PKCS1:
      try {
        return decodePkcs1Encryption(block);
      } finally {
        wipe(block);
      }
    default:
      throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  }
}

/** The whole cryptogram, or undefined until it is complete. */
function whole({ session }: IsoContext, [indicator, ...bytes]: Uint8Array): Uint8Array | undefined {
  const { half } = session;
  session.half = undefined;
  switch (indicator) {
    case INDICATOR.NOTHING:
      return Uint8Array.from(bytes);
    case INDICATOR.FIRST_HALF:
      session.half = Uint8Array.from(bytes);
      return undefined;
    case INDICATOR.SECOND_HALF:
      if (!half) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
      return concat(half, Uint8Array.from(bytes));
    default:
      throw new Refusal(SW.WRONG_DATA);
  }
}

/**
 * GENERAL AUTHENTICATE with the other party's point in 7C/85: returns the x coordinate of the shared point, which is
 * MyEID's ECDH. The key's file must be the current one, whatever the environment names.
 */
export function generalAuthenticate(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const template = findTlv(readTlvs(data, "dynamic authentication template"), 0x7c);
  const point = template && findTlv(readTlvs(template, "dynamic authentication template"), 0x85);
  if (!point) throw new Refusal(SW.WRONG_DATA);
  const { environment, file } = chosenKey(context, TEMPLATE.AUTHENTICATION);
  if (environment.algorithm !== ALGORITHM.EC || !file.privateKey || context.session.file !== file) {
    throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  }
  const info = describeKey(file.privateKey, FILE_KEY_TYPES);
  if (info.type !== "ec") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return deviatingEcdh(ecdh(file.privateKey, info, point), info, deviationsOf(context));
}

const deviationsOf =
  (context: IsoContext) =>
  (deviation: ResultDeviation): boolean =>
    deviates(context, deviation);
