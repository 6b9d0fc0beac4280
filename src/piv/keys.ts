import { toHex } from "../bytes/index.ts";
import type { CardMechanism, KeyType, KeyUsageByFamily } from "../card/index.ts";
import { curveInfo } from "../crypto/index.ts";
import type { KeyPinPolicy } from "./yubico.ts";

/** A slot for one asymmetric key and its certificate. */
export interface KeySlot {
  /** Key reference, P2 of GENERAL AUTHENTICATE (SP 800-78-4 table 6-1). */
  readonly reference: number;
  /** Data object tag of the certificate (SP 800-73-4 part 1 table 3). */
  readonly certificate: number;
  /**
   * When the card needs the PIN before it uses the key (SP 800-73-4 part 1 table 5), unless the card reports another
   * policy.
   */
  readonly pin: KeyPinPolicy;
  readonly usage: KeyUsageByFamily;
  /** CKA_ID: 1 to 4 for 9A, 9C, 9D, 9E, then the retired keys; OpenSC and ykcs11 use the same numbers. */
  readonly id: number;
  /** 1 for the first retired key (82), up to 20; undefined for the four named keys. */
  readonly retired?: number;
  readonly labels: { readonly privateKey: string; readonly publicKey: string; readonly certificate: string };
}

/**
 * The uses of the keys in a slot (SP 800-78-5 table 1, SP 800-73-4 part 2 section 3.2.4). With RSA, signing and
 * decrypting are the same operation of the card; only the card authentication key does not decrypt. EC key management
 * keys agree on secrets, the other EC keys sign. A key on Curve25519 has only one use, in any slot.
 */
const usage =
  ({ decrypts, agrees }: { readonly decrypts: boolean; readonly agrees: boolean }): KeyUsageByFamily =>
  (family) => ({
    sign: family === "rsa" || family === "edwards" || (family === "ec" && !agrees),
    decrypt: family === "rsa" && decrypts,
    derive: family === "montgomery" || (family === "ec" && agrees),
  });
const AUTHENTICATION = usage({ decrypts: true, agrees: false });
const MANAGEMENT = usage({ decrypts: true, agrees: true });
const CARD_AUTHENTICATION = usage({ decrypts: false, agrees: false });

/** OpenSC's labels (pkcs15-piv.c), so that a PKCS #11 URI made with OpenSC finds the same objects. */
const labels = (key: string, certificate: string): KeySlot["labels"] => ({
  privateKey: `${key} key`,
  publicKey: `${key} pubkey`,
  certificate: `Certificate for ${certificate}`,
});

/** OpenSC gives both keys of a retired pair one label. */
const retiredLabels = (number: number): KeySlot["labels"] => ({
  privateKey: `Retired KEY MAN ${number}`,
  publicKey: `Retired KEY MAN ${number}`,
  certificate: `Retired Certificate for Key Management ${number}`,
});

/** The four keys of every PIV card. */
export const NAMED_SLOTS: readonly KeySlot[] = [
  {
    reference: 0x9a,
    certificate: 0x5fc105,
    pin: "once",
    usage: AUTHENTICATION,
    id: 1,
    labels: labels("PIV AUTH", "PIV Authentication"),
  },
  {
    reference: 0x9c,
    certificate: 0x5fc10a,
    pin: "always",
    usage: AUTHENTICATION,
    id: 2,
    labels: labels("SIGN", "Digital Signature"),
  },
  {
    reference: 0x9d,
    certificate: 0x5fc10b,
    pin: "once",
    usage: MANAGEMENT,
    id: 3,
    labels: labels("KEY MAN", "Key Management"),
  },
  {
    reference: 0x9e,
    certificate: 0x5fc101,
    pin: "never",
    usage: CARD_AUTHENTICATION,
    id: 4,
    labels: labels("CARD AUTH", "Card Authentication"),
  },
];

/** The number of retired key management keys: 82 to 95 (SP 800-73-4 part 1 section 3.3.2). */
export const RETIRED_KEYS = 20;

