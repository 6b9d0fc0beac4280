import { X509Certificate } from "node:crypto";
import { type Certificate, DerReader, nameText, parseCertificate } from "../../asn1/index.ts";
import { DataError, toHex, tryParse } from "../../bytes/index.ts";
import { digest, keyName, publicKeyName } from "../../crypto/index.ts";
import { CKA, CKK, CKM, CKO, CryptokiError } from "../../cryptoki/index.ts";
import type { AnySession, ObjectEntry } from "../session.ts";
import { NotFoundError } from "./failures.ts";

/** A certificate for people, and as `--json` prints it. */
export interface CertificateSummary {
  /** Empty if the certificate's subject is empty. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal; a negative one begins with "-". */
  readonly serialNumber: string;
  /** ISO 8601; the certificate's own text if it is not a valid time. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** The name of its algorithm, whether or not this driver supports it. */
  readonly key: string;
  readonly keyUsage: readonly string[];
  readonly subjectAltName?: string;
  readonly sha256: string;
}

/** The text for a part that does not parse. */
const UNREADABLE = "unreadable";

/**
 * The parts of a certificate for display; a part that cannot be read does not hide the others.
 * @throws {DataError} if `der` does not have the outer form of a certificate.
 */
export function summarise(der: Uint8Array): CertificateSummary {
  const certificate = parseCertificate(der);
  const subjectAltName = alternativeNames(der);
  return {
    subject: tryParse(() => nameText(certificate.subject)) ?? UNREADABLE,
    issuer: tryParse(() => nameText(certificate.issuer)) ?? UNREADABLE,
    serialNumber: serialNumber(certificate),
    ...validity(certificate),
    key: tryParse(() => publicKeyName(certificate.subjectPublicKeyInfo)) ?? UNREADABLE,
    keyUsage: tryParse(() => usages(certificate)) ?? [],
    ...(subjectAltName !== undefined && { subjectAltName }),
    sha256: toHex(digest("sha256", der)),
  };
}

function validity(certificate: Certificate): Pick<CertificateSummary, "notBefore" | "notAfter"> {
  const written = tryParse(() => certificate.writtenValidity) ?? { notBefore: UNREADABLE, notAfter: UNREADABLE };
  const shown = (name: "notBefore" | "notAfter"): string =>
    tryParse(() => certificate[name].toISOString()) ?? written[name];
  return { notBefore: shown("notBefore"), notAfter: shown("notAfter") };
}

/** The date of an ISO 8601 time; any other text unchanged. */
export const dayOf = (time: string): string => time.replace(/^(\d{4}-\d\d-\d\d)T.*Z$/u, "$1");

/** A certificate's subject in a line. @throws {DataError} if it does not parse. */
function subjectOf(certificate: Certificate): string {
  return shownName(nameText(certificate.subject));
}

/** A name for display; an empty one is shown as such. */
export const shownName = (name: string): string => (name === "" ? "(empty)" : name);

/** As OpenSSL shows it: the magnitude in whole bytes. */
function serialNumber({ serialNumber: encoding }: Certificate): string {
  const { contents } = new DerReader(encoding, "serial number").next();
  const unsigned = BigInt(`0x${toHex(contents)}`);
  const number = BigInt.asIntN(8 * contents.length, unsigned);
  const digits = (number < 0n ? -number : number).toString(16);
  return `${number < 0n ? "-" : ""}${digits.length % 2 === 0 ? "" : "0"}${digits}`;
}

/** As OpenSSL writes them; undefined if there are none, or OpenSSL does not accept the certificate. */
function alternativeNames(der: Uint8Array): string | undefined {
  try {
    return new X509Certificate(der).subjectAltName;
  } catch {
    return undefined;
  }
}

function usages(certificate: Certificate): string[] {
  const usage = certificate.keyUsage;
  return usage ? Object.entries(usage).flatMap(([name, set]) => (set ? [name] : [])) : [];
}

/** The types of objects, as tables name them. */
export const TYPE_WORDS: ReadonlyMap<number, string> = new Map([
  [CKO.CERTIFICATE, "certificate"],
  [CKO.PUBLIC_KEY, "public key"],
  [CKO.PRIVATE_KEY, "private key"],
  [CKO.SECRET_KEY, "secret key"],
  [CKO.DATA, "data"],
  [CKO.PROFILE, "profile"],
]);

