import { equalBytes } from "../../bytes/index.ts";
import type { NewKey } from "../../certificates/index.ts";
import type { PublicKey } from "../../crypto/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { CommandContext } from "../context.ts";
import { EXIT, exitCodeOf, UsageError } from "../output/failures.ts";
import type { TokenSession } from "../session.ts";
import { hexArgument, LIMIT, readWhole, systemCode } from "./files.ts";
import { placeName, referenceOf } from "./key-place.ts";
import { readPolicy } from "./key-policy.ts";
import { proveOnToken } from "./key-proof.ts";
import { KEY_TYPES, newKeyTemplates } from "./new-key.ts";
import { listTokens, onCardToken } from "./token.ts";

/** What the key of a renewed certificate is to be. */
export interface NewKeyOptions {
  /** One of KEY_TYPES. */
  readonly newKey?: string;
  readonly newId?: string;
  readonly policy?: string;
  readonly label?: string;
}

/**
 * The new key that the options ask for; undefined if the key is kept.
 * @throws {UsageError} if it has no place, or could not sign its own request.
 */
export async function newKeyOf(
  session: TokenSession,
  id: Uint8Array,
  options: NewKeyOptions,
): Promise<NewKey | undefined> {
  const policy = readPolicy(options.policy);
  const type = options.newKey === undefined ? undefined : KEY_TYPES[options.newKey];
  if (!type) {
    if (options.newId !== undefined || policy.length > 0)
      throw new UsageError("--new-id and --policy are for --new-key");
    return undefined;
  }
  const { token } = session;
  const place = options.newId === undefined ? id : hexArgument(options.newId, "--new-id");
  const isPiv = referenceOf(token, id) !== undefined;
  if (isPiv && options.newId !== undefined)
    throw new UsageError("--new-id: on a PIV card a new key takes the old one's place");
  if (!isPiv && equalBytes(place, id)) {
    throw new UsageError(
      `the key in ${placeName(token, id)} stays on this card; name the new one's CKA_ID with --new-id`,
    );
  }
  if (isPiv && "p256 p384".includes(options.newKey ?? "")) await requireOwnRequest(session, id);
  const { label } = options;
  return { id: place, ...newKeyTemplates(type, place, { policy, ...(label !== undefined && { label }) }) };
}

/** Before an old key is destroyed: an EC key in 9D signs its request on cards with Yubico's commands only. */
async function requireOwnRequest(session: TokenSession, id: Uint8Array): Promise<void> {
  const { context, token } = session;
  const reference = referenceOf(token, id);
  if (reference === undefined || ["9a", "9c", "9e"].includes(reference)) return;
  const all = await listTokens(context);
  const here = all.find(({ slotID }) => slotID === token.slotID) ?? token;
  const device = await onCardToken(context, here, all.includes(here) ? all : [here], async (cardToken) =>
    cardToken.deviceInfo?.(),
  );
  if (device?.firmware !== undefined) return;
  throw new UsageError(
    `an EC key in ${placeName(token, id)} cannot sign its own request on this card; make an RSA key: --new-key rsa2048`,
  );
}

/**
 * The request that an earlier call wrote; undefined if there is none, it was cut off while it was written, or --force says to write over it.
 * @throws {FileError} if the file cannot be read.
 */
export async function earlierRequest(
  { options, signal }: CommandContext,
  file: string,
): Promise<Uint8Array | undefined> {
  if (options.force) return undefined;
  let bytes: Uint8Array;
  try {
    bytes = await readWhole(file, signal, LIMIT.KEY);
  } catch (error) {
    if (error instanceof Error && systemCode(error.cause) === "ENOENT") return undefined;
    throw error;
  }
  const text = Buffer.from(bytes).toString("latin1");
  const isCut = text.startsWith("-----BEGIN CERTIFICATE REQUEST-----") && !text.includes("-----END ");
  return bytes.length === 0 || isCut ? undefined : bytes;
}

/** Whether a key works as the private half of `publicKey`: a card refuses, or computes something else, with another one. */
export async function signsAsKeyOf(session: TokenSession, id: Uint8Array, publicKey: PublicKey): Promise<boolean> {
  try {
    return (await proveOnToken(session, id, publicKey))?.isRight ?? true;
  } catch (error) {
    const isOfKey = error instanceof CryptokiError && exitCodeOf(error) === EXIT.FAILURE;
    if (!isOfKey || error.rv === CKR.DEVICE_REMOVED) throw error;
    return false;
  }
}
