import type * as asn1js from "asn1js";
import type * as pkijs from "pkijs";
import { FormatError, parsing } from "./error.ts";

/** The libraries of CMS and X.509. */
export interface Pki {
  readonly pkijs: typeof pkijs;
  readonly asn1js: typeof asn1js;
  /** The host's cryptography, for pkijs. */
  readonly engine: pkijs.ICryptoEngine;
}

/** Loaded when it is used: it is large. */
export async function loadPki(): Promise<Pki> {
  const [library, asn1] = await Promise.all([import("pkijs"), import("asn1js")]);
  const { crypto } = globalThis;
  return { pkijs: library, asn1js: asn1, engine: new library.CryptoEngine({ name: "host", crypto }) };
}

/** Object identifiers of CMS (RFC 5652, RFC 5035, RFC 3161) and of its algorithms. */
export const OID = {
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  envelopedData: "1.2.840.113549.1.7.3",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingTime: "1.2.840.113549.1.9.5",
  signingCertificateV2: "1.2.840.113549.1.9.16.2.47",
  timeStampToken: "1.2.840.113549.1.9.16.2.14",
  timeStampInfo: "1.2.840.113549.1.9.16.1.4",
  rsaEncryption: "1.2.840.113549.1.1.1",
} as const;

/** Hashes of signatures, with their object identifiers, alone and with ECDSA. */
export const HASHES = {
  "SHA-256": { name: "sha256", oid: "2.16.840.1.101.3.4.2.1", ecdsa: "1.2.840.10045.4.3.2" },
  "SHA-384": { name: "sha384", oid: "2.16.840.1.101.3.4.2.2", ecdsa: "1.2.840.10045.4.3.3" },
  "SHA-512": { name: "sha512", oid: "2.16.840.1.101.3.4.2.3", ecdsa: "1.2.840.10045.4.3.4" },
} as const;

export type CmsHash = keyof typeof HASHES;

/** A copy in a buffer of its own, as asn1js takes it. */
export const buffer = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;

export function octets({ asn1js }: Pki, bytes: Uint8Array): asn1js.OctetString {
  return new asn1js.OctetString({ valueHex: buffer(bytes) });
}

/** A ContentInfo, DER or BER, of this type. @throws {FormatError} MALFORMED. */
export function readContentInfo({ pkijs }: Pki, message: Uint8Array, type: string, what: string): pkijs.ContentInfo {
  const info = parsing(what, () => pkijs.ContentInfo.fromBER(buffer(message)));
  if (info.contentType !== type) throw new FormatError("MALFORMED", `${what} has another content: ${info.contentType}`);
  return info;
}
