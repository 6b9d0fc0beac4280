import type { KeyObject } from "node:crypto";
import type { KeyUsageFlags } from "@peculiar/x509";
import { derOid, derSequence, encodeDer, TAG } from "../../asn1/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { type Authority, signCertificate, type X509 } from "../certificates.ts";
import { PIN, USAGE } from "./entry.ts";

/** The purpose of a certificate. */
type CertificatePurpose = "authentication" | "signature" | "authority";

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
): Promise<Uint8Array> {
  const notBefore = new Date();
  const notAfter = new Date(notBefore);
  notAfter.setUTCFullYear(notBefore.getUTCFullYear() + YEARS);
  return signCertificate({
    ...subject,
    issuer,
    notBefore,
    notAfter,
    extensions: ({ BasicConstraintsExtension, Extension, KeyUsageFlags, KeyUsagesExtension }) => [
      new BasicConstraintsExtension(purpose === "authority", undefined, true),
      new KeyUsagesExtension(keyUsage(KeyUsageFlags, purpose), true),
      ...(policyText > 0 ? [new Extension(CERTIFICATE_POLICIES, false, policies(policyText))] : []),
    ],
  });
}

function keyUsage(flags: X509["KeyUsageFlags"], purpose: CertificatePurpose): KeyUsageFlags {
  switch (purpose) {
    case "authentication":
      return flags.digitalSignature | flags.keyEncipherment | flags.keyAgreement;
    case "signature":
      return flags.nonRepudiation;
    case "authority":
      return flags.keyCertSign | flags.cRLSign;
  }
}

const CERTIFICATE_POLICIES = "2.5.29.32";
const ANY_POLICY = "2.5.29.32.0";
const USER_NOTICE = "1.3.6.1.5.5.7.2.2";

/** Certificate policies: one, with a user notice of this many letters (RFC 5280 section 4.2.1.4). */
function policies(letters: number): Uint8Array {
  const text = utf8("This certificate is for tests. ".repeat(letters).slice(0, letters));
  const qualifier = derSequence(derOid(USER_NOTICE), derSequence(encodeDer(TAG.UTF8_STRING, text)));
  return derSequence(derSequence(derOid(ANY_POLICY), derSequence(qualifier)));
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
