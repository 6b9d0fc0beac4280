import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { type BigIntStats, statSync } from "node:fs";
import { derOid, parseDerCertificate } from "../../asn1/index.ts";
import { DataError, wipe } from "../../bytes/index.ts";
import { encodeEcParameters, encodeEcPoint, parsePublicKey } from "../../crypto/index.ts";
import { CKA, CKC, CKK, CKO, isUri, parseUri, type Template, type AttributeValue } from "../../cryptoki/index.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { isNewCard } from "./card-source.ts";
import { parsePinSource } from "./pin.ts";
import { requireSigningKey } from "./signature.ts";

/** How the contents of a file become an object on a card. */
export type ImportType = "cert" | "private" | "public" | "data";

/** Reads a certificate in PEM or DER, for C_CreateObject. @throws {FileError} if the file holds none. */
export function certificateTemplate(file: string, bytes: Uint8Array): Template {
  const der = new Uint8Array(attempt(file, "certificate", () => new X509Certificate(bytes).raw));
  const { subject, issuer, serialNumber } = attempt(file, "certificate", () => parseDerCertificate(der));
  return {
    [CKA.CLASS]: CKO.CERTIFICATE,
    [CKA.CERTIFICATE_TYPE]: CKC.X_509,
    [CKA.SUBJECT]: subject,
    [CKA.ISSUER]: issuer,
    [CKA.SERIAL_NUMBER]: serialNumber,
    [CKA.VALUE]: der,
  };
}

/**
 * Reads a public key in PEM or DER (SubjectPublicKeyInfo).
 * @throws {FileError} if there is none, or its type is not supported.
 */
export function publicKeyTemplate(file: string, bytes: Uint8Array): Template {
  const key = attempt(file, "public key", () => openPublicKey(bytes));
  return { [CKA.CLASS]: CKO.PUBLIC_KEY, ...publicParts(file, key) };
}

/**
 * Reads a private key in PEM or DER (PKCS #8, PKCS #1, SEC 1), not encrypted. The caller wipes it with {@link
 * wipeTemplate}.
 * @throws {FileError} if there is none, or its type is not supported.
 */
export function privateKeyTemplate(file: string, bytes: Uint8Array): Template {
  const key = attempt(file, "private key without a passphrase", () => openPrivateKey(bytes));
  const jwk = key.export({ format: "jwk" });
  const part = (name: "d" | "p" | "q" | "dp" | "dq" | "qi"): Uint8Array =>
    new Uint8Array(Buffer.from(jwk[name] ?? "", "base64url"));
  const common = {
    [CKA.CLASS]: CKO.PRIVATE_KEY,
    [CKA.SENSITIVE]: true,
    [CKA.EXTRACTABLE]: false,
    [CKA.PRIVATE]: true,
  };
  const shared = publicParts(file, createPublicKey(key));
  if (shared[CKA.KEY_TYPE] === CKK.RSA) {
    return {
      ...common,
      [CKA.KEY_TYPE]: CKK.RSA,
      ...pick(shared, CKA.MODULUS, CKA.PUBLIC_EXPONENT),
      [CKA.PRIVATE_EXPONENT]: part("d"),
      [CKA.PRIME_1]: part("p"),
      [CKA.PRIME_2]: part("q"),
      [CKA.EXPONENT_1]: part("dp"),
      [CKA.EXPONENT_2]: part("dq"),
      [CKA.COEFFICIENT]: part("qi"),
    };
  }
  return { ...common, [CKA.KEY_TYPE]: CKK.EC, ...pick(shared, CKA.EC_PARAMS), [CKA.VALUE]: part("d") };
}

/** @throws {UsageError} if `objectId` is not an object identifier such as 2.5.4.3. */
export function dataTemplate(value: Uint8Array, application: string, objectId?: string): Template {
  return {
    [CKA.CLASS]: CKO.DATA,
    ...(application !== "" && { [CKA.APPLICATION]: application }),
    ...(objectId !== undefined && { [CKA.OBJECT_ID]: readObjectId(objectId) }),
    [CKA.VALUE]: value,
  };
}

function readObjectId(dotted: string): Uint8Array {
  try {
    return derOid(dotted);
  } catch (cause) {
    throw new UsageError(`--object-id ${dotted}: not an object identifier such as 2.5.4.3`, { cause });
  }
}

/** Wipes the private values of a key template. */
export function wipeTemplate(template: Template): void {
  wipe(...Object.values(template).filter((value) => value instanceof Uint8Array));
}

