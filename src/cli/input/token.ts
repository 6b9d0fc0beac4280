import { DataError } from "../../bytes/index.ts";
import { Card, type CardApplication, CardRecognition, type CardToken, connectCard } from "../../card/index.ts";
import {
  CKF_TOKEN,
  CryptokiError,
  type CryptokiFunctions,
  formatUri,
  isUri,
  matchesToken,
  parseUri,
  type Pkcs11Uri,
  type TokenDescription,
  tokenUri,
} from "../../cryptoki/index.ts";
import { profiles } from "../../index.ts";
import { PcscError, type ReaderState } from "../../pcsc/index.ts";
import type { CommandContext } from "../context.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import { visible } from "../output/printer.ts";
import { canAsk, choose } from "./prompt.ts";

/** Where a token is: its reader, and the properties that distinguish the tokens of one card. */
export interface TokenPlace {
  readonly slotDescription: string;
  /** Among the tokens of its reader, from 0; default: its place among those that are given. */
  readonly position?: number;
}

/**
 * Asks a token for data that PKCS #11 has no function for.
 * @param all The tokens of all readers, in the order of their cards.
 * @throws {NotFoundError} if the reader now holds another card.
 */
export async function onCardToken<T>(
  context: CommandContext,
  token: TokenPlace,
  all: readonly TokenPlace[],
  work: (cardToken: CardToken) => Promise<T>,
): Promise<T> {
  const { slotDescription } = token;
  const index = token.position ?? all.filter((one) => one.slotDescription === slotDescription).indexOf(token);
  const pcsc = await context.pcsc();
  await using card = new Card(await pcsc.connect(slotDescription, { signal: context.signal }), context.cardOptions);
  const recognition = new CardRecognition(profiles);
  const application = (await recognition.claim(card)) ?? (await blankCard(recognition, card));
  const cardToken = application?.tokens[index];
  if (cardToken) return await work(cardToken);
  throw new NotFoundError(`the card in ${slotDescription} has been replaced; try again`);
}

/** A card that can only be initialised. */
async function blankCard(recognition: CardRecognition, card: Card): Promise<CardApplication | undefined> {
  const explained = await recognition.explain(card);
  return typeof explained === "string" ? undefined : explained;
}

/** Whether --reader names this reader, by a part of its name in any case; true without --reader. */
export function wantsReader({ options }: CommandContext, name: string): boolean {
  return options.reader === undefined || name.toLowerCase().includes(options.reader.toLowerCase());
}

/** Why the list of readers is empty. */
export function noReader({ options }: CommandContext): Error {
  if (options.reader === undefined) return new PcscError("SCARD_E_NO_READERS_AVAILABLE");
  return new NotFoundError(
    `no reader whose name contains "${options.reader}"; list the readers with: cryptoki readers`,
  );
}

/** Why none of the readers that --reader names has a card. */
function noCard({ options }: CommandContext, wanted: readonly ReaderState[]): Error {
  const where = options.reader === undefined ? "any reader" : wanted.map(({ name }) => name).join(" or ");
  return new NotFoundError(`no card in ${where}; insert one`);
}

/**
 * The reader to use: the one that --reader names, or the only one with a card in it.
 * @throws {NotFoundError} if there is none; {@link UsageError} if there are several.
 */
export async function chooseReader(context: CommandContext): Promise<string> {
  const readers = await (await context.pcsc()).readers();
  const wanted = readers.filter(({ name }) => wantsReader(context, name));
  if (wanted.length === 0) throw noReader(context);
  const withCard = wanted.filter(({ present }) => present);
  const [first, ...more] = withCard;
  if (!first) throw noCard(context, wanted);
  const exact = withCard.find(({ name }) => name === context.options.reader);
  if (more.length === 0 || exact) return (exact ?? first).name;
  const candidates = withCard.map(({ name }) => name);
  const reason = `${withCard.length} readers have a card`;
  const { environment } = context;
  const chosen = canAsk(environment, context.print.json)
    ? candidates[await choose(reason, candidates, environment)]
    : undefined;
  if (chosen !== undefined) return chosen;
  throw new UsageError(`${reason}; choose one with --reader`, { candidates });
}

/** The slot of a token that is present: known from the list of slots, without an exchange with the card. */
export interface TokenSlot {
  readonly slotID: number;
  readonly slotDescription: string;
  readonly slotManufacturerID: string;
  /** Among the tokens of its reader, from 0. */
  readonly position: number;
}

/** A token that is present, with the information of its slot and token. */
export interface Token extends TokenDescription, TokenSlot {
  /** CKF_ flags of CK_TOKEN_INFO. */
  readonly flags: number;
  /** In bytes. */
  readonly minPinLength: number;
  readonly maxPinLength: number;
}

/**
 * Parses `text`.
 * @throws {UsageError} if it is not a PKCS #11 URI, or holds a PIN, which other users of the machine could see.
 */
