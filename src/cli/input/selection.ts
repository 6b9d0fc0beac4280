import { equalBytes, toHex } from "../../bytes/index.ts";
import { CKA, CKF_TOKEN, CKO, type Template } from "../../cryptoki/index.ts";
import type { CommandContext } from "../context.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import { type AnySession, type ObjectEntry, TokenSession } from "../session.ts";
import { hexArgument } from "./files.ts";
import { describeToken, fittingSlots, forEachUsable, onlyToken, readUri, type Token, type TokenSlot } from "./token.ts";

/** Types of objects, named as in URIs, and their classes. */
const CLASSES = {
  cert: CKO.CERTIFICATE,
  public: CKO.PUBLIC_KEY,
  private: CKO.PRIVATE_KEY,
  "secret-key": CKO.SECRET_KEY,
  data: CKO.DATA,
} as const;
export type ObjectType = keyof typeof CLASSES;
export const OBJECT_TYPES: readonly string[] = Object.keys(CLASSES);

/** Options that name an object; a URI may name it too. */
export interface SelectionOptions {
  readonly id?: string;
  readonly label?: string;
  readonly type?: ObjectType;
}

/** The object that the user asks for: by CKA_ID, CKA_LABEL or CKA_CLASS, each optional. */
interface Selection {
  readonly id?: Uint8Array;
  readonly label?: string;
  readonly type?: ObjectType;
}

/** The use of a key: the attribute that allows it, and the corresponding one of the public key. */
export const USE = {
  sign: { private: CKA.SIGN, public: CKA.VERIFY, verb: "sign" },
  decrypt: { private: CKA.DECRYPT, public: CKA.ENCRYPT, verb: "decrypt" },
  derive: { private: CKA.DERIVE, public: CKA.DERIVE, verb: "derive" },
} as const;
export type Use = (typeof USE)[keyof typeof USE];

/** @throws {UsageError} if the options and the URI name different objects, or an identifier is not hexadecimal. */
export function readSelection(options: SelectionOptions, uriText?: string): Selection {
  const uri = uriText === undefined ? {} : readUri(uriText);
  const id = options.id === undefined ? uri.id : hexArgument(options.id, "--id");
  const label = options.label ?? uri.object;
  const type = options.type ?? uri.type;
  if (id && uri.id && !equalBytes(id, uri.id)) throw contradiction("--id");
  if (uri.object !== undefined && label !== uri.object) throw contradiction("--label");
  if (uri.type !== undefined && type !== uri.type) throw contradiction("--type");
  return { ...(id && { id }), ...(label !== undefined && { label }), ...(type && { type }) };
}

const contradiction = (option: string): UsageError => new UsageError(`${option} and the URI name different objects`);

/** Whether it identifies an object by its CKA_ID or label. */
const namesObject = ({ id, label }: Selection): boolean => id !== undefined || label !== undefined;

/** The template for C_FindObjectsInit. */
export function searchTemplate({ id, label, type }: Selection): Template {
  return {
    ...(type && { [CKA.CLASS]: CLASSES[type] }),
    ...(id && { [CKA.ID]: id }),
    ...(label !== undefined && { [CKA.LABEL]: label }),
  };
}

/**
 * Finds the objects. If no object has a label of the first release, the object with the corresponding present label is
 * returned.
 */
export async function findSelected(session: AnySession, selection: Selection): Promise<ObjectEntry[]> {
  const found = await session.find(searchTemplate(selection));
  if (found.length > 0 || selection.label === undefined) return found;
  const label = presentLabel(selection.label);
  return label === undefined ? [] : session.find(searchTemplate({ ...selection, label }));
}

/** Names of PIV keys in labels: the first release's, and the present ones. */
const KEY_NAMES: ReadonlyMap<string, string> = new Map([
  ["PIV Authentication", "PIV AUTH"],
  ["Digital Signature", "SIGN"],
  ["Key Management", "KEY MAN"],
  ["Card Authentication", "CARD AUTH"],
]);

