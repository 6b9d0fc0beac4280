import { ByteReader, DataError } from "../../bytes/index.ts";
import {
  type AttributeList,
  type AttributeValue,
  CKA,
  CKR,
  CryptokiError,
  type Template,
} from "../../cryptoki/index.ts";
import {
  ATTRIBUTE_LENGTH,
  attributeForm,
  fromDate,
  fromNative,
  toDate,
  toNative,
  ULONG_LENGTH,
} from "./attribute-value.ts";
import { type ByteWriter, type Dialect, type Field, readBytes, readUlong, writeBytes } from "./values.ts";

/** Depth limit for nested templates, the same as p11-kit's. Without it, a frame of 16 MiB could nest a million deep. */
const MAX_DEPTH = 8;

/** A parsed attribute: without a length it has no value to return; without a value only its length was requested. */
export interface WireAttribute {
  readonly type: number;
  /** ulValueLen in a 64-bit client. */
  readonly length?: number;
  readonly value?: AttributeValue;
}

/** How strictly attributes are parsed: values of tokens leniently, values of clients strictly. */
interface Reading {
  readonly dialect: Dialect;
  readonly strict: boolean;
  readonly depth: number;
}

/** The length of a value in a 64-bit client: ulValueLen. */
export function valueLength(type: number, value: AttributeValue, dialect: Dialect): number {
  switch (attributeForm(type, dialect.offered)) {
    case "byte":
      return 1;
    case "ulong":
      return ULONG_LENGTH;
    case "mechanisms":
      return ULONG_LENGTH * Object.keys(value ?? {}).length;
    case "template":
      return ATTRIBUTE_LENGTH * Object.keys(value ?? {}).length;
    default:
      return toNative(type, value).length;
  }
}

/** Writes the type, and the form of an attribute without a value to return. */
export function writeUnavailable(out: ByteWriter, type: number): void {
  out.u32(type);
  out.u8(0);
}

/** Writes a length alone; the value that follows is ignored. */
export function writeLength(out: ByteWriter, type: number, length: number, dialect: Dialect): void {
  out.u32(type);
  out.u8(1);
  out.u32(length);
  switch (attributeForm(type, dialect.offered)) {
    case "byte":
      out.u8(0);
      return;
    case "ulong":
      out.ulong(0);
      return;
    case "mechanisms":
    case "template":
      out.u32(0);
      return;
    case "date":
    case "native":
      writeBytes(out, null);
  }
}

/** @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID if the value does not have the attribute's type. */
export function writeAttribute(out: ByteWriter, type: number, value: AttributeValue, dialect: Dialect): void {
  out.u32(type);
  out.u8(1);
  out.u32(valueLength(type, value, dialect));
  const form = attributeForm(type, dialect.offered);
  if (form === "byte" && typeof value === "boolean") out.u8(value ? 1 : 0);
  else if (form === "ulong" && typeof value === "number") out.ulong(value);
  else if (form === "date" && (value === null || value instanceof Date)) writeBytes(out, toDate(value));
  else if (form === "mechanisms" && isNumbers(value)) {
    out.u32(value.length);
    for (const one of value) out.ulong(one);
  } else if (form === "template" && isTemplate(value)) TEMPLATE.write(out, value, dialect);
  else if (form === "native") writeBytes(out, toNative(type, value));
  else throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, `not a value for attribute 0x${type.toString(16)}`);
}

const isNumbers = (value: AttributeValue): value is readonly number[] => Array.isArray(value);

const isTemplate = (value: AttributeValue): value is Template =>
  typeof value === "object" &&
  value !== null &&
  !(value instanceof Date || value instanceof Uint8Array || Array.isArray(value));

function readAttribute(from: ByteReader, reading: Reading): WireAttribute {
  const type = from.u32();
  if (from.u8() === 0) return { type };
  const length = from.u32();
  const value = readValue(from, type, length, reading);
  return value === undefined ? { type, length } : { type, length, value };
}

/** The value; undefined if only its length was requested, or the length is impossible. */
function readValue(from: ByteReader, type: number, length: number, reading: Reading): AttributeValue | undefined {
  const { dialect, strict, depth } = reading;
  switch (attributeForm(type, dialect.offered)) {
    case "byte": {
      const value = from.u8() !== 0;
      return length === 0 ? undefined : value;
    }
    case "ulong": {
      const value = readUlong(from);
      // 4 bytes are the CK_ULONG of a 32-bit client.
      return length < 4 ? undefined : value;
    }
    case "date":
      return meaning(strict, () => fromDate(readBytes(from) ?? new Uint8Array(), strict));
    case "mechanisms": {
      const items = new ByteReader(from.take(ULONG_LENGTH * from.u32()), "a list of mechanisms");
      const list: number[] = [];
      while (items.remaining > 0) list.push(readUlong(items));
      return list.length === 0 && length > 0 ? undefined : list;
    }
    case "template": {
      if (depth >= MAX_DEPTH) throw new DataError(`templates nested more than ${MAX_DEPTH} deep`);
      const nested = readAttributes(from, { ...reading, depth: depth + 1 });
      if (nested.length === 0 && length > 0) return undefined;
      return strict ? toTemplate(nested) : shownTemplate(nested);
    }
    case "native": {
      const bytes = readBytes(from);
      if (bytes === null && length > 0) return undefined;
      // A copy: a search lives longer than its request, whose bytes are wiped.
      return meaning(strict, () => fromNative(type, new Uint8Array(bytes ?? []), strict));
    }
  }
}

