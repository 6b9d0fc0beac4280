import { createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { deflateSync, gzipSync } from "node:zlib";
import { encodeTlv } from "../apdu/index.ts";
import { concat, fromHex, utf8 } from "../bytes/index.ts";

/** The issuer of certificates. */
export interface Authority {
  readonly privateKey: KeyObject;
  readonly name: string;
}

export interface CertificateContents {
  /** Of the subject; the certificate contains its public half. */
  readonly privateKey: KeyObject;
  /** Common name. */
  readonly name: string;
  readonly issuer: Authority;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Each made by {@link extension}. */
  readonly extensions: readonly Uint8Array[];
}

const ECDSA_SHA256 = sequence(oid("2a8648ce3d040302"));
const RSA_SHA256 = sequence(oid("2a864886f70d01010b"), encodeTlv(0x05));

/** An X.509 v3 certificate with a random serial number, DER (RFC 5280). */
export function signCertificate(contents: CertificateContents): Uint8Array {
  const { privateKey, issuer, name, notBefore, notAfter } = contents;
  const algorithm = issuer.privateKey.asymmetricKeyType === "rsa" ? RSA_SHA256 : ECDSA_SHA256;
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const tbs = sequence(
    encodeTlv(0xa0, encodeTlv(0x02, Uint8Array.of(2))),
    encodeTlv(0x02, serial),
    algorithm,
    distinguishedName(issuer.name),
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(name),
    createPublicKey(privateKey).export({ format: "der", type: "spki" }),
    encodeTlv(0xa3, sequence(...contents.extensions)),
  );
  return sequence(tbs, algorithm, bitString(sign("sha256", tbs, issuer.privateKey)));
}

/** @param id Content of the object identifier, in hexadecimal. */
export function extension(id: string, value: Uint8Array, critical = false): Uint8Array {
  return sequence(oid(id), critical ? Uint8Array.of(0x01, 0x01, 0xff) : new Uint8Array(), encodeTlv(0x04, value));
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return encodeTlv(0x30, ...parts);
}

/** An object identifier, given as its encoded content. */
export function oid(content: string): Uint8Array {
  return encodeTlv(0x06, fromHex(content));
}

/** GeneralName: uniformResourceIdentifier. */
export function uri(text: string): Uint8Array {
  return encodeTlv(0x86, utf8(text));
}

/** The subject and issuer name of a common name, DER. */
function distinguishedName(commonName: string): Uint8Array {
  const attribute = (type: string, tag: number, text: string): Uint8Array =>
    encodeTlv(0x31, sequence(oid(type), encodeTlv(tag, utf8(text))));
  return sequence(
    attribute("550406", 0x13, "ZZ"),
    attribute("55040a", 0x0c, "Test Cards"),
    attribute("550403", 0x0c, commonName),
  );
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
function time(date: Date): Uint8Array {
  const digits = `${date.toISOString().slice(0, 19).replace(/\D/gu, "")}Z`;
  return date.getUTCFullYear() < 2050 ? encodeTlv(0x17, utf8(digits.slice(2))) : encodeTlv(0x18, utf8(digits));
}

function bitString(bytes: Uint8Array): Uint8Array {
  return encodeTlv(0x03, concat(Uint8Array.of(0), bytes));
}

/** Ways in which cards store certificates in other forms than plain DER, for the table of each kind of card. */
export const CERTIFICATE_DEVIATIONS = {
  "gzip-certificates": "certificates are compressed with gzip",
  "zlib-certificates":
    "certificates are compressed with zlib behind 01 00 and their length, as IDPrime and Net iD keep them",
  "padded-certificates": "64 zeros follow each certificate",
} as const satisfies Readonly<Record<string, string>>;

export type CertificateDeviation = keyof typeof CERTIFICATE_DEVIATIONS;

const PADDING = 64;

/** The bytes that the card stores for a certificate. */
export function deviatingCertificate(der: Uint8Array, has: (deviation: CertificateDeviation) => boolean): Uint8Array {
  if (has("gzip-certificates")) return Uint8Array.from(gzipSync(der));
  if (has("zlib-certificates")) {
    return concat(Uint8Array.of(0x01, 0x00, der.length & 0xff, der.length >> 8), deflateSync(der));
  }
  return has("padded-certificates") ? concat(der, new Uint8Array(PADDING)) : der;
}
