import { gzipSync, deflateSync } from "node:zlib";
import { concat } from "../bytes/index.ts";

/** Ways in which cards keep certificates otherwise than as DER alone, for the table of each kind of card. */
export const CERTIFICATE_DEVIATIONS = {
  "gzip-certificates": "certificates are compressed with gzip",
  "zlib-certificates":
    "certificates are compressed with zlib behind 01 00 and their length, as IDPrime and Net iD keep them",
  "padded-certificates": "64 zeros follow each certificate",
} as const satisfies Readonly<Record<string, string>>;

export type CertificateDeviation = keyof typeof CERTIFICATE_DEVIATIONS;

const PADDING = 64;

/** What the card keeps in place of a certificate. */
export function deviatingCertificate(der: Uint8Array, has: (deviation: CertificateDeviation) => boolean): Uint8Array {
  if (has("gzip-certificates")) return Uint8Array.from(gzipSync(der));
  if (has("zlib-certificates")) {
    return concat(Uint8Array.of(0x01, 0x00, der.length & 0xff, der.length >> 8), deflateSync(der));
  }
  return has("padded-certificates") ? concat(der, new Uint8Array(PADDING)) : der;
}