/** Malformed bytes are the caller's error if strict, and otherwise an attribute without a value. */
function meaning(strict: boolean, read: () => AttributeValue): AttributeValue | undefined {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    if (strict) throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, cause.message, { cause });
    return undefined;
  }
}

function readAttributes(from: ByteReader, reading: Reading): WireAttribute[] {
  const attributes: WireAttribute[] = [];
  for (let left = from.u32(); left > 0; left--) attributes.push(readAttribute(from, reading));
  return attributes;
}

/** @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT. */
function toTemplate(attributes: readonly WireAttribute[]): Template {
  const template = new Map<number, AttributeValue>();
  for (const { type, value } of attributes) {
    if (value === undefined) throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID);
    if (template.has(type))
      throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template contains an attribute twice");
    template.set(type, value);
  }
  return Object.fromEntries(template);
}

const shownTemplate = (attributes: readonly WireAttribute[]): Template =>
  Object.fromEntries(attributes.flatMap(({ type, value }) => (value === undefined ? [] : [[type, value]])));

/** `aA` of a request: a template, as an object or as a list. */
export const TEMPLATE: Field<Template> = {
  signature: "aA",
  write: (out, template, dialect) => {
    const given: Template | AttributeList = template;
    const attributes = Array.isArray(given)
      ? (given as AttributeList)
      : Object.entries(given as Readonly<Record<string, AttributeValue>>);
    out.u32(attributes.length);
    for (const [type, value] of attributes) writeAttribute(out, typeNumber(type), value, dialect);
  },
  read: (from, dialect) => toTemplate(readAttributes(from, { dialect, strict: true, depth: 0 })),
};

function typeNumber(text: string | number): number {
  const type = Number(text);
  if (Number.isInteger(type) && type >= 0 && type <= 0xffffffff) return type;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, `"${text}" is not an attribute; write [CKA.ID]: bytes`);
}

/** `aA` of a response. */
export const readAnswers = (from: ByteReader, dialect: Dialect): WireAttribute[] =>
  readAttributes(from, { dialect, strict: false, depth: 0 });

/** A requested attribute, and the caller's room for it in bytes; 0 requests its length. */
export interface Wanted {
  readonly type: number;
  readonly room: number;
  /** For a template: the room for its attributes. */
  readonly nested?: readonly Wanted[];
}

/** `fA`, the last value of a request. */
export const WANTED: Field<readonly Wanted[]> = {
  signature: "fA",
  write: (out, wanted, dialect) => {
    out.u32(wanted.length);
    for (const { type, room, nested } of wanted) {
      out.u32(type);
      out.u32(room);
      if (hasNested(type, room, dialect)) WANTED.write(out, nested ?? [], dialect);
    }
  },
  read: (from, dialect) => {
    const bytes = from.take(from.remaining);
    let failure: unknown;
    for (const counts of countsToTry(bytes, dialect)) {
      const reader = new ByteReader(bytes, "the requested attributes");
      try {
        const wanted = readWanted(reader, { dialect, counts: counts[Symbol.iterator](), depth: 0 });
        reader.end();
        return wanted;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  },
};

/**
 * Requests up to this many bytes, and this many templates without room, are parsed with all combinations of {@link
 * countsToTry}.
 */
const MOST_BYTES = 1_024;
const MOST_COUNTS = 6;

/**
 * p11-kit's clients since 0.25.4 write a count of nested attributes after a template whose pValue is not NULL and whose
 * length is 0, and none if pValue is NULL; both have no room, and its own server reads none. The right form is the one
 * that uses the request exactly.
 * @returns Whether a count follows the first, the second ... template without room; the last entry holds for all
 *   further ones.
 */
function* countsToTry(bytes: Uint8Array, { offered }: Dialect): Generator<Iterable<boolean>> {
  yield [];
  if (offered < 1) return;
  yield always();
  if (bytes.length > MOST_BYTES) return;
  for (let mask = 1; mask < 2 ** MOST_COUNTS; mask++) {
    yield Array.from({ length: MOST_COUNTS }, (_, bit) => ((mask >> bit) & 1) === 1);
  }
}

function* always(): Generator<boolean> {
  for (;;) yield true;
}

interface WantedReading {
  readonly dialect: Dialect;
  /** Whether a count follows the next template without room; false after the last entry. */
  readonly counts: Iterator<boolean>;
  readonly depth: number;
}

function readWanted(from: ByteReader, reading: WantedReading): Wanted[] {
  const { dialect, counts, depth } = reading;
  if (depth > MAX_DEPTH) throw new DataError(`templates nested more than ${MAX_DEPTH} deep`);
  const wanted: Wanted[] = [];
  for (let left = from.u32(); left > 0; left--) {
    const type = from.u32();
    const room = from.u32();
    const isTemplate = dialect.offered >= 1 && attributeForm(type, dialect.offered) === "template";
    const nests = isTemplate && (room > 0 || counts.next().value === true);
    if (!nests) wanted.push({ type, room });
    else wanted.push({ type, room, nested: readWanted(from, { ...reading, depth: depth + 1 }) });
  }
  return wanted;
}

/** Since 0.25.4 the room for a template states the room for its attributes. */
const hasNested = (type: number, room: number, { offered }: Dialect): boolean =>
  offered >= 1 && room > 0 && attributeForm(type, offered) === "template";

const TEMPLATES: readonly number[] = [CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE, CKA.DERIVE_TEMPLATE];

/**
 * Whether a client that offered this version can read an answer with this attribute, with or without its value. Clients
 * of p11-kit 0.24 close the connection on a template.
 */
export const isReadable = (type: number, { offered }: Dialect): boolean => offered >= 1 || !TEMPLATES.includes(type);
