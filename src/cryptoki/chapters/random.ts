import { randomBytes } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { requireBytes, requireCount } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";

/** More than any caller needs at a time. */
const MAX_LENGTH = 2 ** 24;

/** The host's generator, or the application's: it needs no exchange, and is no worse than a card's. */
export function generateRandom(
  application: Application,
  handle: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    () => {
      requireCount(length, "the length", MAX_LENGTH);
      return application.engines.random?.(length) ?? randomBytes(length);
    },
    signal,
  );
}

/** The host's generator seeds itself. */
export function seedRandom(
  application: Application,
  handle: number,
  seed: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    () => {
      requireBytes(seed, "the seed");
      throw new CryptokiError(CKR.RANDOM_SEED_NOT_SUPPORTED);
    },
    signal,
  );
}

/** Neither is what a function that takes its time here is ended by: that is its AbortSignal. */
export function notParallel(application: Application, handle: number): void {
  application.sessions.get(handle);
  throw new CryptokiError(CKR.FUNCTION_NOT_PARALLEL);
}
