import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { VirtualPivCard, type PivCardOptions } from "../src/virtual/index.ts";

/** The four keys of the budgets: PKCS#11's CKA_ID for each, as all the drivers here number them. */
export const KEYS = { "9a": "01", "9c": "02", "9d": "03", "9e": "04" } as const;
export type KeyName = keyof typeof KEYS;

/** The PIN and the management key that the cards are made with: the well-known ones of test cards. */
export const PIN = "123456";
export const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";

/** What sets one kind of card apart from the usual one. */
export const CARD_KINDS = {
  short: { title: "Short APDUs only", options: {} },
  extended: { title: "Extended-length APDUs", options: { extended: true } },
  unselected: {
    title: "Short APDUs only, and PIV is not selected after reset, as on a YubiKey",
    options: { defaultSelected: false, yubico: true },
  },
} as const satisfies Record<string, { readonly title: string; readonly options: PivCardOptions }>;
export type CardKind = keyof typeof CARD_KINDS;

/** Makes cards that differ in nothing but what they are asked to differ in: all have the same keys. */
export class CardFactory {
  readonly #keys: Readonly<Record<KeyName, { readonly privateKey: KeyObject }>>;

  constructor() {
    const rsa = (): { privateKey: KeyObject } => generateKeyPairSync("rsa", { modulusLength: 2048 });
    const ec = (): { privateKey: KeyObject } => generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#keys = { "9a": rsa(), "9c": ec(), "9d": rsa(), "9e": ec() };
  }

  /** @param yubico Whether any card also answers Yubico's own commands, which ykcs11 cannot do without. */
  async make(kind: CardKind, yubico: boolean): Promise<VirtualPivCard> {
    const keys = Object.fromEntries(Object.entries(this.#keys).map(([name, { privateKey }]) => [name, { privateKey }]));
    return VirtualPivCard.create({ yubico, extended: false, ...CARD_KINDS[kind].options, keys, pin: PIN });
  }

  publicKey(name: KeyName): KeyObject {
    return createPublicKey(this.#keys[name].privateKey);
  }
}
