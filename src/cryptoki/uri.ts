import { DataError, fromUtf8, utf8 } from "../bytes/index.ts";

/** `type` of an object: CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_CERTIFICATE, CKO_SECRET_KEY, CKO_DATA. */
export type UriObjectType = "public" | "private" | "cert" | "secret-key" | "data";

/**
 * A PKCS #11 URI (RFC 7512): a description of tokens, slots, objects or libraries. Absent attributes match anything.
 * Text is decoded; trailing blanks of the CK_ structures' padded fields are removed.
 */
export interface Pkcs11Uri {
  /** CK_TOKEN_INFO: label, manufacturerID, serialNumber, model. */
  readonly token?: string;
  readonly manufacturer?: string;
  readonly serial?: string;
  readonly model?: string;
  /** CK_INFO: manufacturerID, libraryDescription, libraryVersion. */
  readonly libraryManufacturer?: string;
  readonly libraryDescription?: string;
  readonly libraryVersion?: { readonly major: number; readonly minor: number };
  /** CKA_LABEL, CKA_CLASS and CKA_ID. */
  readonly object?: string;
  readonly type?: UriObjectType;
  readonly id?: Uint8Array;
  /** CK_SLOT_INFO: slotDescription, manufacturerID; and the slot's ID. */
  readonly slotDescription?: string;
  readonly slotManufacturer?: string;
  readonly slotId?: number;
  /** The source of the PIN. */
  readonly pinSource?: string;
  /** The PIN itself. A URI that holds one is a secret. */
  readonly pinValue?: string;
  /** How to find the PKCS #11 module. */
  readonly moduleName?: string;
  readonly modulePath?: string;
  /** Path attributes that RFC 7512 does not name. A URI with one matches nothing here (section 2.5). */
  readonly vendorPath?: Readonly<Record<string, string>>;
  /** Query attributes that RFC 7512 does not name: ignored. One may be repeated. */
  readonly vendorQuery?: Readonly<Record<string, readonly string[]>>;
}

const SCHEME = "pkcs11:";
/** Longer than any URI with every attribute in full; limits the work for a hostile one. */
const MAX_LENGTH = 65_536;

const TYPES: readonly string[] = ["public", "private", "cert", "secret-key", "data"] satisfies UriObjectType[];

const TEXT_PATH = {
  token: "token",
  manufacturer: "manufacturer",
  serial: "serial",
  model: "model",
  "library-manufacturer": "libraryManufacturer",
  "library-description": "libraryDescription",
  object: "object",
  "slot-description": "slotDescription",
  "slot-manufacturer": "slotManufacturer",
} as const;

const TEXT_QUERY = {
  "pin-source": "pinSource",
  "pin-value": "pinValue",
  "module-name": "moduleName",
  "module-path": "modulePath",
} as const;

