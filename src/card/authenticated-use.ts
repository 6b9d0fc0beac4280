import type { Card } from "./card.ts";
import type { CardHold } from "./card-hold.ts";
import type { AuthenticatedUse, KeyPrimitive } from "./types.ts";

/** How a profile verifies a PIN for one use of a key, and uses the key; both within the hold that they are given. */
export interface HeldUse {
  readonly verify: (hold: CardHold) => Promise<void>;
  readonly use: (
    hold: CardHold,
    primitive: KeyPrimitive,
    input: Uint8Array,
    signal?: AbortSignal,
  ) => Promise<Uint8Array>;
}

/**
 * Verifies a PIN for one use of a key, and keeps the card from the verification to that use, so that no command comes between them.
 * What the use needs of the card besides must have been read before: it would wait for the hold to end.
 * @throws what `verify` throws; {@link CardAccessError}.
 */
export async function authenticateUse(
  card: Card,
  { verify, use }: HeldUse,
  signal?: AbortSignal,
): Promise<AuthenticatedUse> {
  const hold = await card.holdTurn(signal);
  try {
    await verify(hold);
  } catch (error) {
    await hold[Symbol.asyncDispose]();
    throw error;
  }
  return {
    get ended() {
      return hold.ended;
    },
    use: async (primitive, input, signal) => {
      try {
        return await use(hold, primitive, input, signal);
      } finally {
        await hold[Symbol.asyncDispose]();
      }
    },
    [Symbol.asyncDispose]: () => hold[Symbol.asyncDispose](),
  };
}
