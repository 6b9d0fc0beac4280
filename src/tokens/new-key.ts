import { encodeEcParameters, encodeParameters25519, type NamedCurve } from "../crypto/index.ts";
import { type AttributeList, CKA, CKA_YUBICO, CKM, type TokenDescription, type Template } from "../cryptoki/index.ts";
import { readId } from "./descriptions.ts";
import { TokenError } from "./error.ts";
import { type KeyPolicy, PIN_POLICIES, TOUCH_POLICIES } from "./key-policy.ts";
import { type KeyUse, PERMISSION, PUBLIC_PERMISSION } from "./key-use.ts";
import { hasReferences, idOfReference, requireReference } from "./references.ts";
import type { KeyAlgorithm } from "./scheme.ts";

/** What kind of key is to be made. */
export type NewKeyType =
  | { readonly type: "rsa"; readonly bits: 2048 | 3072 | 4096 }
  | { readonly type: "ec"; readonly curve: NamedCurve }
  | { readonly type: "ed25519" }
  | { readonly type: "x25519" };

/** Where a new key goes, and what it is for. */
export interface NewKey {
  /** The name that the card has for the key's place: "9a" on a PIV card. */
  readonly reference?: string;
  /** CKA_ID; text is hexadecimal. Default: 8 random bytes, where the token's keys have no references. */
  readonly id?: string | Uint8Array;
  /** CKA_LABEL. A PIV card has no place for one. */
  readonly label?: string;
  /** Default: all that keys of the type are for. A PIV card decides by the place. */
  readonly uses?: readonly KeyUse[];
  /** When it wants the PIN and a touch. Default: as the card has it. */
  readonly policy?: Partial<Pick<KeyPolicy, "pin" | "touch">>;
  /** Whether a key with the same CKA_ID may be overwritten; default: false. */
  readonly replace?: boolean;
}

/** A {@link NewKey} whose fields were checked, without the token. */
export interface CheckedKey extends NewKey {
  readonly algorithm: KeyAlgorithm;
  readonly uses: readonly KeyUse[];
}

const USES: Readonly<Record<KeyAlgorithm["type"], readonly KeyUse[]>> = {
  rsa: ["sign", "decrypt", "unwrap"],
  ec: ["sign", "derive"],
  ed25519: ["sign"],
  x25519: ["derive"],
};

const CURVES: readonly string[] = ["P-256", "P-384", "P-521"];
const MODULUS_BITS: readonly number[] = [2048, 3072, 4096];

/** @throws {TokenError} BAD_INPUT for a type of key that is not known, or a size that keys are not made in. */
export function checkNewType(type: NewKeyType): KeyAlgorithm {
  const given = type as { readonly type: unknown; readonly bits?: unknown; readonly curve?: unknown };
  switch (given.type) {
    case "rsa":
      if (typeof given.bits === "number" && MODULUS_BITS.includes(given.bits)) return { type: "rsa", bits: given.bits };
      throw new TokenError("BAD_INPUT", `an RSA key has bits: ${MODULUS_BITS.join(", ")}`);
    case "ec":
      if (typeof given.curve === "string" && CURVES.includes(given.curve)) {
        return { type: "ec", curve: given.curve as NamedCurve };
      }
      throw new TokenError("BAD_INPUT", `an EC key has a curve: ${CURVES.join(", ")}`);
    case "ed25519":
    case "x25519":
      return { type: given.type };
    default:
      throw new TokenError(
        "BAD_INPUT",
        `no type of key "${String(given.type)}"; there are ${Object.keys(USES).join(", ")}`,
      );
  }
}

/** Checks what can be checked without the token. @throws {TokenError} BAD_INPUT. */
export function checkNewKey(key: NewKey, algorithm: KeyAlgorithm): CheckedKey {
  const { reference, label, policy } = key;
  if (reference !== undefined) requireReference(reference);
  const id = readId(key.id);
  if (reference !== undefined && id)
    throw new TokenError("BAD_INPUT", "name the key by `reference` or by `id`, not by both");
  if (id?.length === 0)
    throw new TokenError("BAD_INPUT", "an id has at least one byte: it connects key and certificate");
  if (label !== undefined && typeof label !== "string") throw new TokenError("BAD_INPUT", "a label is text");
  const uses = key.uses ?? USES[algorithm.type];
  const stranger = uses.find((use) => !USES[algorithm.type].includes(use));
  if (stranger !== undefined || uses.length === 0) {
    throw new TokenError("BAD_INPUT", `keys of type ${algorithm.type} are for ${USES[algorithm.type].join(", ")}`);
  }
  if (policy) {
    requireWord("pin", policy.pin, PIN_POLICIES);
    requireWord("touch", policy.touch, TOUCH_POLICIES);
  }
  return { ...key, ...(id && { id }), algorithm, uses };
}

