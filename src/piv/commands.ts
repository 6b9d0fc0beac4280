/**
 * The commands of the PIV card application (SP 800-73-4 part 2 chapter 3): for each a function that builds it, and one
 * that parses its answer unless that is plain bytes.
 */
import { type CommandApdu, encodeTlv, findTlv, MalformedAnswerError, readTlvs } from "../apdu/index.ts";
import { concat, DataError, secretBytes } from "../bytes/index.ts";

/** The application identifier without its version, for partial selection (SP 800-73-4 part 1 section 2.2). */
export const PIV_AID = Uint8Array.of(0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00);

/** The whole answer: in short form with GET RESPONSE, or one extended answer. */
const ALL = 65_536;
const EMPTY = new Uint8Array();

/** SELECT of the PIV card application (section 3.1.1). */
export function select(): CommandApdu {
  return { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: PIV_AID, ne: 256 };
}

/** The application property template. */
export interface ApplicationProperties {
  /** Tag 50; empty if absent. */
  readonly label: string;
  /** Cryptographic algorithm identifiers, tag 80 in each AC. */
  readonly algorithms: readonly number[];
}

/**
 * Parses the application property template in the answer to SELECT (section 3.1.1, table 3). Fields that are absent or
 * malformed are empty.
 */
export function readApplicationProperties(answer: Uint8Array): ApplicationProperties {
  try {
    const template = readTlvs(findTlv(readTlvs(answer), 0x61) ?? new Uint8Array());
    const algorithms = template.filter(({ tag }) => tag === 0xac).flatMap(({ value }) => readTlvs(value));
    return {
      label: String.fromCharCode(...(findTlv(template, 0x50) ?? [])),
      algorithms: algorithms.filter(({ tag }) => tag === 0x80).flatMap(({ value }) => [...value]),
    };
  } catch (error) {
    if (error instanceof DataError) return { label: "", algorithms: [] };
    throw error;
  }
}

/** GET DATA of a data object (section 3.1.2). */
export function getData(tag: number): CommandApdu {
  return { cla: 0x00, ins: 0xcb, p1: 0x3f, p2: 0xff, data: encodeTlv(0x5c, tagBytes(tag)), ne: ALL };
}

/** PUT DATA of a data object with the value of its tag 53 (section 3.3.1); an empty one deletes the object. */
export function putData(tag: number, content: Uint8Array): CommandApdu {
  const data = concat(encodeTlv(0x5c, tagBytes(tag)), encodeTlv(0x53, content));
  return { cla: 0x00, ins: 0xdb, p1: 0x3f, p2: 0xff, data };
}

function tagBytes(tag: number): Uint8Array {
  if (tag <= 0xff) return Uint8Array.of(tag);
  return tag <= 0xffff ? Uint8Array.of(tag >> 8, tag & 0xff) : Uint8Array.of(tag >> 16, (tag >> 8) & 0xff, tag & 0xff);
}

/** VERIFY (section 3.2.1). Without `pin` it only queries the PIN's state and spends no try. */
export function verify(reference: number, pin: Uint8Array = EMPTY): CommandApdu {
  return { cla: 0x00, ins: 0x20, p1: 0x00, p2: reference, data: pin, conceal: "command" };
}

/** VERIFY with P1 = FF: resets the verified state of the PIN (section 3.2.1). */
export function unverify(reference: number): CommandApdu {
  return { cla: 0x00, ins: 0x20, p1: 0xff, p2: reference };
}

/** CHANGE REFERENCE DATA (section 3.2.2). @param values The old value and the new one, {@link padPins}. */
export function changeReference(reference: number, values: Uint8Array): CommandApdu {
  return { cla: 0x00, ins: 0x24, p1: 0x00, p2: reference, data: values, conceal: "command" };
}

/** RESET RETRY COUNTER (section 3.2.3). @param values The PUK and the new PIN, {@link padPins}. */
export function resetRetryCounter(reference: number, values: Uint8Array): CommandApdu {
  return { cla: 0x00, ins: 0x2c, p1: 0x00, p2: reference, data: values, conceal: "command" };
}

/** Tags within the dynamic authentication template, 7C (section 3.2.4 table 7). */
const DYNAMIC = { CHALLENGE: 0x81, RESPONSE: 0x82, EXPONENTIATION: 0x85 } as const;

/** GENERAL AUTHENTICATE that applies a private key to a padded block or a hash (section 3.2.4, appendix A.4). */
export function sign(algorithm: number, key: number, input: Uint8Array): CommandApdu {
  return generalAuthenticate(algorithm, key, encodeTlv(DYNAMIC.CHALLENGE, input));
}

/** GENERAL AUTHENTICATE that agrees on a secret with the other party's point (section 3.2.4, appendix A.5). */
export function keyAgreement(algorithm: number, key: number, point: Uint8Array): CommandApdu {
  return { ...generalAuthenticate(algorithm, key, encodeTlv(DYNAMIC.EXPONENTIATION, point)), conceal: "answer" };
}

function generalAuthenticate(algorithm: number, key: number, input: Uint8Array): CommandApdu {
  const template = encodeTlv(0x7c, encodeTlv(DYNAMIC.RESPONSE), input);
  return { cla: 0x00, ins: 0x87, p1: algorithm, p2: key, data: template, ne: ALL };
}

/**
 * The response object of a dynamic authentication template.
 * @throws {MalformedAnswerError} if it is not there.
 */
export function readAuthentication(answer: Uint8Array): Uint8Array {
  const command = "GENERAL AUTHENTICATE";
  return readObject(command, readObject(command, answer, 0x7c), DYNAMIC.RESPONSE);
}

/**
 * Unwraps the answer to GET DATA: returns the value of tag 53; a discovery object or BIT group keeps its own tag.
 * @returns Undefined for an empty object, which means the same as an absent one.
 */
export function readData(tag: number, answer: Uint8Array): Uint8Array | undefined {
  if (answer.length === 0) return undefined;
  const value = readObject(`GET DATA ${tag.toString(16).toUpperCase()}`, answer, tag > 0xffff ? 0x53 : tag);
  return value.length === 0 ? undefined : value;
}

/** The data object in an answer. @throws {MalformedAnswerError} if it is not there: the card's mistake. */
function readObject(command: string, answer: Uint8Array, tag: number): Uint8Array {
  let value: Uint8Array | undefined;
  try {
    value = findTlv(readTlvs(answer), tag);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the card's answer to ${command} does not parse: ${cause.message}`, { cause });
  }
  if (!value) throw new MalformedAnswerError(`the card's answer to ${command} lacks its data object`);
  return value;
}

/** A PIN's length on the wire (section 2.4.3). */
const PIN_LENGTH = 8;

/**
 * Concatenates PINs and PUKs in the card's format: 8 bytes each, padded with FF (section 2.4.3). The caller wipes it.
 */
export function padPins(...pins: readonly Uint8Array[]): Uint8Array {
  const padded = secretBytes(PIN_LENGTH * pins.length).fill(0xff);
  for (const [index, pin] of pins.entries()) padded.set(pin, PIN_LENGTH * index);
  return padded;
}