export function readUri(text: string): Pkcs11Uri {
  // Also after ";", where the standard expects "?".
  if (/[;?&]pin-value=/u.test(text)) throw pinInUri();
  let uri: Pkcs11Uri;
  try {
    uri = parseUri(text);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(cause.message, { cause });
  }
  if (uri.pinValue === undefined) return uri;
  throw pinInUri();
}

const pinInUri = (): UsageError =>
  new UsageError(
    "other users of this machine can see a PIN in a URI on the command line; use pin-source or --pin-source",
  );

/** Sorts `[uri] [file]`, each of which may be left out: an argument that begins with "pkcs11:" is the URI. */
export function uriAndFile(first: string | undefined, second: string | undefined): { uri?: string; file?: string } {
  if (first === undefined) return {};
  if (isUri(first)) return { uri: first, ...(second !== undefined && { file: second }) };
  if (second === undefined) return { file: first };
  if (isUri(second)) return { uri: second, file: first };
  throw new UsageError(`the command takes one file: ${first} or ${second}`);
}

/** The slots with a token in the readers that --reader names. */
export async function listSlots(context: CommandContext): Promise<TokenSlot[]> {
  const cryptoki = await context.cryptoki();
  const slots: TokenSlot[] = [];
  for (const slotID of await cryptoki.C_GetSlotList(true)) {
    const { slotDescription, manufacturerID: slotManufacturerID } = await cryptoki.C_GetSlotInfo(slotID);
    if (!wantsReader(context, slotDescription)) continue;
    const before = slots.at(-1);
    // The slots of a reader follow each other.
    const position = before?.slotDescription === slotDescription ? before.position + 1 : 0;
    slots.push({ slotID, slotDescription, slotManufacturerID, position });
  }
  return slots;
}

/**
 * The tokens that are present in the readers that --reader names. If one card is not recognised, or another program
 * holds it, the others are still listed; a line on standard error names its reader and the reason.
 * @throws {CryptokiError} the reason, if there is no token at all.
 */
export async function listTokens(context: CommandContext): Promise<Token[]> {
  const cryptoki = await context.cryptoki();
  return forEachUsable(context, await listSlots(context), (slot) => describeToken(cryptoki, slot));
}

/**
 * Does `work` for the token of every slot. A token for which it fails is left out; a line on standard error names its reader and the reason.
 * @throws {CryptokiError} the reason, if there is one token, and it fails.
 */
export async function forEachUsable<Slot extends TokenSlot, T>(
  context: CommandContext,
  slots: readonly Slot[],
  work: (slot: Slot) => Promise<T>,
): Promise<T[]> {
  const done: T[] = [];
  const leftOut: { readonly reader: string; readonly error: CryptokiError }[] = [];
  for (const slot of slots) {
    try {
      done.push(await work(slot));
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      leftOut.push({ reader: slot.slotDescription, error });
    }
  }
  const [only, ...more] = leftOut;
  if (done.length === 0 && only && more.length === 0) throw only.error;
  for (const { reader, error } of leftOut) warn(context, reader, error);
  return done;
}

/** Asks the token in a slot for its label, serial number and the state of its PIN: some exchanges with the card. */
export async function describeToken(cryptoki: CryptokiFunctions, slot: TokenSlot): Promise<Token> {
  const { slotID, slotDescription, slotManufacturerID, position } = slot;
  const { label, manufacturerID, model, serialNumber, flags, ...info } = await cryptoki.C_GetTokenInfo(slotID);
  const { ulMinPinLen: minPinLength, ulMaxPinLen: maxPinLength } = info;
  const description = { slotID, slotDescription, slotManufacturerID, label, manufacturerID, model, serialNumber };
  return { ...description, position, flags, minPinLength, maxPinLength };
}

function warn({ remark, options }: CommandContext, reader: string, { code, message }: CryptokiError): void {
  if (options.json) remark.documentLine({ warning: { reader, name: code, message } });
  else remark.line(`${remark.colours.yellow("warning:")} ${visible(`skipped ${reader}: ${message}`)}`);
}

/** The `tokens` that both `uri` and --token match. */
export async function selectTokens(context: CommandContext, tokens: readonly Token[], uri?: string): Promise<Token[]> {
  const { token: name } = context.options;
  let found = [...tokens];
  if (uri !== undefined) found = await matching(context, readUri(uri), found);
  if (name === undefined) return found;
  return isUri(name) ? matching(context, readUri(name), found) : found.filter((token) => isNamed(token, name));
}

async function matching(context: CommandContext, uri: Pkcs11Uri, tokens: readonly Token[]): Promise<Token[]> {
  const found: Token[] = [];
  for (const token of tokens) if (await describesToken(context, uri, token)) found.push(token);
  return found;
}

/** Whether a token has this name: its label, its serial number in any case, or the number of its slot. */
export function isNamed({ label, serialNumber, slotID }: TokenDescription, name: string): boolean {
  return label === name || serialNumber.toLowerCase() === name.toLowerCase() || String(slotID) === name;
}

/**
 * Whether `uri` matches the token, by its serial number here or by one that other modules show for it. Costs an
 * exchange only if everything but the serial number matches.
 */
