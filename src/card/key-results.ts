/**
 * Checks of a card's results with a private key: always the length; signatures and RSA results with the public key if
 * it is known. A faulty RSA signature reveals the private key (Boneh, DeMillo, Lipton 1997), and a secret of a wrong
 * length is useless.
 */

import { CardError, MalformedAnswerError, readTlvs, SW } from "../apdu/index.ts";
import { concat, concatSecret, DataError, wipe } from "../bytes/index.ts";
import {
  curveInfo,
  digest,
  hashLength,
  type HashName,
  keyTypeOf,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
  verifyPss,
  verifyRsaRaw,
} from "../crypto/index.ts";
import type { CardMechanism } from "./contract.ts";
import type { CardPrivateKey, KeyPrimitive } from "./objects.ts";
import { unlessRefused } from "./errors.ts";

/** The public key disproves a result of the private key. */
export class WrongResultError extends CardError {
  override readonly name = "WrongResultError";

  constructor() {
    super(
      "the card's result does not verify with the public key on the card: the card failed, or the public key or certificate belongs to another key",
    );
  }
}

/**
 * Whether `result` is right for the private key of `publicKey`, `primitive` and `input`. Costs no exchange.
 * @param publicKey SubjectPublicKeyInfo, DER, or the parsed key.
 * @returns Undefined if the public key cannot check it: for a key agreement, for a decryption whose padding the card
 *   removed, and for an unsupported public key.
 */