/** Further details of an object. */
export interface ObjectDetails {
  /** Of keys and certificates: "RSA-2048", "P-256". */
  readonly key?: string;
  /** A certificate's subject; what a key may be used for. */
  readonly about?: string;
  /** The end of a certificate's validity, as {@link CertificateSummary} has it. */
  readonly notAfter?: string;
  /** Whether a private key needs the PIN for each use. */
  readonly alwaysAuthenticate?: boolean;
  /** Why the object, which is on the card, cannot be read. */
  readonly unreadable?: true;
}

/**
 * Reads an object's details. If they cannot be read, the result says so.
 * @param readsCertificates Whether certificates are read, which takes exchanges with most cards. Without them the curve of an EC key is left
 *   out.
 */
export async function describeObject(
  session: AnySession,
  object: ObjectEntry,
  readsCertificates = true,
): Promise<ObjectDetails> {
  try {
    switch (object.class) {
      case CKO.CERTIFICATE:
        return !readsCertificates ? {} : certificateDetails(await session.value(object.handle));
      case CKO.PUBLIC_KEY:
        return {
          ...(await keyDetails(session, object, readsCertificates)),
          about: await uses(session, object, PUBLIC_USES),
        };
      case CKO.PRIVATE_KEY:
        return await privateKeyDetails(session, object, readsCertificates);
      default:
        return {};
    }
  } catch (error) {
    if (error instanceof DataError || error instanceof CryptokiError)
      return { about: `unreadable: ${error.message}`, unreadable: true };
    throw error;
  }
}

function certificateDetails(der: Uint8Array): ObjectDetails {
  const certificate = parseCertificate(der);
  const { notAfter } = validity(certificate);
  return { key: publicKeyName(certificate.subjectPublicKeyInfo), about: subjectOf(certificate), notAfter };
}

/** The name of a key's algorithm, whether or not this driver supports it; undefined if the token does not give it. */
async function keyDetails(
  session: AnySession,
  object: ObjectEntry,
  readsCertificates: boolean,
): Promise<Pick<ObjectDetails, "key">> {
  const told = await toldName(session, object, readsCertificates);
  if (told !== undefined) return { key: told };
  const info = await session.publicKeyInfo(object.handle);
  if (info) return { key: publicKeyName(info) };
  try {
    return { key: keyName(await session.publicKey(object)) };
  } catch (error) {
    if (error instanceof NotFoundError) return {};
    throw error;
  }
}

/** The name of a key's algorithm from what the token tells without its numbers; undefined if that is not enough. */
async function toldName(
  session: AnySession,
  object: ObjectEntry,
  readsCertificates: boolean,
): Promise<string | undefined> {
  const { type, allowed } = await session.keyKind(object.handle);
  // Few directories tell the curve.
  if (type === CKK.EC) return readsCertificates ? undefined : "EC";
  // A key that signs by PSS alone has another name.
  if (type !== CKK.RSA || !allowed.includes(CKM.RSA_PKCS)) return undefined;
  const bits = await session.modulusBits(object);
  return bits === undefined ? undefined : `RSA-${bits}`;
}

async function privateKeyDetails(
  session: AnySession,
  object: ObjectEntry,
  readsCertificates: boolean,
): Promise<ObjectDetails> {
  const alwaysAuthenticate = await session.flag(object.handle, CKA.ALWAYS_AUTHENTICATE);
  const can = await uses(session, object, PRIVATE_USES);
  return {
    ...(await keyDetails(session, object, readsCertificates)),
    about: alwaysAuthenticate ? `${can}; PIN for each use` : can,
    alwaysAuthenticate,
  };
}

const PUBLIC_USES = [
  ["verify", CKA.VERIFY],
  ["encrypt", CKA.ENCRYPT],
] as const;
const PRIVATE_USES = [
  ["sign", CKA.SIGN],
  ["decrypt", CKA.DECRYPT],
  ["derive", CKA.DERIVE],
] as const;

async function uses(
  session: AnySession,
  object: ObjectEntry,
  table: readonly (readonly [word: string, attribute: CKA])[],
): Promise<string> {
  const found: string[] = [];
  for (const [word, attribute] of table) if (await session.flag(object.handle, attribute)) found.push(word);
  return found.join(", ");
}
