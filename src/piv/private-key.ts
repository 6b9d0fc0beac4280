import { type CommandApdu, MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import {
  type CardError,
  type KeyPrimitive,
  type KeyType,
  LoginRequiredError,
  UnsupportedError,
  UseRefusedError,
} from "../card/index.ts";
import { curveInfo, ecdsaFromDer } from "../crypto/index.ts";
import { algorithmOf } from "./algorithms.ts";
import { keyAgreement, readAuthentication, sign } from "./commands.ts";
import { type KeySlot, referenceName } from "./keys.ts";
import type { PivExchange } from "./session.ts";

/** One use of a private key: how the card is asked, and what its answer means. */
export interface KeyUse {
  readonly command: CommandApdu;
  readonly read: (response: Uint8Array) => Uint8Array;
}

/**
 * How the card applies `primitive` to `input` with the key in `slot` (SP 800-73-4 part 2 section 3.2.4, appendix A).
 * @throws {UnsupportedError} for a type of key, or a use of it, that PIV does not have; {DataError} for input of a wrong length.
 */
export function keyUse(slot: KeySlot, type: KeyType, primitive: KeyPrimitive, input: Uint8Array): KeyUse {
  const algorithm = algorithmOf(type);
  if (algorithm === undefined) throw new UnsupportedError("PIV has no algorithm identifier for keys of this type");
  const same = (response: Uint8Array): Uint8Array => response;
  if (type.type === "rsa" && primitive === "rsa-raw") {
    if (input.length * 8 !== type.modulusBits) {
      throw new DataError(`a block of ${input.length} bytes for an RSA key of ${type.modulusBits} bits`);
    }
    return { command: sign(algorithm, slot.reference, input), read: same };
  }
  if (type.type === "ec" && primitive === "ecdsa") {
    const hash = leftPad(input, curveInfo(type.curve).bytes);
    return { command: sign(algorithm, slot.reference, hash), read: (der) => ecdsaFromDer(der, type.curve) };
  }
  if (type.type === "ec" && primitive === "ecdh") {
    return { command: keyAgreement(algorithm, slot.reference, input), read: same };
  }
  throw new UnsupportedError(`${primitive} is nothing that a PIV card does with this key`);
}

/** How cards refuse an operation that a key is not meant for, such as ECDSA with a key management key. */
const REFUSED_USE: ReadonlySet<number> = new Set([SW.WRONG_DATA, SW.INCORRECT_P1_P2, SW.FUNCTION_NOT_SUPPORTED]);

/**
 * Sends one use of a key.
 * @param refusal Finds out why the card's security status is not satisfied.
 * @throws {UnsupportedError} if the key is not meant for this use; {@link StatusError}; what `refusal` gives.
 */
export async function sendKeyUse(
  send: PivExchange,
  use: KeyUse,
  slot: KeySlot,
  refusal: (cause: StatusError) => Promise<CardError>,
): Promise<Uint8Array> {
  const { data, sw } = await send(use.command);
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED) throw await refusal(new StatusError("GENERAL AUTHENTICATE", sw));
  if (REFUSED_USE.has(sw)) {
    const cause = new StatusError("GENERAL AUTHENTICATE", sw);
    throw new UnsupportedError(`the card does not do this with key ${referenceName(slot)}`, { cause });
  }
  if (sw !== SW.OK) throw new StatusError("GENERAL AUTHENTICATE", sw);
  try {
    return use.read(readAuthentication(data));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the card's signature does not parse: ${cause.message}`, { cause });
  }
}

export function loginRequired(slot: KeySlot, cause?: StatusError): LoginRequiredError {
  const when = slot.pin === "always" ? "immediately before each use of this key" : "before it uses this key";
  const touch = cause && slot.pin === "always" ? ", or a touch while it works" : "";
  return new LoginRequiredError(`the card wants the PIN ${when}${touch}`, { cause });
}

/** The card refused the key, and still has the PIN, or may have it: on a YubiKey for lack of a touch. */
export function useRefused(slot: KeySlot, cause: StatusError): UseRefusedError {
  const key = `the card refused to use key ${referenceName(slot)}`;
  return new UseRefusedError(
    `${key}, and the PIN was given: the key may want a touch; use it again, and touch it when it blinks`,
    { cause },
  );
}

/** Cards want a hash as long as the order; a shorter one is the same number with zeros before it (FIPS 186-5 6.4.1). */
function leftPad(hash: Uint8Array, length: number): Uint8Array {
  if (hash.length > length) throw new DataError(`a hash of ${hash.length} bytes for a key of ${length}`);
  return concat(new Uint8Array(length - hash.length), hash);
}
