import { CKA_YUBICO } from "../../cryptoki/index.ts";
import { UsageError } from "../output/failures.ts";

/** When a key wants the PIN, in the card's numbers. */
const PIN_POLICIES = ["default", "never", "once", "always", "match-once", "match-always"] as const;
/** When it wants a touch. */
const TOUCH_POLICIES = ["default", "never", "always", "cached"] as const;

const POLICIES: Readonly<Record<string, { readonly attribute: number; readonly values: readonly string[] }>> = {
  pin: { attribute: CKA_YUBICO.PIN_POLICY, values: PIN_POLICIES },
  touch: { attribute: CKA_YUBICO.TOUCH_POLICY, values: TOUCH_POLICIES },
};

/**
 * The attributes that `--policy pin=once,touch=cached` means, for the template of a private key.
 * @throws {UsageError} for a name or value that there is not.
 */
export function readPolicy(text: string | undefined): readonly (readonly [attribute: number, value: number])[] {
  if (text === undefined) return [];
  const found = new Map<number, number>();
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.trim().toLowerCase().split("=");
    const policy = Object.hasOwn(POLICIES, name) ? POLICIES[name] : undefined;
    const number = policy?.values.indexOf(value) ?? -1;
    if (!policy || number === -1) {
      const possible = Object.entries(POLICIES).map(([one, { values }]) => `${one}=${values.join("|")}`);
      throw new UsageError(`--policy ${text}: write ${possible.join(", ")}, with a comma between the two`);
    }
    if (found.has(policy.attribute)) throw new UsageError(`--policy ${text}: ${name} stands there twice`);
    found.set(policy.attribute, number);
  }
  return [...found];
}

/** The word for a PIN policy of a card; undefined for 0, the policy of the key's place, and for what is not known here. */
export const pinPolicyWord = (policy: number | undefined): string | undefined => wordOf(PIN_POLICIES, policy);

/** Likewise of a touch policy. */
export const touchPolicyWord = (policy: number | undefined): string | undefined => wordOf(TOUCH_POLICIES, policy);

const wordOf = (words: readonly string[], policy = 0): string | undefined => (policy === 0 ? undefined : words[policy]);
