import { throwIfAborted } from "../async/index.ts";
import { cancelled, LoginRequiredError, PinError } from "./errors.ts";
import type { Card } from "./card.ts";
import type { CardHold } from "./card-hold.ts";
import type { AuthenticatedUse, KeyPrimitive } from "./contract.ts";

/** How a profile verifies a PIN for one use of a key, and uses the key; both within the given hold. */
export interface HeldUse {
  /** The PIN, which the caller owns; null if the user types it on the reader. */
  readonly pin: Uint8Array | null;
  readonly verify: (hold: CardHold, pin: Uint8Array | null, signal?: AbortSignal) => Promise<void>;
  readonly use: (
    hold: CardHold,
    primitive: KeyPrimitive,
    input: Uint8Array,
    signal?: AbortSignal,
  ) => Promise<Uint8Array>;
}

/**
 * Verifies a PIN for one use of a key, and holds the card from the verification to that use, so that no command comes
 * between them. Everything else that the use needs must have been read before: it would wait for the end of the hold.
 *
 * A caller of this process that waits meanwhile goes first after a moment, because the use itself may depend on it. The
 * PIN is then verified once more, right before the use. This transaction verified it before, so that no try is spent
 * (docs/decisions/context-login.md). A PIN that was typed on the reader is unknown, so others wait for the use.
 * @param signal Checked before the PIN is sent, not afterwards: the caller itself ends its wait.
 * @throws the error of `verify`; {@link CardAccessError}.
 */
export async function authenticateUse(
  card: Card,
  { pin, verify, use }: HeldUse,
  signal?: AbortSignal,
): Promise<AuthenticatedUse> {
  const hold = await card.holdTurn(signal);
  try {
    throwIfAborted(signal, cancelled);
    // Waits for the card's answer even if the caller has left: a lost refusal would cost a second try later.
    await verify(hold, pin, pin === null ? signal : undefined);
  } catch (error) {
    await hold[Symbol.asyncDispose]();
    throw error;
  }
  if (pin !== null) hold.lend(pin);
  return {
    get ended() {
      return hold.ended;
    },
    use: async (primitive, input, signal) => {
      try {
        const again = await hold.claim(signal);
        if (again) await verify(hold, again, signal).catch(rejectLogin);
        return await use(hold, primitive, input, signal);
      } finally {
        await hold[Symbol.asyncDispose]();
      }
    },
    [Symbol.asyncDispose]: () => hold[Symbol.asyncDispose](),
  };
}

/** The use failed; its caller gave no PIN for it. */
function rejectLogin(error: unknown): never {
  if (!(error instanceof PinError)) throw error;
  throw new LoginRequiredError(`the PIN was verified, but the card now refuses it: ${error.message}`, {
    cause: error,
  });
}