function requireWord(policy: string, word: string | undefined, words: readonly string[]): void {
  if (word === undefined || words.includes(word)) return;
  throw new TokenError("BAD_INPUT", `no ${policy} policy "${word}"; there are ${words.join(", ")}`);
}

/** What the templates of a new key have, on one token. */
export interface KeyTemplates {
  /** CKA_ID; undefined where the token has to say which places there are. */
  readonly id: Uint8Array | undefined;
  readonly privateKey: AttributeList;
  readonly publicKey: Template;
}

/**
 * The templates for a token, without the key's own numbers.
 * @throws {TokenError} BAD_INPUT for a reference that the token does not have; NOT_SUPPORTED for policies that it cannot have.
 */
export function keyTemplates(key: CheckedKey, token: TokenDescription, random: () => Uint8Array): KeyTemplates {
  const { reference, label, uses } = key;
  const named = reference === undefined ? readId(key.id) : idOfReference(reference, token);
  const id = named ?? (hasReferences(token) ? undefined : random());
  const common: Template = {
    [CKA.TOKEN]: true,
    ...(id && { [CKA.ID]: id }),
    ...(label !== undefined && { [CKA.LABEL]: label }),
  };
  const privateKey: Template = {
    ...common,
    [CKA.PRIVATE]: true,
    [CKA.SENSITIVE]: true,
    [CKA.EXTRACTABLE]: false,
    ...allowed(uses, PERMISSION),
  };
  return {
    id,
    privateKey: [...listOf(privateKey), ...policyAttributes(key.policy ?? {}, token)],
    publicKey: { ...common, ...allowed(uses, PUBLIC_PERMISSION) },
  };
}

/** A template as a list, which takes the attributes of vendors too. */
export const listOf = (template: Template): AttributeList =>
  Object.entries(template).map(([type, value]) => [Number(type), value] as const);

/** CKA_DERIVE of a public key allows nothing that a program asks of it, and some modules refuse it. */
function allowed(uses: readonly KeyUse[], permission: Readonly<Record<KeyUse, number>>): Template {
  const named = uses.filter((use) => use !== "derive" || permission === PERMISSION);
  return Object.fromEntries(named.map((use) => [permission[use], true]));
}

function policyAttributes(policy: Partial<Pick<KeyPolicy, "pin" | "touch">>, token: TokenDescription): AttributeList {
  const pin = policy.pin === "unknown" ? undefined : policy.pin;
  const touch = policy.touch === "unknown" ? undefined : policy.touch;
  if (hasReferences(token)) {
    return [
      ...(pin === undefined ? [] : [[CKA_YUBICO.PIN_POLICY, PIN_POLICIES.indexOf(pin)] as const]),
      ...(touch === undefined ? [] : [[CKA_YUBICO.TOUCH_POLICY, TOUCH_POLICIES.indexOf(touch)] as const]),
    ];
  }
  if (touch !== undefined) throw new TokenError("NOT_SUPPORTED", "keys of this token have no touch policy");
  if (pin === undefined) return [];
  if (pin === "once") return [[CKA.ALWAYS_AUTHENTICATE, false]];
  if (pin === "always") return [[CKA.ALWAYS_AUTHENTICATE, true]];
  throw new TokenError("NOT_SUPPORTED", `keys of this token want the PIN once or always, not ${pin}`);
}

/** How the token makes a key of a type: the mechanism, and the parameters in the public key's template. */
export function generation(algorithm: KeyAlgorithm): { readonly mechanism: number; readonly parameters: Template } {
  switch (algorithm.type) {
    case "rsa":
      return {
        mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN,
        parameters: { [CKA.MODULUS_BITS]: algorithm.bits, [CKA.PUBLIC_EXPONENT]: Uint8Array.of(1, 0, 1) },
      };
    case "ec":
      return { mechanism: CKM.EC_KEY_PAIR_GEN, parameters: { [CKA.EC_PARAMS]: encodeEcParameters(algorithm.curve) } };
    case "ed25519":
      return {
        mechanism: CKM.EC_EDWARDS_KEY_PAIR_GEN,
        parameters: { [CKA.EC_PARAMS]: encodeParameters25519("Ed25519") },
      };
    case "x25519":
      return {
        mechanism: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
        parameters: { [CKA.EC_PARAMS]: encodeParameters25519("X25519") },
      };
  }
}
