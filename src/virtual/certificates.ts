import { createPublicKey, type KeyObject, randomBytes, webcrypto } from "node:crypto";
import { deflateSync, gzipSync } from "node:zlib";
import type * as x509 from "@peculiar/x509";
import type { Extension, JsonName } from "@peculiar/x509";
import { concat } from "../bytes/index.ts";

/** The issuer of certificates. */
export interface Authority {
  /** RSA, or EC on a NIST curve. */
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
  /** Makes the extensions with the classes of the library. */
  readonly extensions: (library: X509) => readonly Extension[];
}

export type X509 = typeof x509;

/** Loads the library when the first certificate is made, because loading it takes long. */
async function loadX509(): Promise<X509> {
  // @peculiar/x509 finds its parts by decorators, and needs this first.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** An X.509 v3 certificate with a random serial number, signed with SHA-256, DER (RFC 5280). */
export async function signCertificate(contents: CertificateContents): Promise<Uint8Array> {
  const library = await loadX509();
  const { privateKey, issuer, name, notBefore, notAfter } = contents;
  const serial = randomBytes(16);
  // Positive, and always of 16 bytes.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const certificate = await library.X509CertificateGenerator.create({
    serialNumber: serial.toString("hex"),
    subject: distinguishedName(name),
    issuer: distinguishedName(issuer.name),
    notBefore,
    notAfter,
    publicKey: createPublicKey(privateKey).export({ format: "der", type: "spki" }),
    signingKey: await signingKey(issuer.privateKey),
    signingAlgorithm: { name: "", hash: "SHA-256" },
    extensions: [...contents.extensions(library)],
  });
  return new Uint8Array(certificate.rawData);
}

/** OpenSSL's names of the curves, and those of WebCrypto. */
const CURVES: ReadonlyMap<string | undefined, string> = new Map([
  ["prime256v1", "P-256"],
  ["secp384r1", "P-384"],
  ["secp521r1", "P-521"],
]);

function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const namedCurve = CURVES.get(key.asymmetricKeyDetails?.namedCurve);
  const algorithm =
    namedCurve === undefined ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } : { name: "ECDSA", namedCurve };
  return webcrypto.subtle.importKey("pkcs8", key.export({ format: "der", type: "pkcs8" }), algorithm, false, ["sign"]);
}

/** The subject and issuer name of a common name. */
function distinguishedName(commonName: string): JsonName {
  return [{ C: ["ZZ"] }, { O: ["Test Cards"] }, { CN: [commonName] }];
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
