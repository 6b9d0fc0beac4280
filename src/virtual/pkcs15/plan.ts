import type { KeyObject } from "node:crypto";
import { encodeTlv } from "../../apdu/index.ts";
import { fromHex, utf8 } from "../../bytes/index.ts";
import { type Authority, extension, oid, sequence, signCertificate } from "../certificates.ts";
import { PIN, USAGE } from "./entry.ts";

/** The purpose of a certificate. */
type CertificatePurpose = "authentication" | "signature" | "authority";

/** KeyUsage: digitalSignature and keyEncipherment or keyAgreement; nonRepudiation; keyCertSign and cRLSign. */
const KEY_USAGE: Readonly<Record<CertificatePurpose, string>> = {
  authentication: "030203a8",
  signature: "03020640",
  authority: "03020106",
};
const YEARS = 5;

/**
 * A certificate like those of identity cards.
 * @param policyText Bytes of additional text, to make it longer than a single read.
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

/** Certificate policies: one, with a user notice of this many letters (RFC 5280 section 4.2.1.4). */
function policies(letters: number): Uint8Array {
  const notice = sequence(encodeTlv(0x0c, utf8("This certificate is for tests. ".repeat(letters).slice(0, letters))));
  const qualifier = sequence(oid("2b06010505070202"), notice);
  return sequence(sequence(oid("551d2000"), sequence(qualifier)));
}

/** The keys of the card. */
export type Pkcs15KeyName = "authentication-rsa" | "authentication-ec" | "signature-rsa" | "signature-ec";

/** A key that every card has. */
export interface KeyPlan {
  readonly name: Pkcs15KeyName;
  readonly label: string;
  readonly kind: "rsa-2048" | "rsa-3072" | "p-256" | "p-384";
  /** Reference of the PIN that protects it. */
  readonly pin: number;
  readonly usage: readonly number[];
  readonly publicUsage: readonly number[];
  readonly purpose: CertificatePurpose;
  /** Whether every use needs a new verification of the PIN. */
  readonly consent: boolean;
}

/** A key to put on the card. */
export interface PlannedKey {
  readonly plan: KeyPlan;
  readonly privateKey: KeyObject;
  /** Generated for this card, and never anywhere else. */
  readonly made: boolean;
}

const { DECIPHER, DERIVE, ENCIPHER, NON_REPUDIATION, SIGN, VERIFY } = USAGE;

/** In the order of their identifiers, 1 to 4. */
export const KEY_PLANS: readonly KeyPlan[] = [
  {
    name: "authentication-rsa",
    label: "Authentication RSA",
    kind: "rsa-2048",
    pin: PIN.AUTHENTICATION,
    usage: [DECIPHER, SIGN],
    publicUsage: [ENCIPHER, VERIFY],
    purpose: "authentication",
    consent: false,
  },
  {
    name: "authentication-ec",
    label: "Authentication EC",
    kind: "p-256",
    pin: PIN.AUTHENTICATION,
    usage: [SIGN, DERIVE],
    publicUsage: [VERIFY, DERIVE],
    purpose: "authentication",
    consent: false,
  },
  {
    name: "signature-rsa",
    label: "Signature RSA",
    kind: "rsa-3072",
    pin: PIN.SIGNATURE,
    usage: [DECIPHER, SIGN, NON_REPUDIATION],
    publicUsage: [ENCIPHER, VERIFY],
    purpose: "signature",
    consent: false,
  },
  {
    name: "signature-ec",
    label: "Signature EC",
    kind: "p-384",
    pin: PIN.SIGNATURE,
    usage: [SIGN, NON_REPUDIATION],
    publicUsage: [VERIFY],
    purpose: "signature",
    consent: true,
  },
];
