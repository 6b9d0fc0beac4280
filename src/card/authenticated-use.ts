import { type CallOptions, throwIfAborted } from "../async/index.ts";
import { cancelled, LoginRequiredError, PinError } from "./errors.ts";
import type { Card } from "./card.ts";
import type { CardHold } from "./card-hold.ts";
import type { AuthenticatedUse } from "./contract.ts";
import type { KeyPrimitive } from "./objects.ts";

/** How a profile verifies a PIN for one use of a key, and uses the key; both within the given hold. */
export interface HeldUse {
  /** The PIN, which the caller owns; null if the user types it on the reader. */
  readonly pin: Uint8Array | null;
  readonly verify: (hold: CardHold, pin: Uint8Array | null, options?: CallOptions) => Promise<void>;
  readonly use: (
    hold: CardHold,
    primitive: KeyPrimitive,
    input: Uint8Array,
    options?: CallOptions,
  ) => Promise<Uint8Array>;
}

/**
 * Verifies a PIN for one use of a key, and holds the card from the verification to that use, so that no command comes
 * between them. Everything else that the use needs must have been read before: it would wait for the end of the hold.
 *
 * A caller of this process that waits meanwhile goes first after a moment: it may be one that the use itself waits for. The PIN is then
 * verified once more, right before the use. It is the one that this transaction verified before, so that no try is spent
 * (docs/decisions/context-login.md). A PIN that was typed on the reader is not known, and the others wait for the use.
 * @param options Its signal is looked at before the PIN is sent, and not after: the caller's wait is the caller's to end.
 * @throws what `verify` throws; {@link CardAccessError}.
 */
export async function authenticateUse(
  card: Card,
  { pin, verify, use }: HeldUse,
  options?: CallOptions,
): Promise<AuthenticatedUse> {
  const hold = await card.holdTurn(options);
  try {
    throwIfAborted(options?.signal, cancelled);
    // Waits for the card's answer even if the caller has left: a refusal that is lost would cost a second try later.
    await verify(hold, pin, pin === null ? options : undefined);
  } catch (error) {
    await hold[Symbol.asyncDispose]();
    throw error;
  }
  if (pin !== null) hold.lend(pin);
  return {
    get ended() {
      return hold.ended;
    },
    use: async (primitive, input, options) => {
      try {
        const again = await hold.claim(options);
        if (again) await verify(hold, again, options).catch(rejectLogin);
        return await use(hold, primitive, input, options);
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
