import {
  ISO7816_DEVIATIONS,
  type Iso7816Deviation,
  PIV_DEVIATIONS,
  type PivDeviation,
} from "../../src/virtual/index.ts";
import {
  type Iso7816Kind,
  iso7816Subject,
  type Kind,
  type PivKind,
  pivSubject,
  type Subject,
  type SubjectKey,
  type Use,
} from "./subjects.ts";

/**
 * What is done with a card: each private key of a family for each use, and a key pair made. What a card deciphers, padding and all,
 * gives no block that could be checked.
 */
export type Step = "sign RSA" | "sign EC" | "decrypt" | "decipher" | "derive" | "generate";

/** What is right for a card with a deviation. What is left out is as with any card. */
interface Outcome {
  /** Steps that the card fails: CKR_DEVICE_ERROR. */
  readonly fails?: readonly Step[];
  /** Private keys that are listed, by CKA_ID; default: all. */
  readonly listed?: readonly string[];
  /** Keys that the card does not have: CKA_ID. */
  readonly absent?: readonly string[];
  /** Certificates that are listed, by CKA_ID. */
  readonly certificates?: readonly string[];
  /** The first use of each key after a reset is CKR_FUNCTION_REJECTED, and the next one succeeds. */
  readonly isTouchMissed?: true;
  /** Tries of the PIN; null where the card does not tell. */
  readonly tries?: number | null;
  /** Each key wants its PIN before each use, and the card does not tell: key agreement is CKR_FUNCTION_REJECTED. */
  readonly wantsPinUnsaid?: true;
  /** What is right for one kind of card in place of all this. */
  readonly only?: Readonly<Partial<Record<Kind, Outcome>>>;
  /** What is said of the last wrong PIN, and of the tries then; default: CKR_PIN_LOCKED and 0. */
  readonly blocked?: { readonly name: string; readonly tries: number | null };
  /** Serial number of the token. */
  readonly serialNumber?: RegExp;
}

type Row<Kinds extends Kind> = readonly [kinds: readonly Kinds[], outcome?: Outcome];

const RSA: readonly Step[] = ["sign RSA", "decrypt"];

const PIV: Readonly<Record<PivDeviation | "none", Row<PivKind>>> = {
  none: [["PIV", "YubiKey"]],
  "short-rsa-answers": [["PIV"]],
  "cut-rsa-answers": [["PIV", "YubiKey"], { fails: RSA }],
  "long-rsa-answers": [["PIV"], { fails: RSA }],
  "empty-rsa-answers": [["PIV"], { fails: RSA }],
  "faulty-rsa-answers": [["PIV", "YubiKey"], { fails: RSA }],
  "long-ecdsa-integers": [["PIV"]],
  "unsigned-ecdsa-integers": [["PIV"]],
  "short-ecdh-answers": [["PIV"]],
  "point-ecdh-answers": [["PIV"]],
  "prefixed-ecdh-answers": [["PIV"]],
  "cut-ecdh-answers": [["PIV"], { fails: ["derive"] }],
  "gzip-certificates": [["PIV", "YubiKey"]],
  "zlib-certificates": [["PIV"]],
  "padded-certificates": [["PIV"]],
  "no-certificates": [["YubiKey"], { certificates: [] }],
  "certificate-without-key": [["YubiKey"], { listed: ["02", "03", "05"], absent: ["01"] }],
  "no-key-history": [["PIV"], { listed: ["01", "02", "03"], certificates: ["01", "02", "03"] }],
  "no-metadata": [["YubiKey"]],
  "no-device-serial": [["YubiKey"]],
  "missed-touch": [["YubiKey"], { isTouchMissed: true }],
  "neo-status-words": [["PIV"], { blocked: { name: "CKR_PIN_INCORRECT", tries: null } }],
  "refused-empty-verify": [["PIV"], { tries: null }],
  "never-verified-empty-verify": [["PIV"]],
  "five-pin-tries": [["PIV", "YubiKey"], { tries: 5 }],
  "no-discovery-object": [["PIV", "YubiKey"]],
  "no-chuid": [["PIV", "YubiKey"], {}],
  "pin-for-each-use": [["PIV", "YubiKey"], { only: { PIV: { wantsPinUnsaid: true } } }],
  "refused-key-use": [["PIV"], { fails: ["sign RSA", "sign EC", "decrypt", "derive"] }],
  "failing-management-key": [["PIV"], { fails: ["generate"] }],
};

