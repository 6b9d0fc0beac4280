import type { CardMechanism, KeyType } from "../card/index.ts";
import { curveInfo } from "../crypto/index.ts";
import type { KeySlot } from "./keys.ts";

/** What PIV cards compute with, of any age and make: SP 800-78-5 table 1, older sizes, and what Yubico added. */
export const PIV_MECHANISMS: readonly CardMechanism[] = [
  { primitive: "rsa-raw", minBits: 1024, maxBits: 4096 },
  { primitive: "ecdsa", minBits: 256, maxBits: 384 },
  { primitive: "ecdh", minBits: 256, maxBits: 384 },
  { primitive: "ecdh", family: "montgomery", minBits: 255, maxBits: 255 },
  { primitive: "eddsa", minBits: 255, maxBits: 255 },
];

/** Keys of a type that the card computes with. */
export interface ComputedType {
  readonly type: KeyType;
  /** The place of such a key; undefined for a type that the card has for every place. */
  readonly slot?: KeySlot;
}

/** A card that has no key yet and does not say what it computes with: the keys of SP 800-78-5 table 1. */
const STANDARD_TYPES: readonly KeyType[] = [
  { type: "rsa", modulusBits: 2048 },
  { type: "rsa", modulusBits: 3072 },
  { type: "ec", curve: "P-256" },
  { type: "ec", curve: "P-384" },
];

/**
 * The mechanisms of a card.
 * @param types Of its keys, and those that it says that it has. If there are none, it is taken for one of the standard.
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

/** The keys that YubiKeys with a firmware version compute with: P-384 came with version 4, the last four with 5.7. */
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