export async function isKeyResult(
  publicKey: Uint8Array | PublicKey,
  primitive: KeyPrimitive,
  input: Uint8Array,
  result: Uint8Array,
): Promise<boolean | undefined> {
  try {
    const key = publicKey instanceof Uint8Array ? parsePublicKey(publicKey) : publicKey;
    if (key.type === "rsa") return isRsaResult(key, primitive, input, result);
    if (key.type === "ec") {
      if (primitive === "ecdsa") return await verifyEcdsa(key, input, result);
      return primitive === "ecdsa-sha1" ? await verifyEcdsa(key, digest("sha1", input), result) : undefined;
    }
    return key.type === "edwards" && primitive === "eddsa" ? await verifyEddsa(key, input, result) : undefined;
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** As {@link isKeyResult}, at once, and for RSA keys alone: undefined for any other key. */
export function isRsaResult(
  publicKey: Uint8Array | PublicKey,
  primitive: KeyPrimitive,
  input: Uint8Array,
  result: Uint8Array,
): boolean | undefined {
  try {
    const key = publicKey instanceof Uint8Array ? parsePublicKey(publicKey) : publicKey;
    if (key.type !== "rsa") return undefined;
    if (primitive === "rsa-pss") return isPssSignature(key, input, result);
    if (primitive === "rsa-raw") return verifyRsaRaw(key, input, result);
    // A block as long as the modulus is a ciphertext; anything shorter is what the card pads and signs.
    if (primitive !== "rsa-pkcs1" || input.length === key.modulus.length) return undefined;
    return verifyPkcs1(key, input, result);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Hashes of "rsa-pss", by their lengths. */
const PSS_HASHES: readonly HashName[] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

function isPssSignature(key: RsaPublicKey, input: Uint8Array, result: Uint8Array): boolean {
  const hash = PSS_HASHES.find((name) => hashLength(name) === input.length);
  return hash !== undefined && verifyPss(key, input, { hash, mgfHash: hash, saltLength: input.length }, result);
}

/**
 * Returns `result`, or wipes it if the public key disproves it: the card failed, or the key is another one.
 * @param publicKey As for {@link isKeyResult}; undefined if unknown.
 * @throws {WrongResultError}
 */
export async function checkedResult(
  publicKey: Uint8Array | PublicKey | undefined,
  primitive: KeyPrimitive,
  input: Uint8Array,
  result: Uint8Array,
): Promise<Uint8Array> {
  const isRight = publicKey === undefined ? undefined : await isKeyResult(publicKey, primitive, input, result);
  return unlessWrong(isRight, result);
}

/**
 * As {@link checkedResult}, for RSA keys only: a faulty RSA signature reveals the key. Results of other keys in a
 * confirmed application are passed on, because the known public key may come from an old certificate.
 * @throws {WrongResultError}
 */
export function safeResult(
  publicKey: Uint8Array | PublicKey | undefined,
  primitive: KeyPrimitive,
  input: Uint8Array,
  result: Uint8Array,
): Uint8Array {
  return unlessWrong(publicKey && isRsaResult(publicKey, primitive, input, result), result);
}

function unlessWrong(isRight: boolean | undefined, result: Uint8Array): Uint8Array {
  if (isRight !== false) return result;
  wipe(result);
  throw new WrongResultError();
}

/**
 * An RSA result as long as the modulus. Some cards drop a leading zero (OpenSC, pkcs15-sec.c, adjusts the length for
 * them).
 * @param length Of the modulus, in bytes.
 * @param isRight Whether a result is right, if that can be checked: such a one may lack more than one zero.
 * @throws {MalformedAnswerError} for an answer of any other length.
 */
export function wholeRsaResult(
  answer: Uint8Array,
  length: number,
  isRight: (result: Uint8Array) => boolean | undefined = () => undefined,
): Uint8Array {
  if (answer.length === length) return answer;
  if (answer.length > 0 && answer.length < length) {
    const padded = leftPadded(answer, length);
    if (answer.length === length - 1 || isRight(padded) === true) return padded;
    wipe(padded);
  }
  throw wrongLength("an RSA result", answer, length);
}

/**
 * A message without its PKCS #1 padding, which has at least 11 bytes (RFC 8017 section 7.2.1).
 * @param length Of the modulus, in bytes.
 * @throws {MalformedAnswerError} for one that is longer than the padding allows.
 */
export function unpaddedMessage(answer: Uint8Array, length: number): Uint8Array {
  if (answer.length <= length - PKCS1_OVERHEAD) return answer;
  throw new MalformedAnswerError(`a message of ${answer.length} bytes from an RSA key of ${length}`);
}

const PKCS1_OVERHEAD = 11;

/**
 * An ECDSA signature as r || s. Cards return it so, or as the SEQUENCE of X.509, whose numbers some write with
 * additional zeros (OsEID with P-521), or without the zero that makes a large number positive. A plain r || s that
 * looks like a SEQUENCE of the same length occurs once in 2^48 signatures.
 * @param length Of a coordinate, in bytes. If it is undefined, it follows from the numbers: on P-256, P-384 and P-521 both are so much
 *   shorter than the order once in more than 2^250 signatures that the curve cannot be mistaken.
 * @throws {MalformedAnswerError} for anything else, and for numbers that are zero.
 */
export function ecdsaResult(answer: Uint8Array, length: number | undefined): Uint8Array {
  const [r, s] = length === undefined ? ecdsaNumbersOfAnyCurve(answer) : ecdsaNumbers(answer, length);
  if (r.every((octet) => octet === 0) || s.every((octet) => octet === 0)) {
    throw new MalformedAnswerError("the card's signature has a number that is zero");
  }
  return concat(r, s);
}

function ecdsaNumbers(answer: Uint8Array, length: number): readonly [Uint8Array, Uint8Array] {
  if (answer.length === 2 * length) return [answer.subarray(0, length), answer.subarray(length)];
  return asMalformed(() => {
    const [r, s] = numbersInDer(answer);
    return [coordinate(r, length), coordinate(s, length)];
  });
}

/** Lengths of coordinates on the curves that are known here, the shortest first. */
const COORDINATES: readonly number[] = (["P-256", "P-384", "P-521"] as const).map((curve) => curveInfo(curve).bytes);

function ecdsaNumbersOfAnyCurve(answer: Uint8Array): readonly [Uint8Array, Uint8Array] {
  return asMalformed(() => {
    const plain = COORDINATES.find((length) => answer.length === 2 * length);
    try {
      const [r, s] = numbersInDer(answer);
      const length = COORDINATES.find((one) => r.length <= one && s.length <= one) ?? 0;
      return [coordinate(r, length), coordinate(s, length)];
    } catch (error) {
      if (!(error instanceof DataError) || plain === undefined) throw error;
      return ecdsaNumbers(answer, plain);
    }
  });
}

/** The numbers in the SEQUENCE of X.509, without leading zeros. @throws {DataError} if it is none. */
function numbersInDer(answer: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const [outer, ...behind] = readTlvs(answer, "ECDSA signature");
  const numbers = readTlvs(outer?.tag === 0x30 ? outer.value : new Uint8Array(), "ECDSA signature");
  const [r, s] = numbers;
  if (r?.tag !== 0x02 || s?.tag !== 0x02 || numbers.length > 2 || behind.length > 0) {
    throw new DataError("ECDSA signature: not a SEQUENCE of two numbers");
  }
  return [withoutZeros(r.value), withoutZeros(s.value)];
}

function asMalformed<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the card's signature does not parse: ${cause.message}`, { cause });
  }
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const from = number.findIndex((octet) => octet !== 0);
  return from < 0 ? new Uint8Array() : number.subarray(from);
}

/** @throws {DataError} if the number is longer than a coordinate. */
function coordinate(digits: Uint8Array, length: number): Uint8Array {
  if (digits.length > length) throw new DataError(`ECDSA signature: a number of ${digits.length} bytes`);
  return concat(new Uint8Array(length - digits.length), digits);
}

/** Most leading zeros of a coordinate that may be missing; beyond that, the result is wrong. */
const MISSING_ZEROS = 2;
const UNCOMPRESSED = 0x04;

/**
 * The shared secret of an ECDH, the x coordinate of the shared point (SP 800-56A section 5.7.1.2). Cards return it
 * plain, some without its leading zeros; as a point, after 04 and before y; or after 04 alone (a SmartCard-HSM).
 * @param length Of a coordinate, in bytes.
 * @throws {MalformedAnswerError} for anything else: a secret of another length is useless.
 */
export function sharedSecret(answer: Uint8Array, length: number): Uint8Array {
  if (answer.length === length) return answer;
  if (answer[0] === UNCOMPRESSED && (answer.length === 1 + 2 * length || answer.length === 1 + length)) {
    return answer.subarray(1, 1 + length);
  }
  if (answer.length < length && answer.length >= length - MISSING_ZEROS) return leftPadded(answer, length);
  throw wrongLength("a shared point", answer, length);
}

/**
 * A result of Ed25519 (64 bytes) or X25519 (32 bytes), which always has the same length.
 * @throws {MalformedAnswerError} for one of another length.
 */
export function resultOfLength(answer: Uint8Array, length: number): Uint8Array {
  if (answer.length === length) return answer;
  throw wrongLength("a result", answer, length);
}

/** The bytes of `answer` after leading zeros. The answer may be a secret, and is wiped. */
function leftPadded(answer: Uint8Array, length: number): Uint8Array {
  const padded = concatSecret(new Uint8Array(length - answer.length), answer);
  wipe(answer);
  return padded;
}

function wrongLength(what: string, { length }: Uint8Array, wanted: number): MalformedAnswerError {
  return new MalformedAnswerError(`the card gave ${what} of ${length} bytes for a key of ${wanted}`);
}

/**
 * Status words for an operation that the card does not support, or not with this key: function not supported, incorrect
 * P1-P2, unknown instruction (ISO/IEC 7816-4 table 6). Wrong data (6A80) is not included: a truncated chain causes it
 * too.
 */
const UNSUPPORTED_USE: ReadonlySet<number> = new Set([
  SW.FUNCTION_NOT_SUPPORTED,
  SW.INCORRECT_P1_P2,
  SW.INSTRUCTION_NOT_SUPPORTED,
]);

/** Whether `sw` means that the card does not support this operation with the key. */
export function isUnsupportedUse(sw: number): boolean {
  return UNSUPPORTED_USE.has(sw);
}

/**
 * The operations of a card that does not list them: those of its keys, in their sizes.
 * @param otherwise For a card without a key of known size.
 */
export async function mechanismsOfKeys(
  keys: readonly CardPrivateKey[],
  otherwise: readonly CardMechanism[],
): Promise<readonly CardMechanism[]> {
  const ranges = new Map<CardMechanism["primitive"], CardMechanism>();
  for (const key of keys) {
    const bits = await unlessRefused(() => bitsOf(key));
    if (bits === undefined) continue;
    for (const primitive of key.primitives) {
      const { minBits, maxBits } = ranges.get(primitive) ?? { minBits: bits, maxBits: bits };
      ranges.set(primitive, { primitive, minBits: Math.min(minBits, bits), maxBits: Math.max(maxBits, bits) });
    }
  }
  return ranges.size === 0 ? otherwise : [...ranges.values()];
}

/** Of the modulus, or of the curve: from the card's information on the key, or else its public half. */
async function bitsOf(key: CardPrivateKey): Promise<number> {
  const type = key.type ?? keyTypeOf(await key.publicKey());
  if (type.type === "rsa") return type.modulusBits;
  return type.type === "ec" ? curveInfo(type.curve).bits : 255;
}