export const RETIRED_SLOTS: readonly KeySlot[] = Array.from({ length: RETIRED_KEYS }, (_, index) => ({
  reference: 0x82 + index,
  certificate: 0x5fc10d + index,
  pin: "once",
  usage: MANAGEMENT,
  id: 5 + index,
  labels: retiredLabels(index + 1),
  retired: 1 + index,
}));

export const KEY_SLOTS: readonly KeySlot[] = [...NAMED_SLOTS, ...RETIRED_SLOTS];

/** A key reference as the standard writes it: "9A". */
export function referenceName(slot: KeySlot): string {
  return toHex(Uint8Array.of(slot.reference)).toUpperCase();
}

/** The key types of PIV cards of any age and make: SP 800-78-5 table 1, older sizes, and Yubico's additions. */
export const PIV_MECHANISMS: readonly CardMechanism[] = [
  { primitive: "rsa-raw", minBits: 1024, maxBits: 4096 },
  { primitive: "ecdsa", minBits: 256, maxBits: 384 },
  { primitive: "ecdh", minBits: 256, maxBits: 384 },
  { primitive: "ecdh", family: "montgomery", minBits: 255, maxBits: 255 },
  { primitive: "eddsa", minBits: 255, maxBits: 255 },
];

/** A key type and the slots that support it. */
export interface ComputedType {
  readonly type: KeyType;
  /** The slots with such keys; undefined for a type that every slot supports. */
  readonly slot?: KeySlot;
}

/** The types for a card without keys that does not list its algorithms: those of SP 800-78-5 table 1. */
const STANDARD_TYPES: readonly KeyType[] = [
  { type: "rsa", modulusBits: 2048 },
  { type: "rsa", modulusBits: 3072 },
  { type: "ec", curve: "P-256" },
  { type: "ec", curve: "P-384" },
];

/**
 * Returns the mechanisms of a card.
 * @param types Of its keys, and those that it reports. If there are none, the standard's types are assumed.
 */
export function mechanismsOf(types: readonly ComputedType[]): readonly CardMechanism[] {
  const known = types.length > 0 ? types : STANDARD_TYPES.map((type) => ({ type }));
  return PIV_MECHANISMS.flatMap((mechanism) => {
    const sizes = known.filter((one) => isFor(mechanism, one)).map(({ type }) => bitsOf(type));
    return sizes.length === 0 ? [] : [{ ...mechanism, minBits: Math.min(...sizes), maxBits: Math.max(...sizes) }];
  });
}

function isFor({ primitive, family }: CardMechanism, { type, slot }: ComputedType): boolean {
  const usage = slot?.usage(type.type) ?? { sign: true, decrypt: true, derive: true };
  switch (type.type) {
    case "rsa":
      return primitive === "rsa-raw";
    case "ec":
      return (primitive === "ecdsa" && usage.sign) || (primitive === "ecdh" && family === undefined && usage.derive);
    case "edwards":
      return primitive === "eddsa";
    case "montgomery":
      return primitive === "ecdh" && family === "montgomery";
  }
}

function bitsOf(type: KeyType): number {
  if (type.type === "rsa") return type.modulusBits;
  return type.type === "ec" ? curveInfo(type.curve).bits : 255;
}

/** The key types of YubiKeys by firmware version: P-384 came with version 4, the last four with 5.7. */
export function typesOfFirmware([major = 0, minor = 0]: Uint8Array): readonly KeyType[] {
  const is57 = major > 5 || (major === 5 && minor >= 7);
  return [
    { type: "rsa", modulusBits: 1024 },
    { type: "rsa", modulusBits: 2048 },
    { type: "ec", curve: "P-256" },
    ...(major >= 4 ? [{ type: "ec", curve: "P-384" } as const] : []),
    ...(is57
      ? ([
          { type: "rsa", modulusBits: 3072 },
          { type: "rsa", modulusBits: 4096 },
          { type: "edwards", curve: "Ed25519" },
          { type: "montgomery", curve: "X25519" },
        ] as const)
      : []),
  ];
}
