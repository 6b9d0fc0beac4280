import type { KeyObject } from "node:crypto";
import type { CertificatePurpose } from "./certificate.ts";
import { USAGE } from "./entry.ts";
import { PIN } from "./layout.ts";

/** The keys of the card. */
export type Pkcs15KeyName = "authentication-rsa" | "authentication-ec" | "signature-rsa" | "signature-ec";

/** A key of every card. */
export interface KeyPlan {
  readonly name: Pkcs15KeyName;
  readonly label: string;
  readonly kind: "rsa-2048" | "rsa-3072" | "p-256" | "p-384";
  /** Reference of the PIN that guards it. */
  readonly pin: number;
  readonly usage: readonly number[];
  readonly publicUsage: readonly number[];
  readonly purpose: CertificatePurpose;
  /** Every use wants the PIN anew. */
  readonly consent: boolean;
}

/** A key as it comes to the card. */
export interface PlannedKey {
  readonly plan: KeyPlan;
  readonly privateKey: KeyObject;
  /** Made for this card, and never anywhere else. */
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
