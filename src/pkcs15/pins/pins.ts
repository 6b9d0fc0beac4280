import { type CommandApdu, StatusError, SW } from "../../apdu/index.ts";
import { equalBytes, toHex, wipe } from "../../bytes/index.ts";
import { PinError, type PinInfo, type PinRole, type PinStatus, triesLeftText } from "../../card/index.ts";
import { verify } from "../files/commands.ts";
import type { DirectoryItem } from "../objects/contents.ts";
import { encodePin, isPacked, pinBounds } from "./pin-encoding.ts";
import { type FilePath, resolve } from "../files/paths.ts";
import type { Pkcs15Session } from "../files/session.ts";
import type { CardSession } from "../files/card-session.ts";
import { type KeyAuthenticationEntry, PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";
import type { ObjectHead } from "../syntax/object.ts";

/** The PINs of an application, by purpose. */
export interface Pins {
  /** Each of them has its own token. */
  readonly users: readonly PinEntry[];
  readonly officer: PinEntry | undefined;
  readonly unblocking: readonly PinEntry[];
  /** Keys that authenticate to the card. */
  readonly keys: readonly KeyAuthenticationEntry[];
}

export const PIN_NAMES: Readonly<Record<PinRole, string>> = {
  user: "PIN of a user",
  so: "PIN of a security officer",
  puk: "PUK",
};

/**
 * The PIN that protects an object; undefined if none does.
 * @param own The token's: also for an object that does not say which.
 */
export function guardOf(
  { users }: Pins,
  { authId, private: hidden }: Pick<ObjectHead, "authId" | "private">,
  own: PinEntry | undefined,
): PinEntry | undefined {
  if (!authId) return hidden ? own : undefined;
  return users.find((pin) => pin.authId && equalBytes(pin.authId, authId)) ?? own;
}

/**
 * Sorts the PINs of an AODF. For contradicting flags the safer role counts: a PUK cannot log in.
 * @param report Called for contradictions.
 */
export function sortPins(items: readonly DirectoryItem[], report: (where: string, problem: string) => void): Pins {
  const entries = items.flatMap(({ entry }) => (entry.class === "pin" ? [entry] : []));
  const seen = new Set<string>();
  const identifiers = new Set<string>();
  const users: PinEntry[] = [];
  const officers: PinEntry[] = [];
  const unblocking: PinEntry[] = [];
  for (const pin of entries) {
    const isOfficer = pin.flags.has(PIN_FLAG.SO);
    const isUnblocking = pin.flags.has(PIN_FLAG.UNBLOCKING);
    if (isOfficer && isUnblocking) report(pinName(pin), "is both the security officer's and a PUK: treated as a PUK");
    const identifier = toHex(pin.authId ?? new Uint8Array());
    if (pin.authId && identifiers.has(identifier))
      report(pinName(pin), `has the identifier of another PIN: ${identifier}`);
    identifiers.add(identifier);
    for (const problem of contradictions(pin)) report(pinName(pin), problem);
    if (isUnblocking) unblocking.push(pin);
    else if (isOfficer) officers.push(pin);
    else {
      const same = `${pin.reference} ${toHex(pin.path?.path ?? new Uint8Array())}`;
      if (seen.has(same)) report(pinName(pin), "is listed twice");
      else users.push(pin);
      seen.add(same);
    }
  }
  const keys = items.flatMap(({ entry }) => (entry.class === "authentication" && entry.type === "key" ? [entry] : []));
  return { users, officer: officers[0], unblocking, keys };
}

/** Describes impossible length bounds of an entry. */
function contradictions(pin: PinEntry): readonly string[] {
  const { minLength, maxLength } = pinBounds(pin);
  const bytes = isPacked(pin) ? Math.ceil(maxLength / 2) : maxLength;
  const stored = pin.type !== "iso9564-1" && pin.storedLength > 0 ? pin.storedLength : Infinity;
  return [
    ...(minLength > maxLength ? [`at least ${minLength} characters, but at most ${maxLength}`] : []),
    ...(bytes > stored ? [`at most ${maxLength} characters, but ${stored} bytes`] : []),
  ];
}

/** The PUK that an entry names by its own authId; without one, the only PUK. */
export function pukOf({ users, unblocking }: Pins, pin: PinEntry): PinEntry | undefined {
  const { authId } = pin.head;
  const named = authId && unblocking.find((puk) => puk.authId && equalBytes(puk.authId, authId));
  if (named) return named;
  return users.length === 1 && unblocking.length === 1 ? unblocking[0] : undefined;
}

/** The authentication key that an entry names by its own authId, in place of a PUK. */
export function unblockingKeyOf({ keys }: Pins, { head: { authId } }: PinEntry): KeyAuthenticationEntry | undefined {
  return authId && keys.find((key) => key.authId && equalBytes(key.authId, authId));
}

/**
 * The assumed PUK of a PIN without a PUK entry. Cards accept it before the new PIN, in the PIN's length and padding
 * (IsoApplet, IsoApplet.java, processResetRetryCounter; OsEID, fs.c, fs_reset_retry_count). Its state is unknown.
 * @returns Undefined if the entry of the PIN forbids unblocking.
 */
export function unlistedPuk(pin: PinEntry): PinEntry | undefined {
  if (pin.flags.has(PIN_FLAG.UNBLOCK_DISABLED)) return undefined;
  return { ...pin, head: { ...pin.head, label: `PUK of ${pinName(pin)}` } };
}

function pinName(pin: PinEntry): string {
  return pin.head.label || `PIN ${toHex(Uint8Array.of(pin.reference)).toUpperCase()}`;
}

export function pinInfo(pin: PinEntry): PinInfo {
  return { label: pinName(pin), ...pinBounds(pin) };
}

/** Makes the DF of a local PIN current. */
export async function enterForPin(session: Pkcs15Session, turn: CardSession, pin: PinEntry): Promise<void> {
  const place = placeOfPin(session.applicationDf, pin);
  if (place) await turn.enter(place);
}

/** A global PIN can be verified anywhere: the master file is not selected, because that would leave the application. */
function placeOfPin(df: FilePath, pin: PinEntry): FilePath | undefined {
  const place = pin.path ? resolve(df, pin.path) : pin.flags.has(PIN_FLAG.LOCAL) ? df : undefined;
  if (place?.from === "master-file" && place.path.length === 0) return undefined;
  return place;
}

/**
 * Sends a PIN, once.
 * @param build Builds the command from the encoded PIN.
 * @throws {PinError} if it is wrong, blocked, or not accepted by the card; {@link StatusError} for any other refusal.
 */
export async function sendPin(
  turn: Pick<CardSession, "send">,
  pin: PinEntry,
  characters: Uint8Array,
  build: (encoded: Uint8Array) => CommandApdu,
): Promise<void> {
  const encoded = encodePin(pin, characters);
  const command = build(encoded);
  try {
    const { sw } = await turn.send(command);
    if (sw !== SW.OK) throw pinFailure(pin, sw, command.ins);
  } finally {
    wipe(encoded, command.data ?? new Uint8Array());
  }
}

/**
 * Whether the PIN is not set: the card does not know it (6A88), as a SmartCard-HSM before its initialisation, or it has
 * no value (6984) (ISO/IEC 7816-4 section 5.6, table 6).
 */
const NOT_SET: ReadonlySet<number> = new Set([SW.REFERENCE_DATA_NOT_USABLE, SW.REFERENCED_DATA_NOT_FOUND]);
/** For a PUK it only means that there is none. */
const RESET_RETRY_COUNTER = 0x2c;

const COMMANDS: ReadonlyMap<number, string> = new Map([
  [0x20, "VERIFY"],
  [0x24, "CHANGE REFERENCE DATA"],
  [RESET_RETRY_COUNTER, "RESET RETRY COUNTER"],
]);

/** Interprets the refusal of a PIN. */
export function pinFailure(pin: PinEntry, sw: number, ins: number): PinError | StatusError {
  const cause = new StatusError(COMMANDS.get(ins) ?? "the command", sw);
  const name = pinName(pin);
  // 6300 has no number (ISO/IEC 7816-4 table 6).
  if (sw === SW.VERIFICATION_FAILED) return new PinError("incorrect", `${name} is wrong`, undefined, { cause });
  const { triesLeft } = cause;
  if (triesLeft === 0) return new PinError("blocked", `${name} is blocked; unblock it with the PUK`, 0, { cause });
  if (triesLeft !== undefined) {
    return new PinError("incorrect", `${name} is wrong; ${triesLeftText(triesLeft)}`, triesLeft, { cause });
  }
  if (NOT_SET.has(sw) && ins !== RESET_RETRY_COUNTER) {
    return new PinError("not-set", `${name} is not set yet: initialise the card with its maker's program`, undefined, {
      cause,
    });
  }
  if (sw === SW.WRONG_DATA || sw === SW.WRONG_LENGTH) {
    return new PinError(
      "unacceptable",
      `the card does not accept such a PIN for ${name}; no try was spent`,
      undefined,
      {
        cause,
      },
    );
  }
  return cause;
}

/** Interprets the answer to an empty VERIFY: the tries left, whether it is verified, whether it was set. */
type ToldStatus = Pick<PinStatus, "triesLeft" | "verified" | "isSet">;

/**
 * The state of a PIN, by the empty VERIFY, which spends no try. A card that refuses the query does not report it: that
 * is not an error.
 */
export async function readPinStatus(turn: Pick<CardSession, "send">, pin: PinEntry): Promise<ToldStatus> {
  const { sw } = await turn.send(verify(pin.reference));
  if (sw === SW.OK) return { triesLeft: undefined, verified: true };
  if (NOT_SET.has(sw)) return { triesLeft: undefined, verified: false, isSet: false };
  return { triesLeft: new StatusError("VERIFY without a PIN", sw).triesLeft, verified: false };
}