/** The present label for one of the first release; undefined for any other. */
export function presentLabel(label: string): string | undefined {
  const retired =
    /^(?:Retired Key Management (\d+) (?:public )?key|Certificate for Retired Key Management (\d+))$/u.exec(label);
  if (retired?.[1] !== undefined) return `Retired KEY MAN ${retired[1]}`;
  if (retired?.[2] !== undefined) return `Retired Certificate for Key Management ${retired[2]}`;
  const [, use = "", half = ""] = /^(.*?) (public key|key)$/u.exec(label) ?? [];
  const name = KEY_NAMES.get(use);
  return name && `${name} ${half === "key" ? "key" : "pubkey"}`;
}

/** An object of any type with that identifier and label. */
const withoutType = ({ id, label }: Selection): Selection => ({
  ...(id && { id }),
  ...(label !== undefined && { label }),
});

/**
 * Finds the private key. A key that is visible only after login is found by its visible relatives: the label or
 * identifier of its public key or certificate. The user is asked for the PIN only when the key is clear.
 * @param check Refuses an unsuitable key, given its public key, before the PIN is asked for.
 * @throws {NotFoundError} if there is none; {@link UsageError} if there are several; the error of `check`.
 */
export async function choosePrivateKey(
  session: AnySession,
  selection: Selection,
  use: Use,
  check?: (publicKey: ObjectEntry) => Promise<unknown>,
): Promise<ObjectEntry> {
  const named = withoutType(selection);
  const wanted = namesObject(named) ? await byRelative(session, named) : await onlyKey(session, use);
  const search: Selection = { ...wanted, type: "private" };
  let found = await findSelected(session, search);
  if (found.length === 0) {
    const [publicHalf] = check ? await session.find(searchTemplate({ ...wanted, type: "public" })) : [];
    if (publicHalf) await check?.(publicHalf);
    await session.login();
    found = await findSelected(session, search);
  }
  return requireSingle(found, `private key${describeSelection(wanted)}`);
}

/** The only key that may do it, by its identifier; undecided if no key is visible before login. */
async function onlyKey(session: AnySession, use: Use): Promise<Selection> {
  const keys = [
    ...(await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [use.public]: true })),
    ...(await session.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [use.private]: true })),
  ];
  if (keys.length === 0) return {};
  const { id } = requireSingle(distinctById(keys), `key that can ${use.verb}`);
  return { id };
}

/** The first object of each identifier: a key, its public key and its certificate share theirs. */
function distinctById(objects: readonly ObjectEntry[]): ObjectEntry[] {
  return objects.filter((one, index) => objects.findIndex((other) => equalBytes(other.id, one.id)) === index);
}

/**
 * Replaces the label of a public key or certificate by the identifier of its key. Keys are looked for first: a search of one class reads
 * no more of a card than it needs.
 */
async function byRelative(session: AnySession, selection: Selection): Promise<Selection> {
  if (selection.label === undefined) return selection;
  for (const type of ["private", "public", undefined] as const) {
    const named = await findSelected(session, { ...selection, ...(type && { type }) });
    if (named.length === 0) continue;
    if (named.some((object) => object.class === CKO.PRIVATE_KEY)) return selection;
    const { id } = requireSingle(distinctById(named), `object${describeSelection(selection)}`);
    return { id };
  }
  return selection;
}

/**
 * Finds an object of a class; for a key also by the label of its certificate or other half.
 * @throws {NotFoundError} if there is none; {@link UsageError} if there are several.
 */
export async function chooseObject(session: AnySession, type: ObjectType, selection: Selection): Promise<ObjectEntry> {
  const named = withoutType(selection);
  let found = await findSelected(session, { ...named, type });
  if (found.length === 0 && named.label !== undefined) {
    const [relative] = await findSelected(session, named);
    if (relative && relative.id.length > 0) found = await session.find(searchTemplate({ id: relative.id, type }));
  }
  return requireSingle(found, `${TYPE_NAMES[type]}${describeSelection(named)}`);
}

const TYPE_NAMES: Readonly<Record<ObjectType, string>> = {
  cert: "certificate",
  public: "public key",
  private: "private key",
  "secret-key": "secret key",
  data: "data object",
};