const ALL: readonly Iso7816Kind[] = ["MyEID", "IsoApplet 0.6", "IsoApplet 1.0"];
const MAKES: readonly Iso7816Kind[] = ["MyEID", "IsoApplet 1.0"];

const ISO7816: Readonly<Record<Iso7816Deviation | "none", Row<Iso7816Kind>>> = {
  none: [ALL],
  "short-rsa-answers": [MAKES],
  "cut-rsa-answers": [MAKES, { fails: RSA }],
  "long-rsa-answers": [MAKES, { fails: RSA }],
  "empty-rsa-answers": [MAKES, { fails: RSA }],
  "faulty-rsa-answers": [MAKES, { fails: RSA }],
  "long-ecdsa-integers": [MAKES],
  "unsigned-ecdsa-integers": [MAKES],
  "short-ecdh-answers": [["MyEID"]],
  "point-ecdh-answers": [["MyEID"]],
  "prefixed-ecdh-answers": [["MyEID"]],
  "cut-ecdh-answers": [["MyEID"], { fails: ["derive"] }],
  "gzip-certificates": [MAKES],
  "zlib-certificates": [MAKES],
  "padded-certificates": [MAKES],
  "empty-end-of-file": [ALL],
  "logout-refused": [["MyEID"]],
  "no-chaining": [["MyEID"]],
  "no-get-response": [["MyEID"]],
  "pin-status-refused": [ALL, { tries: null }],
  "five-pin-tries": [MAKES, { tries: 5 }],
  "long-serial-number": [["MyEID"], { serialNumber: /^[0-9A-F]{16}$/u }],
  "puk-not-listed": [["MyEID"]],
};

export interface Case {
  readonly deviation: string;
  readonly kind: Kind;
  readonly outcome: Outcome;
  readonly make: () => Promise<Subject>;
}

/** Every card of the matrix: each deviation with each kind of card that may have it. */
export const CASES: readonly Case[] = [
  ...rows(PIV, (kind, deviation) => pivSubject(kind, deviation === "none" ? [] : [deviation])),
  ...rows(ISO7816, (kind, deviation) => iso7816Subject(kind, deviation === "none" ? [] : [deviation])),
];

/** Deviations that virtual cards can have, and have no row here. */
export const WITHOUT_ROW: readonly string[] = [
  ...Object.keys(PIV_DEVIATIONS).filter((name) => !Object.hasOwn(PIV, name)),
  ...Object.keys(ISO7816_DEVIATIONS).filter((name) => !Object.hasOwn(ISO7816, name)),
];

function rows<Deviation extends string, Kinds extends Kind>(
  table: Readonly<Record<Deviation, Row<Kinds>>>,
  make: (kind: Kinds, deviation: Deviation) => Promise<Subject>,
): Case[] {
  return (Object.entries(table) as [Deviation, Row<Kinds>][]).flatMap(([deviation, [kinds, outcome = {}]]) =>
    kinds.map((kind) => ({
      deviation,
      kind,
      outcome: outcome.only?.[kind] ?? outcome,
      make: () => make(kind, deviation),
    })),
  );
}

/** The step that a use of a key is. */
export function stepOf({ key, unpads }: SubjectKey, use: Use): Step {
  if (use === "sign") return key.asymmetricKeyType === "rsa" ? "sign RSA" : "sign EC";
  return use === "decrypt" && unpads ? "decipher" : use;
}
