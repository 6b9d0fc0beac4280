/** Kinds of key pair that the cards work with; the last two are for PIV cards with Yubico's commands. */
export const KEY_TYPES = {
  "rsa-1024": { type: "rsa", bits: 1024 },
  "rsa-2048": { type: "rsa", bits: 2048 },
  "rsa-3072": { type: "rsa", bits: 3072 },
  "rsa-4096": { type: "rsa", bits: 4096 },
  "p-256": { type: "ec", bits: 256, curve: "prime256v1" },
  "p-384": { type: "ec", bits: 384, curve: "secp384r1" },
  ed25519: { type: "edwards", bits: 255, curve: "ed25519" },
  x25519: { type: "montgomery", bits: 255, curve: "x25519" },
} as const;

/** Those of cards whose keys are files, which have sizes that PIV has no number for. */
export const FILE_KEY_TYPES = {
  ...KEY_TYPES,
  "rsa-512": { type: "rsa", bits: 512 },
  "rsa-768": { type: "rsa", bits: 768 },
  "rsa-1536": { type: "rsa", bits: 1536 },
  "p-521": { type: "ec", bits: 521, curve: "secp521r1" },
} as const;

export type KeyTypeName = keyof typeof KEY_TYPES;
export type KeyTypeInfo = (typeof FILE_KEY_TYPES)[keyof typeof FILE_KEY_TYPES];
export type EcKeyInfo = Extract<KeyTypeInfo, { type: "ec" }>;

/** Length in bytes of a coordinate and of a secret number. */
export const fieldLength = ({ bits }: EcKeyInfo): number => Math.ceil(bits / 8);

/** Whether such keys are Ed25519 or X25519. */
export const isOnCurve25519 = ({ type }: KeyTypeInfo): boolean => type === "edwards" || type === "montgomery";
