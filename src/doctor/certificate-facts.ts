import { type DerElement, DerReader, TAG } from "../asn1/index.ts";
import { DataError, fromUtf8 } from "../bytes/index.ts";
import type { X509Certificate } from "@peculiar/x509";
import type { Libraries } from "./libraries.ts";
import { uuidOfUrn } from "./uuid.ts";

/** What an examination needs to know of a certificate. */
export interface CertificateFacts {
  readonly der: Uint8Array;
  readonly x509: X509Certificate;
  /** The serial number's bytes as they are written, two's complement. */
  readonly serial: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyInfo: Uint8Array;
  /** Object identifier of the key's algorithm, and whether an EC key writes out its curve instead of naming it. */
  readonly keyAlgorithm: string;
  readonly explicitCurve: boolean;
  /** pivFASC-N of the subject alternative name, 25 bytes. */
  readonly fascn: Uint8Array | undefined;
  /** The card UUID of the subject alternative name, 16 bytes. */
  readonly uuid: Uint8Array | undefined;
  /** Bits of the key usage extension; undefined without it. */
  readonly keyUsage: number | undefined;
  /** Object identifiers of the extended key usage; empty without it. */
  readonly purposes: readonly string[];
}

const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const PIV_FASCN = "2.16.840.1.101.3.6.6";
const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
const OTHER_NAME = 0xa0;
const URI = 0x86;

/** @throws {DataError} if it is no X.509 certificate that can be read. */
export function readFacts({ x509 }: Libraries, der: Uint8Array): CertificateFacts {
  let certificate: X509Certificate;
  try {
    certificate = new x509.X509Certificate(Uint8Array.from(der));
    return {
      der,
      x509: certificate,
      ...readOuterForm(der),
      ...readNames(certificate),
      keyUsage: certificate.getExtension(x509.KeyUsagesExtension)?.usages,
      purposes: certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages.map(String) ?? [],
    };
  } catch (cause) {
    throw new DataError("not an X.509 certificate that can be read", { cause });
  }
}

/** Serial number and key, read by their place (RFC 5280 section 4.1): what a library might refuse is shown here. */
function readOuterForm(
  der: Uint8Array,
): Pick<CertificateFacts, "serial" | "publicKeyInfo" | "keyAlgorithm" | "explicitCurve"> {
  const tbs = new DerReader(der, "certificate").enter().enter();
  tbs.optional(0xa0);
  const serial = tbs.next(TAG.INTEGER).contents;
  // Signature algorithm, issuer, validity, subject.
  for (let field = 0; field < 4; field++) tbs.next(TAG.SEQUENCE);
  const { encoding: publicKeyInfo } = tbs.next(TAG.SEQUENCE);
  const algorithm = new DerReader(publicKeyInfo, "public key").enter().enter();
  const keyAlgorithm = algorithm.oid();
  const explicitCurve = keyAlgorithm === EC_PUBLIC_KEY && algorithm.peek() === TAG.SEQUENCE;
  return { serial, publicKeyInfo, keyAlgorithm, explicitCurve };
}

function readNames(certificate: X509Certificate): Pick<CertificateFacts, "fascn" | "uuid"> {
  const extension = certificate.extensions.find(({ type }) => type === SUBJECT_ALTERNATIVE_NAME);
  if (!extension) return { fascn: undefined, uuid: undefined };
  const names: DerElement[] = [];
  const reader = new DerReader(new Uint8Array(extension.value), "subject alternative name").enter();
  while (reader.remaining > 0) names.push(reader.next());
  const uris = names.filter(({ tag }) => tag === URI).map(({ contents }) => fromUtf8(contents));
  return {
    fascn: names.map(fascnOf).find((found) => found !== undefined),
    uuid: uris.map(uuidOfUrn).find((found) => found !== undefined),
  };
}

/** OtherName ::= type-id, [0] value (RFC 5280 section 4.2.1.6); of pivFASC-N the value is an OCTET STRING. */
function fascnOf({ tag, contents }: DerElement): Uint8Array | undefined {
  if (tag !== OTHER_NAME) return undefined;
  const reader = new DerReader(contents, "other name");
  if (reader.oid() !== PIV_FASCN) return undefined;
  return reader.enter(0xa0).octetString();
}
