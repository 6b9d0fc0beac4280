import type { Command } from "commander";
import { equalBytes } from "../../bytes/index.ts";
import { encodeEcParameters, encodeParameters25519, publicKeyName } from "../../crypto/index.ts";
import {
  type AttributeList,
  type CK_MECHANISM,
  CKA,
  CKM,
  CKO,
  mechanismOf,
  type Template,
} from "../../cryptoki/index.ts";
import { UnsuitableCardError, UsageError } from "../output/failures.ts";
import type { TokenSession } from "../session.ts";
import { currentKey } from "./card-key.ts";
import { confirm, type ConfirmationOptions } from "./confirmation.ts";
import { type KeyPlaceOptions, placeName, referenceOf, refuseLabelOnPiv, requiredPlace } from "./key-place.ts";
import type { Token } from "./token.ts";

/** A type of key: how C_GenerateKeyPair makes it, and what its public half is asked to be. */
interface NewKeyType {
  readonly mechanism: number;
  readonly template: () => Template;
}

const rsa = (bits: number): NewKeyType => ({
  mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN,
  template: () => ({ [CKA.MODULUS_BITS]: bits, [CKA.PUBLIC_EXPONENT]: Uint8Array.of(0x01, 0x00, 0x01) }),
});

/** The types that --type takes. */
export const KEY_TYPES: Readonly<Record<string, NewKeyType>> = {
  rsa2048: rsa(2048),
  rsa3072: rsa(3072),
  rsa4096: rsa(4096),
  p256: { mechanism: CKM.EC_KEY_PAIR_GEN, template: () => ({ [CKA.EC_PARAMS]: encodeEcParameters("P-256") }) },
  p384: { mechanism: CKM.EC_KEY_PAIR_GEN, template: () => ({ [CKA.EC_PARAMS]: encodeEcParameters("P-384") }) },
  ed25519: {
    mechanism: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    template: () => ({ [CKA.EC_PARAMS]: encodeParameters25519("Ed25519") }),
  },
  x25519: {
    mechanism: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
    template: () => ({ [CKA.EC_PARAMS]: encodeParameters25519("X25519") }),
  },
};

export function policyOption(command: Command): Command {
  return command.option(
    "--policy <policies>",
    "when a YubiKey wants the PIN and a touch: pin=never, once or always; touch=never, always or cached (not again for 15 " +
      "seconds); with a comma between the two",
  );
}

export function usageOption(command: Command): Command {
  return command.option(
    "--usage <list>",
    "what the key is for: sign, decrypt, derive, with commas between them; on a PIV card its place says that",
  );
}

/** What a key is for, as attributes of its halves. */
export interface Usage {
  readonly private: Template;
  readonly public: Template;
}

const USES = { sign: CKA.VERIFY, decrypt: CKA.ENCRYPT, derive: CKA.DERIVE } as const;
const PRIVATE_USES = { sign: CKA.SIGN, decrypt: CKA.DECRYPT, derive: CKA.DERIVE } as const;

/** The attributes of --usage; undefined without it. @throws {UsageError} for a use that there is not. */
export function readUsage(text: string | undefined): Usage | undefined {
  if (text === undefined) return undefined;
  const words = text.split(",").map((word) => word.trim());
  for (const word of words) {
    if (!Object.hasOwn(USES, word)) throw new UsageError(`--usage ${text}: write sign, decrypt or derive, with commas`);
  }
  const of = (table: typeof USES | typeof PRIVATE_USES): Template =>
    Object.fromEntries(Object.entries(table).map(([word, attribute]) => [attribute, words.includes(word)]));
  return { private: of(PRIVATE_USES), public: of(USES) };
}

/**
 * Whether the token is a PIV card's, where a key has a named place, which says what the key is for.
 * @throws {UsageError} without the place on such a card, or with a usage or a label.
 */
export function requiredOnPiv(
  token: Token,
  options: KeyPlaceOptions & { readonly label?: string },
  usage: Usage | undefined,
): boolean {
  if (referenceOf(token, Uint8Array.of(1)) === undefined) return false;
  requiredPlace(token, options);
  refuseLabelOnPiv(token, options.label);
  if (usage)
    throw new UsageError("--usage: on a PIV card the place of a key says what it is for; choose it with --reference");
  return true;
}

/** What a new key pair is made with: the mechanism and both templates of C_GenerateKeyPair. */
export interface NewKeyTemplates {
  readonly mechanism: CK_MECHANISM;
  readonly publicTemplate: Template;
  readonly privateTemplate: AttributeList;
}

/** @param type One of {@link KEY_TYPES}. */
export function newKeyTemplates(
  type: NewKeyType,
  id: Uint8Array | undefined,
  {
    label,
    policy,
    usage,
  }: { readonly label?: string; readonly policy: readonly (readonly [number, number])[]; readonly usage?: Usage },
): NewKeyTemplates {
  const common: Template = {
    [CKA.TOKEN]: true,
    ...(id && { [CKA.ID]: id }),
    ...(label !== undefined && { [CKA.LABEL]: label }),
  };
  const ofPrivate = Object.entries({ ...common, ...usage?.private }).map(
    ([name, value]) => [Number(name), value] as const,
  );
  return {
    mechanism: mechanismOf(type.mechanism),
    publicTemplate: { ...common, ...type.template(), ...usage?.public },
    privateTemplate: [...ofPrivate, ...policy] as AttributeList,
  };
}

/**
 * Asks before a key is overwritten.
 * @param spki The key that is brought there, if it is known: the same one is no question.
 * @returns Whether that key is there already.
 * @throws {UnsuitableCardError} if overwriting is not wanted, or the card would hold two keys with one CKA_ID.
 */
export async function confirmPlace(
  session: TokenSession,
  id: Uint8Array,
  spki: Uint8Array | undefined,
  options: ConfirmationOptions,
): Promise<boolean> {
  const [before] = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  if (!before) return false;
  const { token, context } = session;
  const name = placeName(token, id);
  const known = (await currentKey(session, id))?.spki;
  if (spki && known && equalBytes(known, spki)) return true;
  const type = known ? ` of type ${publicKeyName(known)}` : "";
  if (referenceOf(token, id) === undefined) {
    throw new UnsuitableCardError(
      `there is a key${type} in ${name} already; name another --id, or delete that key first`,
    );
  }
  await confirm(context, `there is a key${type} in ${name} already, which a new one destroys`, options);
  return false;
}
