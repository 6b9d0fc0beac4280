import type { KeyObject } from "node:crypto";
import type { Iso7816Deviation, PivCardOptions, PivDeviation, SavableCard } from "../../src/virtual/index.ts";
import { REBUILT_KEYS, rebuiltCard } from "../pkcs15/rebuilt-card.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";

/** What a key is tried for; each is checked on the host. */
export type Use = "sign" | "decrypt" | "derive";

export interface SubjectKey {
  /** CKA_ID, hexadecimal. */
  readonly id: string;
  readonly key: KeyObject;
  readonly uses: readonly Use[];
  /** As the card signs; SHA-256 unless it can only do SHA-1. */
  readonly hash?: "sha1" | "sha256";
  /** The card takes the padding off what it deciphers. */
  readonly unpads?: true;
}

/** A virtual card, and what a test has to know of it. */
export interface Subject {
  readonly card: SavableCard;
  readonly keys: readonly SubjectKey[];
  readonly pin: string;
  readonly newPin: string;
  readonly puk: string;
  /** The token with the keys, where the card has several. */
  readonly tokenLabel?: string;
  /** Who makes keys: the officer with this PIN, or the user. */
  readonly officer?: string;
  /** CKA_ID of the key that is made, where the card does not choose it. */
  readonly newId?: number;
}

export type PivKind = "PIV" | "YubiKey";
export type Iso7816Kind = "MyEID" | "IsoApplet 0.6" | "IsoApplet 1.0";
export type Kind = PivKind | Iso7816Kind;

/** The well-known management key, as C_Login takes it. */
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";

export async function pivSubject(kind: PivKind, deviations: readonly PivDeviation[]): Promise<Subject> {
  const keys = {
    "9a": { privateKey: testKey("rsa-2048", "9a") },
    "9c": { privateKey: testKey("p-256", "9c") },
    "9d": { privateKey: testKey("rsa-2048", "9d") },
    "9e": null,
    "82": { privateKey: testKey("p-256", "82") },
  } satisfies PivCardOptions["keys"];
  return {
    card: await testCard({ yubico: kind === "YubiKey", keys, deviations }),
    keys: [
      { id: "01", key: keys["9a"].privateKey, uses: ["sign"] },
      { id: "02", key: keys["9c"].privateKey, uses: ["sign"] },
      { id: "03", key: keys["9d"].privateKey, uses: ["decrypt"] },
      { id: "05", key: keys["82"].privateKey, uses: ["derive"] },
    ],
    pin: "123456",
    newPin: "314159",
    puk: "12345678",
    officer: MANAGEMENT_KEY,
    newId: 4,
  };
}

export async function iso7816Subject(kind: Iso7816Kind, deviations: readonly Iso7816Deviation[]): Promise<Subject> {
  return kind === "MyEID"
    ? {
        // Without chains a card wants extended length.
        card: await testPkcs15Card({ deviations, extended: deviations.includes("no-chaining") }),
        keys: [
          { id: "01", key: testKey("rsa-2048", "authentication"), uses: ["sign", "decrypt"] },
          { id: "02", key: testKey("p-256", "authentication"), uses: ["sign", "derive"] },
        ],
        pin: "123456",
        newPin: "314159",
        puk: "12345678",
        tokenLabel: "Virtual eID (PIN)",
      }
    : isoApplet(kind, deviations);
}

function isoApplet(kind: Exclude<Iso7816Kind, "MyEID">, deviations: readonly Iso7816Deviation[]): Subject {
  const old = kind === "IsoApplet 0.6";
  const puk = "1234567890123456";
  return {
    card: rebuiltCard({ puk, deviations, make: old ? "iso-applet" : "iso-applet-1" }),
    keys: [
      { id: "01", key: REBUILT_KEYS["RSA cert"].key(), uses: ["sign"] },
      { id: "02", key: REBUILT_KEYS["RSA decrypt"].key(), uses: ["decrypt"], unpads: true },
      { id: "03", key: REBUILT_KEYS["EC cert"].key(), uses: ["sign"], ...(old && { hash: "sha1" }) },
    ],
    pin: "123456",
    newPin: "314159",
    puk,
  };
}
