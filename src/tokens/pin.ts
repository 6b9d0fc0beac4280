import { copySecret, secretUtf8, wipe } from "../bytes/index.ts";
import type { TokenDescription } from "../cryptoki/index.ts";
import { TokenError } from "./error.ts";

/** A PIN. Bytes are wiped after their use; null leaves it to the keys of the reader. */
export type Pin = string | Uint8Array | null;

/** What a token says of itself. */
export interface TokenInfo extends Omit<TokenDescription, "slotID" | "slotDescription" | "slotManufacturerID"> {
  readonly slot: number;
  /** The name of the reader. */
  readonly reader: string;
  /** The PKCS #11 URI that names this token wherever it is plugged in. */
  readonly uri: string;
}

/** How the user's PIN stands. */
export interface PinState {
  readonly status: "usable" | "low" | "final-try" | "locked" | "not-set" | "must-change";
  /** Where the PIN is typed: here, or on the keys of the reader. */
  readonly entry: "host" | "reader";
  /** In bytes. */
  readonly minLength: number;
  readonly maxLength: number;
}

/** The key for which a PIN is asked. */
export interface KeyInfo {
  /** CKA_ID, lower-case hexadecimal; empty if it has none. */
  readonly id: string;
  /** CKA_LABEL. */
  readonly label: string;
  /** The name that the card has for the key, where it has one: "9a". */
  readonly reference: string | undefined;
}

/** What a PIN is asked for. */
export interface PinRequest {
  /** "login" lasts until the token forgets it; "use" is for one use of a key that wants the PIN each time (CKA_ALWAYS_AUTHENTICATE). */
  readonly purpose: "login" | "use";
  /** The last PIN for this token was wrong. */
  readonly again: boolean;
  /** The key that is about to be used, if the request is for a key. */
  readonly key: KeyInfo | undefined;
  /** Asks the token what it says of itself; on many cards that costs an exchange. */
  readonly token: () => Promise<TokenInfo>;
  /** Asks the token how its PIN stands. No try is spent. */
  readonly pinState: () => Promise<PinState>;
  /** Aborts when the PIN is not wanted any more. */
  readonly signal: AbortSignal | undefined;
}

/** Gives a PIN when one is wanted. What it throws, the operation that wanted the PIN throws. */
export type PinSource = (request: PinRequest) => Pin | Promise<Pin>;

/**
 * The bytes of a PIN; those of the caller where it is bytes already.
 * @throws {TokenError} BAD_INPUT for anything else: callers in JavaScript have no types.
 */
export function pinBytes(pin: Pin): Uint8Array | null {
  if (pin === null || pin instanceof Uint8Array) return pin;
  if (typeof pin === "string") return secretUtf8(pin);
  throw new TokenError(
    "BAD_INPUT",
    `a PIN is text, a Uint8Array, or null for the keys of the reader; not ${typeof pin}`,
  );
}

/** The longest time of a timer, in milliseconds; a longer one would end at once. */
const LONGEST_TIMER = 0x7fff_ffff;

interface Remembered {
  readonly pin: Uint8Array;
  readonly timer: ReturnType<typeof setTimeout>;
}

export interface RememberOptions {
  /** How long a PIN is remembered, from when it was given. */
  readonly milliseconds: number;
}

/**
 * A source that remembers the PIN of each token for a time, for keys that want it before each use. It is forgotten, and wiped, after
 * that time, when the token refuses it, and by its disposal.
 */
export function rememberPin(source: PinSource, options: RememberOptions): PinSource & Disposable {
  const remembered = new Map<string, Remembered>();
  let disposals = 0;
  const forget = (name: string): void => {
    const known = remembered.get(name);
    if (!known) return;
    clearTimeout(known.timer);
    wipe(known.pin);
    remembered.delete(name);
  };
  const ask = async (request: PinRequest): Promise<Pin> => {
    const { slot, uri } = await request.token();
    // Cards without a serial number may share a URI; a PIN must not go to the wrong one.
    const name = `${slot} ${uri}`;
    if (request.again) forget(name);
    const known = remembered.get(name);
    if (known) return copySecret(known.pin);
    const before = disposals;
    const pin = pinBytes(await source(request));
    if (pin === null || disposals !== before) return pin;
    forget(name);
    const timer = setTimeout(
      () => {
        forget(name);
      },
      Math.min(options.milliseconds, LONGEST_TIMER),
    );
    (timer as { unref?: () => void }).unref?.();
    remembered.set(name, { pin: copySecret(pin), timer });
    return pin;
  };
  return Object.assign(ask, {
    [Symbol.dispose]: () => {
      disposals++;
      for (const name of [...remembered.keys()]) forget(name);
    },
  });
}
