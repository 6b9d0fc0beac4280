import { MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../../apdu/index.ts";
import { toHex } from "../../bytes/index.ts";
import {
  CardAccessError,
  type CardPrivateKey,
  isUnsupportedUse,
  type KeyPrimitive,
  LoginRequiredError,
  UnsupportedError,
  UseRefusedError,
} from "../../card/index.ts";
import { curveInfo, keyTypeOf, type NamedCurve, truncateDigest } from "../../crypto/index.ts";
import type { KeyFacts, KeyOperation, KeyUse } from "./key-use.ts";
import type { PlacedKey } from "../objects/entry-objects.ts";
import { type FilePath, parentOf, pathName, resolve } from "../files/paths.ts";
import type { Pkcs15Session } from "../files/session.ts";
import { USAGE } from "../syntax/key.ts";
import { ACCESS } from "../syntax/object.ts";
import type { CardSession } from "../files/card-session.ts";

/** A private key, with all data that must be read before its use. */
export interface KnownKey {
  readonly key: CardPrivateKey;
  readonly placed: PlacedKey;
  readonly facts: KeyFacts;
}

/** The data of a key for a use. */
export async function keyFacts(key: CardPrivateKey, placed: PlacedKey): Promise<KeyFacts> {
  const bytes = knownBytes(placed) ?? (await bytesOf(key));
  return { ...factsOf(placed), bytes, publicKey: await publicKeyFor(key, placed) };
}

/** Environments that had to be set for a key before its public half is read. */
const OFTEN = 8;

/**
 * The public half, if it is known; or if the environment was set so often that reading it costs less: results that can be checked need no
 * environment of their own.
 */
async function publicKeyFor(key: CardPrivateKey, placed: PlacedKey): Promise<Uint8Array | undefined> {
  const atHand = await placed.publicKeyAtHand();
  if (atHand || (placed.timesPrepared ?? 0) < OFTEN) return atHand;
  placed.timesPrepared = 0;
  try {
    return await key.publicKey();
  } catch (error) {
    if (error instanceof CardAccessError) throw error;
    // The card does not tell it: uses go on as before.
    return undefined;
  }
}

function factsOf({ entry, algorithms }: PlacedKey): Omit<KeyFacts, "bytes"> {
  const path = entry.value?.kind === "file" ? entry.value.file.path : new Uint8Array();
  return {
    type: entry.type === "ec" ? "ec" : "rsa",
    reference: entry.key.keyReference,
    file: path.length >= 2 ? path.subarray(-2) : new Uint8Array(),
    authenticates: authenticatesOnly(entry),
    algorithms,
  };
}

const CURVES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];

/**
 * The data of an EC key whose curve would have to be read, for a signature that shows whether the curve is the one on which `input` is as
 * long as a coordinate; there it needs neither padding nor truncation. Undefined if the curve is known, or there is no such curve.
 * @param input A digest; for "ecdsa-sha1" the message, which the card hashes: any curve does.
 */
async function assumedFacts(
  placed: PlacedKey,
  primitive: KeyPrimitive,
  input: Uint8Array,
): Promise<KeyFacts | undefined> {
  const isDigest = primitive === "ecdsa";
  const fits = !isDigest || CURVES.some((curve) => curveInfo(curve).bits === 8 * input.length);
  if (placed.entry.type !== "ec" || (!isDigest && primitive !== "ecdsa-sha1") || !fits) return undefined;
  if (knownBytes(placed) !== undefined || (await placed.publicKeyAtHand())) return undefined;
  return { ...factsOf(placed), bytes: isDigest ? input.length : 0, isAssumed: true };
}

/**
 * A signature of a key whose curve would have to be read ({@link assumedFacts}).
 * @returns Undefined if it must be: the curve is known, the card refuses, or the numbers are those of another curve.
 */
export async function signOnAnyCurve(
  placed: PlacedKey,
  primitive: KeyPrimitive,
  input: Uint8Array,
  compute: (facts: KeyFacts) => Promise<Uint8Array>,
): Promise<Uint8Array | undefined> {
  const facts = await assumedFacts(placed, primitive, input);
  if (!facts) return undefined;
  try {
    const result = await compute(facts);
    placed.shownBytes = result.length / 2;
    return primitive !== "ecdsa" || result.length === 2 * input.length ? result : undefined;
  } catch (error) {
    const isRefusal =
      error instanceof StatusError || error instanceof UnsupportedError || error instanceof MalformedAnswerError;
    if (!isRefusal) throw error;
    return undefined;
  }
}

/** A digest as long as the order of the key's curve at most (FIPS 186-5 section 6.4.1). */
export function fittingDigest({ type, bytes }: KeyFacts, primitive: KeyPrimitive, input: Uint8Array): Uint8Array {
  const curve = CURVES.find((one) => curveInfo(one).bytes === bytes);
  return type === "ec" && primitive === "ecdsa" && curve ? truncateDigest(input, curve) : input;
}

/** The environment's key; undefined if the use needs none. */
export function environmentName({ environment }: KeyUse): string | undefined {
  return environment && `${environment.p1} ${environment.p2} ${toHex(environment.data ?? new Uint8Array())}`;
}