export async function describesToken(
  context: CommandContext,
  uri: Pkcs11Uri,
  token: TokenDescription,
): Promise<boolean> {
  if (matchesToken(uri, token)) return true;
  const { serial, ...rest } = uri;
  // Of a server's tokens only the token information is known.
  if (serial === undefined || context.options.server !== undefined || !matchesToken(rest, token)) return false;
  // Any token of the card reports them.
  const others = await onCardToken<readonly string[]>(
    context,
    token,
    [token],
    async (first) => first.otherSerialNumbers?.() ?? [],
  );
  return others.includes(serial);
}

/**
 * Returns the token to use: the one that the URI or --token matches, or the only one.
 * @throws {NotFoundError} if there is none; {@link UsageError} if there are several.
 */
export async function chooseToken(context: CommandContext, uri?: string): Promise<Token> {
  return onlyToken(context, await fittingTokens(context, uri));
}

/**
 * The slots of the tokens that the URI and --token match, at least one. If neither says anything about a token, the cards are not asked.
 * @throws {NotFoundError} if there is none.
 */
export async function fittingSlots(context: CommandContext, uri?: string): Promise<readonly TokenSlot[]> {
  const isNamed = context.options.token !== undefined || (uri !== undefined && describesTokens(readUri(uri)));
  if (isNamed) return fittingTokens(context, uri);
  const slots = await listSlots(context);
  if (slots.length === 0) throw await noToken(context, uri);
  return slots;
}

/** Whether a URI has any attribute that is not of an object, or says where the PIN is. */
function describesTokens(uri: Pkcs11Uri): boolean {
  return Object.keys(uri).some((name) => !OF_OBJECTS.has(name));
}

const OF_OBJECTS: ReadonlySet<string> = new Set<keyof Pkcs11Uri>(["object", "type", "id", "pinSource", "vendorQuery"]);

/** Returns the tokens that the URI and --token match, at least one. @throws {NotFoundError} if there is none. */
export async function fittingTokens(context: CommandContext, uri?: string): Promise<[Token, ...Token[]]> {
  const [first, ...more] = await selectTokens(context, await listTokens(context), uri);
  if (!first) throw await noToken(context, uri);
  return [first, ...more];
}

/**
 * Returns the only element of `fitting`; on a terminal the user chooses.
 * @throws {UsageError} if there are several and no terminal to ask on.
 */
export async function onlyToken(
  context: CommandContext,
  fitting: readonly Token[],
  reason = `${fitting.length} tokens match`,
): Promise<Token> {
  const [first, ...more] = fitting;
  if (first && more.length === 0) return first;
  const { environment } = context;
  const names = fitting.map(({ label, slotDescription }) => `${label}  in ${slotDescription}`);
  const chosen = canAsk(environment, context.print.json)
    ? fitting[await choose(reason, names, environment)]
    : undefined;
  if (chosen) return chosen;
  const candidates = fitting.map((token) => formatUri(tokenUri(token)));
  throw new UsageError(`${reason}; choose one with --token or --reader`, { candidates });
}

/** Why there is no token: no reader, no card, a card that is not recognised, or none that the URI matches. */
export async function noToken(context: CommandContext, uri?: string): Promise<Error> {
  if (context.options.server !== undefined) {
    return new NotFoundError("no token of the server matches; list them with: cryptoki --server ... tokens");
  }
  const readers = (await (await context.pcsc()).readers()).filter(({ name }) => wantsReader(context, name));
  if (readers.length === 0) return noReader(context);
  if (readers.every(({ present }) => !present)) return noCard(context, readers);
  const { token } = context.options;
  if (uri !== undefined || (token !== undefined && isUri(token))) {
    return new NotFoundError("no token matches the URI; list them with: cryptoki tokens");
  }
  if (token !== undefined) {
    const names = "label, serial number or slot number";
    return new NotFoundError(`no token has "${token}" as its ${names}; list them with: cryptoki tokens`);
  }
  return new NotFoundError("no reader holds a card that this program recognises; list them with: cryptoki readers");
}

/** Opens the card in the selected reader; the connection ends with the command. */
export async function openCard(context: CommandContext): Promise<Card> {
  const pcsc = await context.pcsc();
  return context.owns(await connectCard(pcsc, await chooseReader(context), context.cardOptions));
}

/** The state of the user PIN, from the flags of CK_TOKEN_INFO. */
export type PinState = "ok" | "count low" | "final try" | "locked" | "not set" | "not initialised";

/** @param flags Of CK_TOKEN_INFO. */
export function pinState(flags: number): PinState {
  if ((flags & CKF_TOKEN.USER_PIN_LOCKED) !== 0) return "locked";
  if ((flags & CKF_TOKEN.USER_PIN_FINAL_TRY) !== 0) return "final try";
  if ((flags & CKF_TOKEN.USER_PIN_COUNT_LOW) !== 0) return "count low";
  if ((flags & CKF_TOKEN.TOKEN_INITIALIZED) === 0) return "not initialised";
  return (flags & CKF_TOKEN.USER_PIN_INITIALIZED) === 0 ? "not set" : "ok";
}
