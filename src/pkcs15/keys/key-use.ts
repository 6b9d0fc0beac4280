import { type CommandApdu, readTlvs } from "../../apdu/index.ts";
import { concat, concatSecret, DataError } from "../../bytes/index.ts";
import {
  ecdsaResult,
  isRsaResult,
  type KeyPrimitive,
  sharedSecret,
  UnsupportedError,
  unpaddedMessage,
  wholeRsaResult,
} from "../../card/index.ts";
import type { AlgorithmInfo } from "../syntax/token-info.ts";

/** What a card is asked to do with a private key. */
export type KeyOperation = "sign" | "decipher" | "derive";

/** One use of a private key. */
export interface KeyRequest {
  readonly operation: KeyOperation;
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  readonly key: KeyFacts;
}

/** What is known of a private key when it is used. */
export interface KeyFacts {
  readonly type: "rsa" | "ec";
  /** Of the modulus, or of a coordinate. */
  readonly bytes: number;
  /** The card's own number for it. */
  readonly reference: number | undefined;
  /** The last identifier of its path: the key file's, or the DF's. Empty if it has no path. */
  readonly file: Uint8Array;
  /** Its access rules speak of INTERNAL AUTHENTICATE, and not of signatures. */
  readonly authenticates: boolean;
  /** What TokenInfo says of its algorithms. */
  readonly algorithms: readonly AlgorithmInfo[];
  /** SubjectPublicKeyInfo of its public half, if that is known. */
  readonly publicKey?: Uint8Array | undefined;
}

/** How a card is asked: the environment that must hold, the commands, and what the answer to the last one means. */
export interface KeyUse {
  readonly environment: CommandApdu | undefined;
  /** The key's own file must be the current one, and not only its DF. Default: false. */
  readonly inKeyFile?: boolean;
  readonly commands: readonly CommandApdu[];
  /** @throws {MalformedAnswerError} for what cannot be a result of the key, such as one of a wrong length. */
  readonly read: (answer: Uint8Array) => Uint8Array;
}

const CRT = { ALGORITHM: 0x80, FILE: 0x81, SYMMETRIC_KEY: 0x83, KEY: 0x84, CIPHER: 0x89, USAGE: 0x95 } as const;

/** A data object of a control reference template (ISO/IEC 7816-4 section 10.3.1, table 55). */
const field = (tag: number, value: readonly number[] | Uint8Array): Uint8Array =>
  concat(Uint8Array.of(tag, value.length), Uint8Array.from(value));

/** The algorithm, the card's own number for it: left out where the card needs none. */
export const algorithm = (reference: number | undefined): Uint8Array =>
  reference === undefined ? new Uint8Array() : field(CRT.ALGORITHM, [reference & 0xff]);

/** Algorithm and mode as STARCOS names them. */
export const cipher = (...identifier: readonly number[]): Uint8Array => field(CRT.CIPHER, identifier);

export const file = ({ file: id }: KeyFacts): Uint8Array => (id.length === 0 ? id : field(CRT.FILE, id));

export const keyReference = (
  { reference }: Pick<KeyFacts, "reference">,
  tag: "asymmetric" | "symmetric" = "asymmetric",
): Uint8Array =>
  reference === undefined
    ? new Uint8Array()
    : field(tag === "asymmetric" ? CRT.KEY : CRT.SYMMETRIC_KEY, [reference & 0xff]);

/** Usage qualifier: computation, decipherment or internal authentication. */
export const computing = (): Uint8Array => field(CRT.USAGE, [0x40]);

/** The cryptogram behind its padding indicator: 00 says nothing of padding, 81 that it is the card's to take off. */
export const indicated = (indicator: number, cryptogram: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(indicator), cryptogram);

/** Zeros before an input that is shorter than a number of the key's: the same number (FIPS 186-5 section 6.4.1). */
export function leftPadded(input: Uint8Array, length: number): Uint8Array {
  if (input.length > length) throw new DataError(`an input of ${input.length} bytes for a key of ${length}`);
  return concatSecret(new Uint8Array(length - input.length), input);
}

/** Reads an RSA result as long as the modulus. */
export function wholeBlock({ key, primitive, input }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  const { publicKey } = key;
  const isRight = (result: Uint8Array): boolean | undefined =>
    publicKey && isRsaResult(publicKey, primitive, input, result);
  return (answer) => wholeRsaResult(answer, key.bytes, isRight);
}

/** Reads a message that the card deciphered and took out of its padding. */
export function message({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => unpaddedMessage(answer, key.bytes);
}

/** Reads an ECDSA signature, r || s or the SEQUENCE of X.509. */
export function ecdsaAnswer({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => ecdsaResult(answer, key.bytes);
}

/** Reads a shared point: bare, or in a dynamic authentication template, whose first object it is. */
export function sharedX({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => {
    const isTemplate = answer[0] === DYNAMIC_TEMPLATE && answer.length > key.bytes;
    const [outer] = isTemplate ? readTlvs(answer, "dynamic authentication template") : [];
    const [inner] = outer ? readTlvs(outer.value, "dynamic authentication template") : [];
    return sharedSecret(inner?.value ?? answer, key.bytes);
  };
}

/** Tag of the template around the answer of GENERAL AUTHENTICATE (ISO/IEC 7816-4 section 11.5.5). */
const DYNAMIC_TEMPLATE = 0x7c;

/** @throws {UnsupportedError} always: the card has nothing for it. */
export function refuse(request: KeyRequest): never {
  throw new UnsupportedError(`${request.primitive} is nothing that this card does with this key`);
}
