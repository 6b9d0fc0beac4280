import {
  type CommandApdu,
  encodeTlv,
  findTlv,
  MalformedAnswerError,
  readTlvs,
  StatusError,
  SW,
} from "../apdu/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import {
  CardError,
  ecdsaResult,
  isRsaResult,
  isUnsupportedUse,
  type KeyPrimitive,
  type KeyType,
  LoginRequiredError,
  resultOfLength,
  sharedSecret,
  UnsupportedError,
  UseRefusedError,
  wholeRsaResult,
} from "../card/index.ts";
import { curveInfo, parsePublicKey, type PublicKey } from "../crypto/index.ts";
import { keyAgreement, readAuthentication, sign } from "./commands.ts";
import { type KeySlot, referenceName } from "./keys.ts";
import type { PivExchange } from "./session.ts";
import { encodePolicies, type NewKeyPolicies } from "./yubico-admin.ts";
import { algorithmOf, readPublicKeyObjects, requiredAlgorithm } from "./yubico.ts";

/** A private key for use: its slot and its public half. */
export interface UsableKey {
  /** With the PIN policy that the card reports for the key, if any. */
  readonly slot: KeySlot;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly publicKey: PublicKey;
  /** PIV's algorithm identifier for keys of its type; undefined if PIV has none. */
  readonly algorithm: number | undefined;
}

/** @param spki SubjectPublicKeyInfo, DER. @throws {DataError} for a key of an unsupported type. */
export function readUsableKey(slot: KeySlot, spki: Uint8Array): UsableKey {
  const publicKey = parsePublicKey(spki);
  return { slot, spki, publicKey, algorithm: algorithmOf(publicKey) };
}

/** One use of a private key: how to build the command and parse the answer. */
export interface KeyUse {
  readonly command: CommandApdu;
  /** @throws {MalformedAnswerError} for a result of a wrong length. */
  readonly read: (response: Uint8Array) => Uint8Array;
}

/**
 * Returns how the card applies `primitive` to `input` with `key` (SP 800-73-4 part 2 section 3.2.4, appendix A).
 * @throws {UnsupportedError} for a type of key, or a use of it, that PIV does not have; {DataError} for input of a wrong length.
 */
export function keyUse(key: UsableKey, primitive: KeyPrimitive, input: Uint8Array): KeyUse {
  const { slot, publicKey: type, algorithm } = key;
  if (algorithm === undefined) throw new UnsupportedError("PIV has no algorithm identifier for keys of this type");
  if (type.type === "rsa" && primitive === "rsa-raw") {
    if (input.length * 8 !== type.modulusBits) {
      throw new DataError(`a block of ${input.length} bytes for an RSA key of ${type.modulusBits} bits`);
    }
    const isRight = (result: Uint8Array): boolean | undefined => isRsaResult(type, primitive, input, result);
    return {
      command: sign(algorithm, slot.reference, input),
      read: (response) => wholeRsaResult(response, input.length, isRight),
    };
  }
  if (type.type === "ec" && primitive === "ecdsa") {
    const { bytes } = curveInfo(type.curve);
    return {
      command: sign(algorithm, slot.reference, leftPad(input, bytes)),
      read: (response) => ecdsaResult(response, bytes),
    };
  }
  if (type.type === "ec" && primitive === "ecdh") {
    const { bytes } = curveInfo(type.curve);
    return {
      command: keyAgreement(algorithm, slot.reference, input),
      read: (response) => sharedSecret(response, bytes),
    };
  }
  if (type.type === "edwards" && primitive === "eddsa") {
    return { command: sign(algorithm, slot.reference, input), read: (response) => resultOfLength(response, 64) };
  }
  if (type.type === "montgomery" && primitive === "ecdh") {
    return {
      command: keyAgreement(algorithm, slot.reference, input),
      read: (response) => resultOfLength(response, 32),
    };
  }
  throw new UnsupportedError(`PIV does not support ${primitive} with this key`);
}