function requireSingle(found: readonly ObjectEntry[], what: string): ObjectEntry {
  const [first, ...more] = found;
  if (!first) throw new NotFoundError(`no ${what} on the token; list its objects with: cryptoki objects`);
  if (more.length === 0) return first;
  const telling = distinctById(found).length === found.length;
  const candidates = found.map(({ id, label }) =>
    telling && id.length > 0 ? `--id ${toHex(id)}  ${label}` : `--label "${label}"`,
  );
  throw new UsageError(`there is more than one ${what}; choose it with --id, --label or a URI`, { candidates });
}

function describeSelection({ id, label }: Selection): string {
  const parts = [...(id ? [`id ${toHex(id)}`] : []), ...(label === undefined ? [] : [`label "${label}"`])];
  return parts.length === 0 ? "" : ` with ${parts.join(" and ")}`;
}

/** Searches of one class each, one after the other until one finds something, and a last one of all objects. */
type SearchOrder = readonly (readonly ObjectType[])[];

/** For the use of a private key: its halves. */
export const KEYS_FIRST: SearchOrder = [["private", "public"]];

/**
 * Opens a session with the token to use: the one that the URI or --token matches, the only one, or the only one with an
 * object of that name. A card with two PINs is two tokens, and only one of them has `--id 01`. What is not needed for that is not asked of
 * the cards.
 * @param order What to look for first, where there are several tokens; default: the type that the selection names.
 * @throws {NotFoundError} if there is none, or none has the object; {@link UsageError} if there are several.
 */
export async function openSessionFor(
  context: CommandContext,
  selection: Selection,
  uri?: string,
  order: SearchOrder = selection.type ? [[selection.type]] : [],
): Promise<AnySession> {
  const slots = await fittingSlots(context, uri);
  const cryptoki = await context.cryptoki();
  const open = (token: TokenSlot): Promise<AnySession> => TokenSession.open(context, token, uri);
  const [only, ...others] = slots;
  if (only && others.length === 0) {
    try {
      return await open(only);
    } catch (error) {
      // What the token says of itself tells better why it cannot be used.
      await describeToken(cryptoki, only);
      throw error;
    }
  }
  const describe = (slot: TokenSlot): Promise<Token> => describeToken(cryptoki, slot);
  if (!namesObject(selection)) {
    const described = await forEachUsable(context, slots, describe);
    // A token that is not initialised, such as SoftHSM's free slot, holds no objects.
    const initialised = described.filter(isInitialised);
    return open(await onlyToken(context, initialised.length > 0 ? initialised : described));
  }
  const sessions = await forEachUsable(context, slots, async (slot) => {
    try {
      return await open(slot);
    } catch (error) {
      if (!isInitialised(await describe(slot))) return undefined;
      throw error;
    }
  });
  const opened = sessions.filter((session) => session !== undefined);
  const holders = await holdersOf(opened, withoutType(selection), order);
  const [first, ...more] = holders;
  if (first && more.length === 0) return first;
  if (first) return open(await onlyToken(context, await Promise.all(holders.map((session) => session.tokenInfo()))));
  // An object that is visible only after login may be on any of them, and each has its own PIN.
  const hidden = "if it shows only after login, choose its token with --token";
  throw new NotFoundError(
    `no object${describeSelection(withoutType(selection))} on the ${opened.length} tokens; ${hidden}`,
  );
}

const isInitialised = ({ flags }: Pick<Token, "flags">): boolean => (flags & CKF_TOKEN.TOKEN_INITIALIZED) !== 0;

/** The sessions whose tokens have such an object. */
async function holdersOf(
  sessions: readonly AnySession[],
  named: Selection,
  order: SearchOrder,
): Promise<readonly AnySession[]> {
  const all: readonly (ObjectType | undefined)[] = [undefined];
  for (const types of [...order, all]) {
    const holders: AnySession[] = [];
    for (const session of sessions) if (await hasAny(session, named, types)) holders.push(session);
    if (holders.length > 0) return holders;
  }
  return [];
}

async function hasAny(
  session: AnySession,
  named: Selection,
  types: readonly (ObjectType | undefined)[],
): Promise<boolean> {
  for (const type of types) {
    if ((await session.find(searchTemplate({ ...named, ...(type && { type }) }))).length > 0) return true;
  }
  return false;
}
