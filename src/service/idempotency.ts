import { createHmac, randomBytes } from "node:crypto";
import { ServiceError } from "./problem.ts";

/** Hours that an answer is kept for a repeated request. */
const HOURS = 24;
/** Answers that are kept; the oldest go first. */
const CAPACITY = 10_000;

/** An answer that may be given again. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly location?: string;
}

interface Kept {
  /** HMAC of the request under a key that lives in this process only. */
  readonly request: string;
  readonly until: number;
  /** Undefined while the request is still running, and if its outcome is not known. */
  answer: Answer | undefined;
  /** The deadline passed: the card may have done it, or not. */
  unknown?: ServiceError;
}

/** Gives a repeated request the answer of the first (the Idempotency-Key header). */
export class Idempotency {
  readonly #secret = randomBytes(32);
  readonly #kept = new Map<string, Kept>();
  readonly #now: () => number;

  /** @param now Milliseconds; default: the clock. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * Runs `work` once for each name.
   * @param name The client's name and the key that it gave.
   * @param request The method, the address and the body: another one under the same name is refused.
   * @param work Its failure is not kept: the client may repeat a request that failed. A deadline that passed is: the card may have made the
   *   key all the same, and a repeat would make a second one. The client looks at what is there, and takes a new name.
   * @throws {ServiceError} STILL_RUNNING, KEY_REUSED; CKR_DEVICE_MEMORY if too many are running.
   */
  async run(name: string, request: readonly (string | Uint8Array)[], work: () => Promise<Answer>): Promise<Answer> {
    const hash = createHmac("sha256", this.#secret);
    for (const part of request) hash.update(`${part.length}:`).update(part);
    const digest = hash.digest("base64");
    const known = this.#kept.get(name);
    if (known && ((known.answer ?? known.unknown) === undefined || known.until > this.#now())) {
      if (known.request !== digest)
        throw new ServiceError("KEY_REUSED", "the Idempotency-Key was given with another request; take a new one");
      if (known.unknown) throw known.unknown;
      if (!known.answer) {
        throw new ServiceError("STILL_RUNNING", "the request with this Idempotency-Key is still running", {
          retryAfter: 1,
        });
      }
      return known.answer;
    }
    this.#makeRoom();
    const kept: Kept = { request: digest, until: this.#now() + HOURS * 3_600_000, answer: undefined };
    // Entered anew, so that the order is that of age.
    this.#kept.delete(name);
    this.#kept.set(name, kept);
    try {
      kept.answer = await work();
      return kept.answer;
    } catch (error) {
      if (error instanceof ServiceError && error.code === "DEADLINE") kept.unknown = error;
      else this.#kept.delete(name);
      throw error;
    }
  }

  #makeRoom(): void {
    if (this.#kept.size < CAPACITY) return;
    const oldest = [...this.#kept].find(([, { answer, unknown }]) => (answer ?? unknown) !== undefined);
    if (!oldest) throw new ServiceError("CKR_DEVICE_MEMORY", "too many requests are running", { retryAfter: 1 });
    this.#kept.delete(oldest[0]);
  }
}
