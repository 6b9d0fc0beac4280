import { ByteReader, DataError } from "../../bytes/index.ts";
import { type AttributeValue, CKA, CKR, CryptokiError, type Template } from "../../cryptoki/index.ts";
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

/** Templates within templates: p11-kit stops at 8 as well. Without a limit, a frame of 16 MiB nests a million deep. */
const MAX_DEPTH = 8;

/** An attribute as it is read: without a length it has no value to show; without a value only its length was asked for. */
export interface WireAttribute {
  readonly type: number;
  /** ulValueLen, as a client of 64 bits counts. */
  readonly length?: number;
  readonly value?: AttributeValue;
}

/** How an attribute is read: what others' tokens say is taken as it comes, what a client wants must make sense. */
interface Reading {
  readonly dialect: Dialect;
  readonly strict: boolean;
  readonly depth: number;
}

/** The length of a value in a client of 64 bits: ulValueLen. */
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

/** Writes the type, and what stands for an attribute without a value to show. */
export function writeUnavailable(out: ByteWriter, type: number): void {
  out.u32(type);
  out.u8(0);
}

/** Writes a length alone: the value that follows stands for nothing. */
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

/** @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID if the value is none of the attribute's kind. */
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

/** The value; undefined where only its length was asked for, or where it has one that no value of its kind has. */
function readValue(from: ByteReader, type: number, length: number, reading: Reading): AttributeValue | undefined {
  const { dialect, strict, depth } = reading;
  switch (attributeForm(type, dialect.offered)) {
    case "byte": {
      const value = from.u8() !== 0;
      return length === 0 ? undefined : value;
    }
    case "ulong": {
      const value = readUlong(from);
      // 4 bytes are the CK_ULONG of a client of 32 bits.
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
      if (depth >= MAX_DEPTH) throw new DataError(`templates nested over ${MAX_DEPTH} deep`);
      const nested = readAttributes(from, { ...reading, depth: depth + 1 });
      if (nested.length === 0 && length > 0) return undefined;
      return strict ? toTemplate(nested) : shownTemplate(nested);
    }
    case "native": {
      const bytes = readBytes(from);
      if (bytes === null && length > 0) return undefined;
      // A copy: a search outlives its request, whose bytes are wiped.
      return meaning(strict, () => fromNative(type, new Uint8Array(bytes ?? []), strict));
    }
  }
}

/** Bytes that mean nothing are the caller's mistake where it is strict, and otherwise no value to show. */
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
    if (template.has(type)) throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "an attribute stands in it twice");
    template.set(type, value);
  }
  return Object.fromEntries(template);
}

const shownTemplate = (attributes: readonly WireAttribute[]): Template =>
  Object.fromEntries(attributes.flatMap(({ type, value }) => (value === undefined ? [] : [[type, value]])));

/** `aA` of a request: a template. */
export const TEMPLATE: Field<Template> = {
  signature: "aA",
  write: (out, template, dialect) => {
    const attributes = Object.entries(template as Readonly<Record<string, AttributeValue>>);
    out.u32(attributes.length);
    for (const [type, value] of attributes) writeAttribute(out, typeNumber(type), value, dialect);
  },
  read: (from, dialect) => toTemplate(readAttributes(from, { dialect, strict: true, depth: 0 })),
};

function typeNumber(text: string): number {
  const type = Number(text);
  if (Number.isInteger(type) && type >= 0 && type <= 0xffffffff) return type;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, `"${text}" is no attribute; write [CKA.ID]: bytes`);
}

/** `aA` of a response. */
export const readAnswers = (from: ByteReader, dialect: Dialect): WireAttribute[] =>
  readAttributes(from, { dialect, strict: false, depth: 0 });

/** An attribute that is asked for, and the room that the caller has for it, in bytes; 0 asks for its length. */
export interface Wanted {
  readonly type: number;
  readonly room: number;
  /** Of a template: the rooms for what is in it. */
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
      const reader = new ByteReader(bytes, "the attributes that are asked for");
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

/** Bytes of a request for which all combinations of {@link countsToTry} are tried; and templates without room in it. */
const MOST_BYTES = 1_024;
const MOST_COUNTS = 6;

/**
 * p11-kit's clients since 0.25.4 write a count of nested attributes behind a template whose pValue is not NULL and whose length is 0, and
 * none where pValue is NULL; both have no room, and its own server reads none. What fits is the form that uses the request exactly.
 * @returns Whether a count stands behind the first, the second ... template without room; the last entry holds for all that follow.
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
  /** Whether a count stands behind the next template without room; none does once it ends. */
  readonly counts: Iterator<boolean>;
  readonly depth: number;
}

function readWanted(from: ByteReader, reading: WantedReading): Wanted[] {
  const { dialect, counts, depth } = reading;
  if (depth > MAX_DEPTH) throw new DataError(`templates nested over ${MAX_DEPTH} deep`);
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

/** Since 0.25.4 the room for a template says what its attributes have room for. */
const hasNested = (type: number, room: number, { offered }: Dialect): boolean =>
  offered >= 1 && room > 0 && attributeForm(type, offered) === "template";

const TEMPLATES: readonly number[] = [CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE, CKA.DERIVE_TEMPLATE];

/**
 * Whether a client that offered this version can read an answer that has this attribute, with or without its value. Those of
 * p11-kit 0.24 break off the connection over a template.
 */
export const isReadable = (type: number, { offered }: Dialect): boolean => offered >= 1 || !TEMPLATES.includes(type);
