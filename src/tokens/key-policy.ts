import { CKA, CKA_CRYPTOKI, CKA_YUBICO } from "../cryptoki/index.ts";

/** When a key wants the PIN and a touch, and where it comes from, as far as the token tells. */
export interface KeyPolicy {
  /** The two of "match" are those of keys that a fingerprint allows as well. */
  readonly pin: "never" | "once" | "always" | "match-once" | "match-always" | "unknown";
  /** "cached": not again for 15 seconds. */
  readonly touch: "never" | "always" | "cached" | "unknown";
  /** Whether the card made the key, or it was brought there. */
  readonly origin: "generated" | "imported" | "unknown";
}

/** The words for PIN policies, by the numbers of CKA_YUBICO.PIN_POLICY; 0 is the policy of the key's place. */
export const PIN_POLICIES: readonly KeyPolicy["pin"][] = [
  "unknown",
  "never",
  "once",
  "always",
  "match-once",
  "match-always",
];
/** Likewise of CKA_YUBICO.TOUCH_POLICY. */
export const TOUCH_POLICIES: readonly KeyPolicy["touch"][] = ["unknown", "never", "always", "cached"];

/** The attributes that tell of a key's policy. */
export const POLICY_ATTRIBUTES: readonly number[] = [
  CKA_YUBICO.PIN_POLICY,
  CKA_YUBICO.TOUCH_POLICY,
  CKA_CRYPTOKI.ORIGIN,
  CKA.ALWAYS_AUTHENTICATE,
  CKA.PRIVATE,
  CKA.LOCAL,
];

/**
 * What attributes of a key say of its policy.
 * @param isPrivateKey Whether they are those of the private key, whose CKA_ALWAYS_AUTHENTICATE, CKA_PRIVATE and CKA_LOCAL count.
 */
export function policyOf(attributes: Readonly<Record<number, unknown>>, isPrivateKey: boolean): KeyPolicy {
  const isLocal = isPrivateKey && attributes[CKA.LOCAL] === true;
  const origin = isLocal ? 1 : attributes[CKA_CRYPTOKI.ORIGIN];
  const pin = wordOf(PIN_POLICIES, attributes[CKA_YUBICO.PIN_POLICY]);
  return {
    pin: pin === "unknown" && isPrivateKey ? standardPolicy(attributes) : pin,
    touch: touchPolicyOf(attributes),
    origin: origin === 1 ? "generated" : origin === 2 ? "imported" : "unknown",
  };
}

/** What attributes of a key say of touches. */
export function touchPolicyOf(attributes: Readonly<Record<number, unknown>>): KeyPolicy["touch"] {
  const touch = attributes[CKA_YUBICO.TOUCH_POLICY];
  // A card that tells of touches has none for a key with the policy of its place.
  return touch === 0 ? "never" : wordOf(TOUCH_POLICIES, touch);
}

function standardPolicy(attributes: Readonly<Record<number, unknown>>): KeyPolicy["pin"] {
  if (attributes[CKA.ALWAYS_AUTHENTICATE] === true) return "always";
  return attributes[CKA.PRIVATE] === false ? "never" : "once";
}

function wordOf<Word extends string>(words: readonly Word[], value: unknown): Word | "unknown" {
  return (typeof value === "number" ? words[value] : undefined) ?? "unknown";
}