/** The key's file, if it must be current for this use; undefined if its DF is enough. */
export function currentKeyFile(
  { applicationDf }: Pkcs15Session,
  { entry }: PlacedKey,
  { inKeyFile = false }: KeyUse,
): FilePath | undefined {
  if (!inKeyFile || entry.value?.kind !== "file" || entry.value.file.path.length < 2) return undefined;
  return resolve(applicationDf, entry.value.file);
}

/**
 * Makes the key's DF or file current and sets the environment, unless it is set.
 * @throws {LoginRequiredError} if the card needs the PIN; {@link UnsupportedError} if the key does not allow this use.
 */
export async function prepareKey(
  session: Pkcs15Session,
  turn: CardSession,
  key: CardPrivateKey,
  placed: PlacedKey,
  use: KeyUse,
): Promise<void> {
  const file = currentKeyFile(session, placed, use);
  if (file) await turn.select(file);
  else await enterForKey(session, turn, placed);
  const { environment } = use;
  const wanted = environmentName(use);
  if (!environment || turn.environment === wanted) return;
  // The old environment is gone, also if the card refuses.
  turn.hold(undefined);
  const { sw } = await turn.send(environment);
  if (sw !== SW.OK) throw useFailure(key, "MANAGE SECURITY ENVIRONMENT", sw);
  turn.hold(wanted);
  placed.timesPrepared = (placed.timesPrepared ?? 0) + 1;
}

/** Sends the commands of one use of a key whose environment is set. Errors as for {@link prepareKey}. */
export async function computeWithKey(turn: CardSession, key: CardPrivateKey, use: KeyUse): Promise<Uint8Array> {
  let answer: ResponseApdu = { data: new Uint8Array(), sw: SW.OK };
  for (const command of use.commands) {
    answer = await turn.send(command);
    if (answer.sw === SW.OK) continue;
    turn.hold(undefined);
    throw useFailure(key, command.ins === 0x2a ? "PERFORM SECURITY OPERATION" : "the use of the key", answer.sw);
  }
  return use.read(answer.data);
}

/** The environment names keys of the DF that is current. */
async function enterForKey(session: Pkcs15Session, turn: CardSession, { entry }: PlacedKey): Promise<void> {
  if (entry.value?.kind !== "file" || entry.value.file.path.length < 2) return;
  const df = session.applicationDf;
  const place = resolve(df, entry.value.file);
  await turn.enter(pathName(place) === pathName(df) ? place : parentOf(place));
}

function authenticatesOnly({ head }: PlacedKey["entry"]): boolean {
  const allows = (mode: number): boolean => head.accessRules.some(({ modes }) => modes.has(mode));
  return allows(ACCESS.AUTHENTICATE) && !allows(ACCESS.SIGN);
}

/** Bytes of the modulus or the field, from the directory or an earlier signature; undefined if only the public key tells. */
function knownBytes({ entry, shownBytes }: PlacedKey): number | undefined {
  const told = entry.modulusBits ?? entry.fieldBits;
  if (told !== undefined && told > 0) return Math.ceil(told / 8);
  return entry.curve ? curveInfo(entry.curve).bytes : shownBytes;
}

async function bytesOf(key: CardPrivateKey): Promise<number> {
  const type = keyTypeOf(await key.publicKey());
  return Math.ceil((type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits) / 8);
}

/** For cards with different commands for signatures and decipherment, although the raw operation is the same. */
export function operationOf(
  { entry }: PlacedKey,
  { bytes }: KeyFacts,
  primitive: KeyPrimitive,
  input: Uint8Array,
): KeyOperation {
  if (primitive === "ecdh") return "derive";
  if (primitive === "rsa-pkcs1") return input.length === bytes ? "decipher" : "sign";
  if (primitive !== "rsa-raw") return "sign";
  const { usage } = entry.key;
  if (!usage.hasAny(USAGE.DECIPHER, USAGE.UNWRAP)) return "sign";
  if (!usage.hasAny(USAGE.SIGN, USAGE.SIGN_RECOVER, USAGE.NON_REPUDIATION)) return "decipher";
  // Padding of a signature (RFC 8017 section 9.2); deciphering gives the same result for anything else.
  return input[0] === 0x00 && input[1] === 0x01 && input[2] === 0xff ? "sign" : "decipher";
}

export function loginRequired(key: CardPrivateKey, cause?: StatusError): LoginRequiredError {
  const when = key.alwaysAuthenticate ? "immediately before each use of this key" : "before it uses this key";
  return new LoginRequiredError(`the card needs the PIN ${when}`, { cause });
}

/** For a refusal although the user is logged in. */
export function useRefused(cause: unknown): UseRefusedError {
  const why = "its rules may not allow this use, or require something else";
  return new UseRefusedError(`the card refused to use the key, and the PIN was given: ${why}`, { cause });
}

function useFailure(key: CardPrivateKey, action: string, sw: number): Error {
  const cause = new StatusError(action, sw);
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED) return loginRequired(key, cause);
  if (isUnsupportedUse(sw))
    return new UnsupportedError("the card does not support this operation with this key", { cause });
  return cause;
}
