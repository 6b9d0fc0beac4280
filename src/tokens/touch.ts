import type { KeyPolicy } from "./key-policy.ts";
import type { KeyInfo, TokenInfo } from "./pin.ts";

/** A card that waits, or may be waiting, for a touch. */
export interface TouchRequest {
  /** Asks the token what it says of itself; on many cards that costs an exchange, which waits for the touch. */
  readonly token: () => Promise<TokenInfo>;
  readonly key: KeyInfo;
  /** Whether the key's policy wants a touch for each use; else the card has not answered for half a second. */
  readonly certain: boolean;
  /** Aborts when the card has answered. */
  readonly done: AbortSignal;
}

/** Receives each use of a key that waits for a touch. What it throws is ignored. */
export type TouchListener = (request: TouchRequest) => void;

/** Milliseconds that a card may take before it is said to wait for a touch, where the key's policy does not say. */
const PATIENCE = 500;

/** Runs `work`, in which the card computes with the key, and tells `listener` if it waits for a touch. */
export async function withTouchNotice<T>(
  listener: TouchListener,
  policy: KeyPolicy["touch"],
  request: Pick<TouchRequest, "token" | "key">,
  work: () => Promise<T>,
): Promise<T> {
  if (policy === "never") return work();
  const done = new AbortController();
  const tell = (certain: boolean): void => {
    try {
      listener({ ...request, certain, done: done.signal });
    } catch {
      // The signature does not depend on the notice.
    }
  };
  const isCertain = policy === "always";
  const timer = isCertain
    ? undefined
    : setTimeout(() => {
        tell(false);
      }, PATIENCE);
  if (isCertain) tell(true);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    done.abort();
  }
}
