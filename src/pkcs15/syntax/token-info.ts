import { contextTag, DerReader, derSequence, encodeDer, TAG } from "../../asn1/index.ts";
import { DataError, toHex, utf8 } from "../../bytes/index.ts";
import {
  type Flags,
  optionalFlags,
  optionalNumber,
  optionalOctets,
  optionalReference,
  optionalText,
  readText,
  readTime,
} from "./fields.ts";
import { type FileReference, optionalPath } from "./path.ts";

/** An algorithm of the card (ISO/IEC 7816-15 section 8.10, AlgorithmInfo). */
export interface AlgorithmInfo {
  /** Its reference in keys. */
  readonly reference: number;
  /** A mechanism of PKCS#11 (CKM_). */
  readonly mechanism: number;
  readonly operations: Flags;
  /** Dotted. */
  readonly objectId: string | undefined;
  /** Its number for MSE:SET. */
  readonly algorithmReference: number | undefined;
}

/** Bits of Operations. */
export const OPERATION = { COMPUTE_SIGNATURE: 1, DECIPHER: 5, GENERATE_KEY: 7, DERIVE_KEY: 8 } as const;

/** EF.CIAInfo, TokenInfo of PKCS#15 (ISO/IEC 7816-15 section 8.10). */
export interface TokenInfo {
  readonly serialNumber: Uint8Array;
  /** The number in its make's notation, if that is not the hexadecimal of its bytes. */
  readonly serialText?: string;
  readonly manufacturer: string;
  readonly label: string;
  readonly readOnly: boolean;
  readonly loginRequired: boolean;
  readonly randomNumbers: boolean;
  readonly algorithms: readonly AlgorithmInfo[];
  readonly holder: string;
  /** The time of the last change, as text to be compared; or the file that contains it. */
  readonly lastUpdate: { readonly time: string } | { readonly file: FileReference } | undefined;
  /** Its first error; the rest was not read. */
  readonly problem: string | undefined;
}

const LABEL = [contextTag(0, "primitive"), contextTag(0, "constructed")] as const;
const RECORD_INFO = contextTag(1, "constructed");
const ALGORITHMS = contextTag(2, "constructed");
const ISSUER = contextTag(3, "primitive");
const HOLDER = contextTag(4, "primitive");
const LAST_UPDATE = contextTag(5, "constructed");
const MAX_ALGORITHMS = 64;

/**
 * Parses a TokenInfo, DER. The fields after the label are parsed up to the first error: a malformed list of algorithms
 * is no reason to refuse a card.
 * @throws {DataError} if its beginning is malformed.
 */
export function readTokenInfo(der: Uint8Array): TokenInfo {
  const reader = new DerReader(der, "TokenInfo").enter();
  optionalNumber(reader);
  const serialNumber = optionalOctets(reader) ?? new Uint8Array();
  const manufacturer = optionalText(reader) ?? "";
  const label = readLabel(reader);
  const flags = optionalFlags(reader);
  return {
    serialNumber,
    manufacturer,
    label,
    readOnly: flags.has(0),
    loginRequired: flags.has(1),
    randomNumbers: flags.has(2),
    ...readTail(reader),
  };
}

function readLabel(reader: DerReader): string {
  const [primitive, constructed] = LABEL;
  const element = reader.optional(primitive);
  if (element) return readText(element);
  if (reader.peek() !== constructed) return "";
  // Taiwan's citizen cards tag it explicitly (OpenSC, pkcs15.c).
  return optionalText(reader.enter(constructed)) ?? "";
}

/** ub-label of PKCS #15 (ISO/IEC 7816-15 annex A), in bytes of UTF-8. */
export const MAX_LABEL = 255;

/**
 * Changes the label of a TokenInfo, DER; the rest stays unchanged byte for byte.
 * @throws {DataError} if its beginning is malformed.
 */
export function relabelledTokenInfo(der: Uint8Array, label: string): Uint8Array {
  const [primitive, constructed] = LABEL;
  const reader = new DerReader(der, "TokenInfo").enter();
  const head = [reader.optional(TAG.INTEGER), reader.optional(TAG.OCTET_STRING), reader.optional(TAG.UTF8_STRING)];
  const explicit = reader.peek() === constructed;
  if (explicit || reader.peek() === primitive) reader.next();
  const rest: Uint8Array[] = [];
  while (reader.remaining > 0) rest.push(reader.next().encoding);
  const text = utf8(label);
  const written = explicit ? encodeDer(constructed, encodeDer(TAG.UTF8_STRING, text)) : encodeDer(primitive, text);
  return derSequence(...head.flatMap((element) => (element ? [element.encoding] : [])), written, ...rest);
}

type Tail = Pick<TokenInfo, "algorithms" | "holder" | "lastUpdate" | "problem">;

function readTail(reader: DerReader): Tail {
  const found: { -readonly [Field in keyof Tail]: Tail[Field] } = {
    algorithms: [],
    holder: "",
    lastUpdate: undefined,
    problem: undefined,
  };
  try {
    reader.optional(TAG.SEQUENCE);
    reader.optional(RECORD_INFO);
    if (reader.peek() === ALGORITHMS) found.algorithms = readAlgorithms(reader.enter(ALGORITHMS));
    reader.optional(ISSUER);
    const holder = reader.optional(HOLDER);
    if (holder) found.holder = readText(holder);
    if (reader.peek() === LAST_UPDATE) found.lastUpdate = readLastUpdate(reader.enter(LAST_UPDATE));
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    found.problem = error.message;
  }
  return found;
}

function readLastUpdate(reader: DerReader): TokenInfo["lastUpdate"] {
  const file = optionalPath(reader);
  if (file) return { file };
  const element = reader.optional(TAG.GENERALIZED_TIME);
  if (!element) return undefined;
  return { time: readTime(element)?.toISOString() ?? toHex(element.contents) };
}

function readAlgorithms(reader: DerReader): AlgorithmInfo[] {
  const found: AlgorithmInfo[] = [];
  while (reader.remaining > 0 && found.length < MAX_ALGORITHMS) {
    const fields = reader.enter();
    const reference = optionalReference(fields);
    const mechanism = optionalNumber(fields);
    if (reference === undefined || mechanism === undefined) continue;
    // Parameters are NULL, a curve, or anything else; operations are the only BIT STRING.
    if (fields.remaining > 0 && fields.peek() !== TAG.BIT_STRING) fields.next();
    const operations = optionalFlags(fields);
    const objectId = fields.peek() === TAG.OBJECT_IDENTIFIER ? fields.oid() : undefined;
    found.push({ reference, mechanism, operations, objectId, algorithmReference: optionalReference(fields) });
  }
  return found;
}
