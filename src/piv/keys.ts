import { toHex } from "../bytes/index.ts";

/** When the card wants the PIN before it uses a key (SP 800-73-4 part 1 table 5 "Key Reference"). */
type KeyPinPolicy = "never" | "once" | "always";

/** A place for one asymmetric key and its certificate. */
export interface KeySlot {
  /** Key reference, P2 of GENERAL AUTHENTICATE (SP 800-78-4 table 6-1). */
  readonly reference: number;
  /** Data object tag of the certificate (SP 800-73-4 part 1 table 3). */
  readonly certificate: number;
  readonly pin: KeyPinPolicy;
  readonly usage: { readonly sign: boolean; readonly decrypt: boolean; readonly derive: boolean };
  /** CKA_ID. 1 to 4 for 9A, 9C, 9D, 9E, then the retired ones: the numbering that OpenSC and ykcs11 share. */
  readonly id: number;
  readonly labels: { readonly privateKey: string; readonly publicKey: string; readonly certificate: string };
}

/**
 * With RSA, signing and decrypting are one and the same operation of the card, in every slot. Agreeing on a secret is for the key
 * management keys only (SP 800-73-4 part 2 section 3.2.4).
 */
const AUTHENTICATION = { sign: true, decrypt: true, derive: false } as const;
const MANAGEMENT = { sign: true, decrypt: true, derive: true } as const;

/** The labels that OpenSC shows (pkcs15-piv.c), so that a PKCS #11 URI that was made with it finds the same objects. */
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
const NAMED_SLOTS: readonly KeySlot[] = [
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
    usage: AUTHENTICATION,
    id: 4,
    labels: labels("CARD AUTH", "Card Authentication"),
  },
];

/** How many retired key management keys a card may hold: 82 to 95 (SP 800-73-4 part 1 section 3.3.2). */
export const RETIRED_KEYS = 20;

const RETIRED_SLOTS: readonly KeySlot[] = Array.from({ length: RETIRED_KEYS }, (_, index) => ({
  reference: 0x82 + index,
  certificate: 0x5fc10d + index,
  pin: "once",
  usage: MANAGEMENT,
  id: 5 + index,
  labels: retiredLabels(index + 1),
}));

export const KEY_SLOTS: readonly KeySlot[] = [...NAMED_SLOTS, ...RETIRED_SLOTS];

/** 1 for the first retired key (82), up to 20; undefined for the four named keys. */
export function retiredNumber(slot: KeySlot): number | undefined {
  return slot.reference >= 0x82 && slot.reference < 0x82 + RETIRED_KEYS ? slot.reference - 0x81 : undefined;
}

/** A key reference as the standard writes it: "9A". */
export function referenceName(slot: KeySlot): string {
  return toHex(Uint8Array.of(slot.reference)).toUpperCase();
}