/** pk11-pchar and pk11-qchar without pct-encoded (RFC 7512 section 2.3). */
const PATH_CHARACTERS = /^(?:[\w\-.~:[\]@!$'()*+,=&]|%[0-9a-f]{2})*$/iu;
const QUERY_CHARACTERS = /^(?:[\w\-.~:[\]@!$'()*+,=/?|]|%[0-9a-f]{2})*$/iu;
const NAME = /^[\w-]+$/u;

type Draft = { -readonly [Key in keyof Pkcs11Uri]: Pkcs11Uri[Key] };

/** Whether `text` begins as a PKCS #11 URI. */
export function isUri(text: string): boolean {
  return text.slice(0, SCHEME.length).toLowerCase() === SCHEME;
}

/**
 * Parses a PKCS #11 URI strictly.
 * @throws {DataError} for another scheme, a character that must be percent-encoded, text that is not UTF-8, a repeated
 *   attribute, an invalid value, or pin-source together with pin-value. The message never repeats a value, because it
 *   may be a PIN.
 */
export function parseUri(text: string): Pkcs11Uri {
  if (!isUri(text)) throw new DataError(`a PKCS #11 URI begins with "${SCHEME}"`);
  if (text.length > MAX_LENGTH)
    throw new DataError(`a PKCS #11 URI of ${text.length} characters; the limit is ${MAX_LENGTH}`);
  const rest = text.slice(SCHEME.length);
  const mark = rest.indexOf("?");
  const path = mark === -1 ? rest : rest.slice(0, mark);
  const uri: Draft = {};
  const vendorPath = new Map<string, string>();
  for (const [name, value] of attributes(path, ";", PATH_CHARACTERS)) readPath(uri, vendorPath, name, value);
  if (vendorPath.size > 0) uri.vendorPath = Object.fromEntries(vendorPath);
  if (mark !== -1) {
    const vendorQuery = new Map<string, string[]>();
    for (const [name, value] of attributes(rest.slice(mark + 1), "&", QUERY_CHARACTERS)) {
      readQuery(uri, vendorQuery, name, value);
    }
    if (vendorQuery.size > 0) uri.vendorQuery = Object.fromEntries(vendorQuery);
  }
  if (uri.pinSource !== undefined && uri.pinValue !== undefined) {
    throw new DataError("PKCS #11 URI: pin-source or pin-value, not both (RFC 7512 section 2.4)");
  }
  return uri;
}

function* attributes(part: string, separator: string, allowed: RegExp): Generator<readonly [string, string]> {
  if (part === "") return;
  for (const attribute of part.split(separator)) {
    const equals = attribute.indexOf("=");
    const name = attribute.slice(0, Math.max(equals, 0));
    if (!NAME.test(name)) throw new DataError(`PKCS #11 URI: an attribute is written name=value`);
    const value = attribute.slice(equals + 1);
    if (!allowed.test(value)) {
      throw new DataError(`PKCS #11 URI: ${name} has a character that must be percent-encoded`);
    }
    yield [name, value];
  }
}

function readPath(uri: Draft, others: Map<string, string>, name: string, value: string): void {
  if (has(TEXT_PATH, name)) {
    setOnce(uri, TEXT_PATH[name], name, decodeText(name, value));
  } else if (name === "id") {
    setOnce(uri, "id", name, decodeBytes(value));
  } else if (name === "type") {
    setOnce(uri, "type", name, readType(decodeText(name, value)));
  } else if (name === "slot-id") {
    setOnce(uri, "slotId", name, readNumber(name, value, Number.MAX_SAFE_INTEGER));
  } else if (name === "library-version") {
    setOnce(uri, "libraryVersion", name, readVersion(name, value));
  } else {
    if (others.has(name)) throw twice(name);
    others.set(name, decodeText(name, value));
  }
}

function readQuery(uri: Draft, others: Map<string, string[]>, name: string, value: string): void {
  if (has(TEXT_QUERY, name)) {
    setOnce(uri, TEXT_QUERY[name], name, decodeText(name, value));
    return;
  }
  const text = decodeText(name, value);
  const values = others.get(name);
  if (values) values.push(text);
  else others.set(name, [text]);
}

function has<Table extends object>(table: Table, name: PropertyKey): name is keyof Table {
  return Object.hasOwn(table, name);
}

function setOnce<Key extends keyof Draft>(uri: Draft, key: Key, name: string, value: NonNullable<Draft[Key]>): void {
  if (uri[key] !== undefined) throw twice(name);
  uri[key] = value;
}

const twice = (name: string): DataError => new DataError(`PKCS #11 URI: ${name} is repeated`);

function readType(value: string): UriObjectType {
  if (!isType(value)) throw new DataError(`PKCS #11 URI: type is one of ${TYPES.join(", ")}`);
  return value;
}

const isType = (value: string): value is UriObjectType => TYPES.includes(value);

function readNumber(name: string, value: string, max: number): number {
  const number = /^\d{1,16}$/u.test(value) ? Number(value) : Infinity;
  if (number > max) throw new DataError(`PKCS #11 URI: ${name} is a decimal number of at most ${max}`);
  return number;
}

function readVersion(name: string, value: string): { major: number; minor: number } {
  const [major = "", minor = "0", ...more] = value.split(".");
  if (more.length > 0) throw new DataError(`PKCS #11 URI: ${name} is written major.minor`);
  return { major: readNumber(name, major, 255), minor: readNumber(name, minor, 255) };
}

function decodeText(name: string, value: string): string {
  try {
    return fromUtf8(decodeBytes(value));
  } catch (cause) {
    throw new DataError(`PKCS #11 URI: ${name} is not UTF-8`, { cause });
  }
}

/** The allowed characters are ASCII, and every "%" is followed by two digits: checked before. */
function decodeBytes(value: string): Uint8Array {
  const bytes = new Uint8Array(value.length);
  let length = 0;
  for (let at = 0; at < value.length; at++) {
    if (value[at] === "%") {
      bytes[length++] = Number.parseInt(value.slice(at + 1, at + 3), 16);
      at += 2;
    } else bytes[length++] = value.charCodeAt(at);
  }
  return bytes.slice(0, length);
}

/**
 * Formats a PKCS #11 URI: percent-encodes everything but letters, digits and `-._~`, in the query also all but `:` and
 * `/`; the identifier byte by byte, as RFC 7512 section 2.3 requires.
 * @throws {DataError} for a vendor attribute with an invalid name, or pin-source together with pin-value.
 */
export function formatUri(uri: Pkcs11Uri): string {
  const path = [
    ...texts(TEXT_PATH, uri, encodeText),
    ...(uri.id ? [`id=${encodeBytes(uri.id, /(?!)/u)}`] : []),
    ...(uri.type ? [`type=${uri.type}`] : []),
    ...(uri.slotId === undefined ? [] : [`slot-id=${uri.slotId}`]),
    ...(uri.libraryVersion ? [`library-version=${uri.libraryVersion.major}.${uri.libraryVersion.minor}`] : []),
    ...Object.entries(uri.vendorPath ?? {}).map(([name, value]) => `${name}=${encodeText(value)}`),
  ].join(";");
  const query = [
    ...texts(TEXT_QUERY, uri, encodeQuery),
    ...Object.entries(uri.vendorQuery ?? {}).flatMap(([name, values]) =>
      values.map((value) => `${name}=${encodeQuery(value)}`),
    ),
  ].join("&");
  const text = SCHEME + path + (query && `?${query}`);
  parseUri(text);
  return text;
}

function texts<Name extends string, Key extends keyof Pkcs11Uri>(
  table: Readonly<Record<Name, Key>>,
  uri: Pkcs11Uri,
  encode: (text: string) => string,
): string[] {
  return Object.entries<Key>(table).flatMap(([name, key]) => {
    const value = uri[key];
    return typeof value === "string" ? [`${name}=${encode(value)}`] : [];
  });
}

const encodeText = (text: string): string => encodeBytes(utf8(text), /[\w\-.~]/u);
const encodeQuery = (text: string): string => encodeBytes(utf8(text), /[\w\-.~:/]/u);

function encodeBytes(bytes: Uint8Array, plain: RegExp): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return plain.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}
