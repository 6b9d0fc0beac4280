import type { TokenDescription } from "../cryptoki/index.ts";

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

interface Remembered {
  readonly pin: Uint8Array;
  readonly timer: ReturnType<typeof setTimeout>;
}

/**
 * A source that remembers the PIN of each token for a time, for keys that want it before each use. It is forgotten, and wiped, after
 * that time, when the token refuses it, and by its disposal.
 * @param options.milliseconds How long a PIN is remembered, from when it was given.
 */
export function rememberPin(
  source: PinSource,
  { milliseconds }: { readonly milliseconds: number },
): PinSource & Disposable {
  const remembered = new Map<string, Remembered>();
  const forget = (uri: string): void => {
    const known = remembered.get(uri);
    if (!known) return;
    clearTimeout(known.timer);
    known.pin.fill(0);
    remembered.delete(uri);
  };
  const ask = async (request: PinRequest): Promise<Pin> => {
    const { uri } = await request.token();
    if (request.again) forget(uri);
    const known = remembered.get(uri);
    if (known) return Uint8Array.from(known.pin);
    const pin = await source(request);
    if (pin === null) return pin;
    forget(uri);
    const timer = setTimeout(() => {
      forget(uri);
    }, milliseconds);
    (timer as { unref?: () => void }).unref?.();
    remembered.set(uri, { pin: typeof pin === "string" ? new TextEncoder().encode(pin) : Uint8Array.from(pin), timer });
    return pin;
  };
  return Object.assign(ask, {
    [Symbol.dispose]: () => {
      for (const uri of [...remembered.keys()]) forget(uri);
    },
  });
}
