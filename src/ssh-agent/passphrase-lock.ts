import { pause, SerialQueue, type Signals } from "../async/index.ts";
import { secretBytes, wipe } from "../bytes/index.ts";
import { pbkdf2Hmac, randomBytes, sameSecret } from "../crypto/index.ts";

const ITERATIONS = 100_000;
/** Milliseconds of delay after each wrong passphrase, added up, and the longest delay. */
const DELAY = 100;
const LONGEST_DELAY = 10_000;

/** A lock with a passphrase, which is kept as a salted hash only. */
export class PassphraseLock {
  readonly #queue = new SerialQueue();
  #locked: { readonly salt: Uint8Array; readonly hash: Uint8Array } | undefined;
  #failures = 0;

  get isLocked(): boolean {
    return this.#locked !== undefined;
  }

  /** @returns False if it is locked already. */
  lock(passphrase: Uint8Array, signals?: Signals): Promise<boolean> {
    return this.#queue.run(async () => {
      if (this.#locked) return false;
      const salt = randomBytes(16);
      this.#locked = { salt, hash: await pbkdf2Hmac("sha256", passphrase, salt, ITERATIONS, 32) };
      return true;
    }, signals);
  }

  /** A wrong passphrase costs time: more with each. @returns False for a wrong one, and if it is not locked. */
  unlock(passphrase: Uint8Array, signals?: Signals): Promise<boolean> {
    return this.#queue.run(async () => {
      if (!this.#locked) return false;
      const { salt, hash } = this.#locked;
      const given = await pbkdf2Hmac("sha256", passphrase, salt, ITERATIONS, 32);
      if (sameSecret(given, hash)) {
        wipe(hash);
        this.#locked = undefined;
        this.#failures = 0;
        return true;
      }
      this.#failures++;
      await pause(Math.min(this.#failures * DELAY, LONGEST_DELAY));
      return false;
    }, signals);
  }
}

/** Reads a passphrase out of a message, which is wiped afterwards. */
export function copyPassphrase(view: Uint8Array): Uint8Array {
  const copy = secretBytes(view.length);
  copy.set(view);
  return copy;
}