function publicParts(file: string, key: KeyObject): Template {
  const parsed = attempt(file, "RSA or EC key of a type that cards support", () =>
    requireSigningKey(parsePublicKey(new Uint8Array(key.export({ format: "der", type: "spki" })))),
  );
  if (parsed.type === "edwards")
    throw new UsageError(`${file} holds an ${parsed.curve} key; such keys cannot be imported to a card`);
  if (parsed.type === "rsa") {
    return { [CKA.KEY_TYPE]: CKK.RSA, [CKA.MODULUS]: parsed.modulus, [CKA.PUBLIC_EXPONENT]: parsed.publicExponent };
  }
  return {
    [CKA.KEY_TYPE]: CKK.EC,
    [CKA.EC_PARAMS]: encodeEcParameters(parsed.curve),
    [CKA.EC_POINT]: encodeEcPoint(parsed.point),
  };
}

function openPublicKey(bytes: Uint8Array): KeyObject {
  const key = Buffer.from(bytes);
  return isPem(bytes) ? createPublicKey(key) : createPublicKey({ key, format: "der", type: "spki" });
}

function openPrivateKey(bytes: Uint8Array): KeyObject {
  const key = Buffer.from(bytes);
  if (isPem(bytes)) return createPrivateKey(key);
  const types = ["pkcs8", "pkcs1", "sec1"] as const;
  for (const type of types) {
    try {
      return createPrivateKey({ key, format: "der", type });
    } catch (error) {
      if (type === "sec1") throw error;
    }
  }
  throw new FileError("no private key");
}

const isPem = (bytes: Uint8Array): boolean => Buffer.from(bytes.subarray(0, 64)).includes("-----BEGIN ");

function pick(template: Template, ...types: readonly (keyof Template)[]): Template {
  const picked: Record<number, AttributeValue> = {};
  for (const type of types) {
    const value = template[type];
    if (value !== undefined) picked[type] = value;
  }
  return picked;
}

/** OpenSSL finds the format of a file by trial. */
function attempt<T>(file: string, what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new FileError(`${file} holds no ${what}, in PEM or DER`, { cause });
  }
}

type Options = Readonly<Record<string, unknown>>;

/** Options that name the source of a PIN or PUK. */
const PIN_SOURCES = [
  "pinSource",
  "newPinSource",
  "pukSource",
  "newPukSource",
  "soPinSource",
  "newSoPinSource",
] as const;
/** Options that name an input file. */
const INPUTS = ["signature", "key", "peer"] as const;

/**
 * Refuses a command line whose --record or --output would overwrite an input file, also under another name (symbolic or
 * hard link).
 * @throws {UsageError} before anything is opened.
 */
export function refuseOverwriting(options: object, args: readonly unknown[]): void {
  const given = options as Options;
  const { record, output } = given;
  const cards = texts(given["virtual"], given["file"]).filter((name) => !isNewCard(name));
  const pins = pinFiles(given, args);
  refuse("--output", output, [...cards, ...pins]);
  refuse("--record", record, [...cards, ...pins, ...texts(output, ...INPUTS.map((name) => given[name]), ...args)]);
}

/** @throws {UsageError} if `written` is one of the files at `used`. */
function refuse(option: string, written: unknown, used: readonly string[]): void {
  if (typeof written !== "string") return;
  const target = identity(written);
  const same = used.find((path) => path === written || (target !== undefined && identity(path) === target));
  // "-" is standard input or output.
  if (same === undefined || same === "-") return;
  throw new UsageError(`${option} ${written} would overwrite ${same}, which this command reads; name another file`);
}

/** Identifies a regular file (device and inode), whatever its name; undefined for anything else. */
function identity(path: string): string | undefined {
  let stats: BigIntStats | undefined;
  try {
    stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // The command reports the reason when it opens the file.
  }
  return stats?.isFile() ? `${stats.dev}:${stats.ino}` : undefined;
}

function pinFiles(options: Options, args: readonly unknown[]): string[] {
  const sources = texts(...PIN_SOURCES.map((name) => options[name]));
  const uris = texts(options["token"], ...args).filter(isUri);
  return [...sources, ...uris.flatMap(sourceIn)].flatMap((source) => {
    const parsed = orNothing(() => parsePinSource(source));
    return parsed?.from === "file" ? [parsed.path] : [];
  });
}

function sourceIn(uri: string): string[] {
  const source = orNothing(() => parseUri(uri))?.pinSource;
  return source === undefined ? [] : [source];
}

/** A malformed URI or PIN source is reported later, when the command uses it. */
function orNothing<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DataError || error instanceof UsageError) return undefined;
    throw error;
  }
}

const texts = (...values: readonly unknown[]): string[] =>
  values
    .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
    .filter((value) => typeof value === "string");
