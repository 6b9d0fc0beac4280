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

/** The operations of a card with a private key. */
export type KeyOperation = "sign" | "decipher" | "derive";

/** One use of a private key. */
export interface KeyRequest {
  readonly operation: KeyOperation;
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  readonly key: KeyFacts;
}

/** The properties of a private key for a use. */
export interface KeyFacts {
  readonly type: "rsa" | "ec";
  /** Of the modulus, or of a coordinate. */
  readonly bytes: number;
  /** The curve is not known: `bytes` is the digest's length, and the length of the result shows whether that is right. Default: false. */
  readonly isAssumed?: boolean;
  /** The card's own number for it. */
  readonly reference: number | undefined;
  /** The last identifier of its path: the key file's, or the DF's. Empty if it has no path. */
  readonly file: Uint8Array;
  /** Whether its access rules name INTERNAL AUTHENTICATE, and not signatures. */
  readonly authenticates: boolean;
  /** Its algorithms according to TokenInfo. */
  readonly algorithms: readonly AlgorithmInfo[];
  /** SubjectPublicKeyInfo of its public half, if known. */
  readonly publicKey?: Uint8Array | undefined;
}

/** How to use a key: the security environment, the commands, and how to parse the last answer. */
export interface KeyUse {
  readonly environment: CommandApdu | undefined;
  /** Whether the key's own file must be the current one, and not only its DF. Default: false. */
  readonly inKeyFile?: boolean;
  readonly commands: readonly CommandApdu[];
  /** @throws {MalformedAnswerError} for an impossible result, such as one of a wrong length. */
  readonly read: (answer: Uint8Array) => Uint8Array;
}

const CRT = { ALGORITHM: 0x80, FILE: 0x81, SYMMETRIC_KEY: 0x83, KEY: 0x84, CIPHER: 0x89, USAGE: 0x95 } as const;

/** A data object of a control reference template (ISO/IEC 7816-4 section 10.3.1, table 55). */
const field = (tag: number, value: readonly number[] | Uint8Array): Uint8Array =>
  concat(Uint8Array.of(tag, value.length), Uint8Array.from(value));

/** The algorithm, as the card's own number; absent if the card needs none. */
export const algorithm = (reference: number | undefined): Uint8Array =>
  reference === undefined ? new Uint8Array() : field(CRT.ALGORITHM, [reference & 0xff]);

/** STARCOS's algorithm and mode. */
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

/** The cryptogram after its padding indicator: 00 for none, 81 if the card removes the padding. */
export const indicated = (indicator: number, cryptogram: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(indicator), cryptogram);

/** Pads a shorter input with leading zeros, which do not change the number (FIPS 186-5 section 6.4.1). */
export function leftPadded(input: Uint8Array, length: number): Uint8Array {
  if (input.length > length) throw new DataError(`an input of ${input.length} bytes for a key of ${length}`);
  return concatSecret(new Uint8Array(length - input.length), input);
}

/** Parses an RSA result as long as the modulus. */
export function wholeBlock({ key, primitive, input }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  const { publicKey } = key;
  const isRight = (result: Uint8Array): boolean | undefined =>
    publicKey && isRsaResult(publicKey, primitive, input, result);
  return (answer) => wholeRsaResult(answer, key.bytes, isRight);
}

/** Parses a deciphered message without padding. */
export function message({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => unpaddedMessage(answer, key.bytes);
}

/** Parses an ECDSA signature, r || s or the SEQUENCE of X.509. */
export function ecdsaAnswer({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => ecdsaResult(answer, key.isAssumed ? undefined : key.bytes);
}

/** Parses a shared point: plain, or as the first object of a dynamic authentication template. */
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

/** @throws {UnsupportedError} always. */
export function refuse(request: KeyRequest): never {
  throw new UnsupportedError(`the card does not support ${request.primitive} with this key`);
}
