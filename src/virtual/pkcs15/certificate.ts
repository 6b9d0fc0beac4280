import type { KeyObject } from "node:crypto";
import { encodeTlv } from "../../apdu/index.ts";
import { fromHex, utf8 } from "../../bytes/index.ts";
import { type Authority, extension, oid, sequence, signCertificate } from "../x509.ts";

/** What a certificate is for. */
export type CertificatePurpose = "authentication" | "signature" | "authority";

/** KeyUsage: digitalSignature and keyEncipherment or keyAgreement; nonRepudiation; keyCertSign and cRLSign. */
const KEY_USAGE: Readonly<Record<CertificatePurpose, string>> = {
  authentication: "030203a8",
  signature: "03020640",
  authority: "03020106",
};
const YEARS = 5;

/**
 * A certificate as identity cards have them.
 * @param policyText Bytes of text that the certificate carries on top, for one that no single read brings.
 */
export function issueCertificate(
  purpose: CertificatePurpose,
  subject: { readonly privateKey: KeyObject; readonly name: string },
  issuer: Authority,
  policyText = 0,
): Uint8Array {
  const notBefore = new Date();
  const notAfter = new Date(notBefore);
  notAfter.setUTCFullYear(notBefore.getUTCFullYear() + YEARS);
  const constraints = purpose === "authority" ? sequence(Uint8Array.of(0x01, 0x01, 0xff)) : sequence();
  return signCertificate({
    ...subject,
    issuer,
    notBefore,
    notAfter,
    extensions: [
      extension("551d13", constraints, true),
      extension("551d0f", fromHex(KEY_USAGE[purpose]), true),
      ...(policyText > 0 ? [extension("551d20", policies(policyText))] : []),
    ],
  });
}

/** Certificate policies: one, with a user notice of so many letters (RFC 5280 section 4.2.1.4). */
function policies(letters: number): Uint8Array {
  const notice = sequence(encodeTlv(0x0c, utf8("This certificate is for tests. ".repeat(letters).slice(0, letters))));
  const qualifier = sequence(oid("2b06010505070202"), notice);
  return sequence(sequence(oid("551d2000"), sequence(qualifier)));
}