/**
 * Sends one use of a key.
 * @param refusal Finds out why the card's security status is not satisfied.
 * @throws {UnsupportedError} if the key does not allow this use; {StatusError} for any other refusal;
 *   {MalformedAnswerError} for an impossible result; the error that `refusal` returns.
 */
export async function sendKeyUse(
  send: PivExchange,
  use: KeyUse,
  slot: KeySlot,
  refusal: (cause: StatusError) => Promise<CardError>,
): Promise<Uint8Array> {
  const { data, sw } = await send(use.command);
  if (sw === SW.OK) return use.read(readAuthentication(data));
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED) throw await refusal(new StatusError("GENERAL AUTHENTICATE", sw));
  if (sw === SW.REFERENCED_DATA_NOT_FOUND) {
    const cause = new StatusError("GENERAL AUTHENTICATE", sw);
    throw new CardError(`there is no key in ${referenceName(slot)}, although there is a certificate`, { cause });
  }
  if (isUnsupportedUse(sw)) {
    const cause = new StatusError("GENERAL AUTHENTICATE", sw);
    throw new UnsupportedError(refusedUse(slot, sw), { cause });
  }
  throw new StatusError("GENERAL AUTHENTICATE", sw);
}

/** P2 names the key: a card without it refuses P2, or reports that the key is absent. */
function refusedUse(slot: KeySlot, sw: number): string {
  const name = referenceName(slot);
  return sw === SW.INCORRECT_P1_P2
    ? `the card refuses key ${name}: there is no key in ${name}, or its type is not the certificate's`
    : `the card does not support this operation with key ${name}`;
}

export function loginRequired(slot: KeySlot, cause?: StatusError): LoginRequiredError {
  const when = slot.pin === "always" ? "immediately before each use of this key" : "before it uses this key";
  const touch = cause && slot.pin === "always" ? ", or a touch while it works" : "";
  return new LoginRequiredError(`the card needs the PIN ${when}${touch}`, { cause });
}

/**
 * The card refused the key although the PIN is verified, or may be: on a YubiKey perhaps because the key was not
 * touched.
 */
export function useRefused(slot: KeySlot, cause: StatusError): UseRefusedError {
  const key = `the card refused to use key ${referenceName(slot)}`;
  return new UseRefusedError(
    `${key}, and the PIN was given: the key may need a touch, when it blinks, or the PIN immediately before each use`,
    { cause },
  );
}

/** Whether a card may have refused a command because its key is of another type than the certificate that is known. */
export function mayBeOfAnotherKey(error: unknown): boolean {
  return error instanceof StatusError || error instanceof UnsupportedError || error instanceof MalformedAnswerError;
}

/**
 * Pads a hash to the length of the order, as cards require: leading zeros do not change the number (FIPS 186-5 6.4.1).
 */
function leftPad(hash: Uint8Array, length: number): Uint8Array {
  if (hash.length > length) throw new DataError(`a hash of ${hash.length} bytes for a key of ${length}`);
  return concat(new Uint8Array(length - hash.length), hash);
}

/**
 * GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2 section 3.3.2); the management key must be authenticated.
 * @param policies For cards with Yubico's commands only; the standard's know no such tags.
 */
export function generate(slot: KeySlot, type: KeyType, policies: NewKeyPolicies = {}): CommandApdu {
  const algorithm = requiredAlgorithm(type);
  const template = encodeTlv(0xac, encodeTlv(0x80, Uint8Array.of(algorithm)), ...encodePolicies(policies));
  return { cla: 0x00, ins: 0x47, p1: 0x00, p2: slot.reference, data: template, ne: 65_536, long: true };
}

/**
 * Parses the public key in the answer, under 7F49.
 * @returns SubjectPublicKeyInfo, DER.
 * @throws {MalformedAnswerError} if it does not hold a key of this type.
 */
export function readGenerated(type: KeyType, answer: Uint8Array): Uint8Array {
  try {
    const template = findTlv(readTlvs(answer), 0x7f49) ?? new Uint8Array();
    return readPublicKeyObjects(type, readTlvs(template, "generated public key"));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the generated public key does not parse: ${cause.message}`, { cause });
  }
}
