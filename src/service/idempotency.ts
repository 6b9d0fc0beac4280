import { createHmac, randomBytes } from "node:crypto";
import { TokenError } from "../tokens/index.ts";
import { ServiceError } from "./problem.ts";

/** Hours that an answer is kept for a repeated request. */
const HOURS = 24;
/** Requests of one client that are known; its oldest answers go first, and never those of another client. */
const REQUESTS = 2000;
/** Bytes of one client's answers that are kept. */
const BYTES = 16 * 2 ** 20;

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
  /** Why it is not known what the card did. */
  unknown?: Error;
  /** Of the first request: it knows what was there before. */
  readonly look: Look | undefined;
}

/** A request that is named by its client. */
export interface NamedRequest {
  readonly client: string;
  /** Its Idempotency-Key. */
  readonly name: string;
  /** The method, the address and the body: another one under the same name is refused. */
  readonly parts: readonly (string | Uint8Array)[];
  readonly look?: Look;
}

/** Looks whether the card did a request whose outcome is not known: its answer, or undefined where nothing is to be seen. */
export type Look = (signal: AbortSignal) => Promise<Answer | undefined>;

/** Gives a repeated request the answer of the first (the Idempotency-Key header). */
export class Idempotency {
  readonly #secret = randomBytes(32);
  readonly #clients = new Map<string, Map<string, Kept>>();
  readonly #now: () => number;

  /** @param now Milliseconds; default: the clock. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * Runs `work` once for each name.
   * The failure of `work` is not kept: the client may repeat a request that failed. An unknown outcome is kept: the card may have made the
   *   key all the same, and a repeat would make a second one. The repeat is answered by the first's look, which `timed` calls with the deadline of the repeat, or by the first's failure.
   * @throws {ServiceError} STILL_RUNNING, KEY_REUSED; CKR_DEVICE_MEMORY if too many of the client's are running.
   */
  async run(
    { client, name, parts, look }: NamedRequest,
    work: () => Promise<Answer>,
    timed: (look: Look) => Promise<Answer | undefined> = (known) => known(new AbortController().signal),
  ): Promise<Answer> {
    const hash = createHmac("sha256", this.#secret);
    for (const part of parts) hash.update(`${part.length}:`).update(part);
    const request = hash.digest("base64");
    const ofClient = this.#of(client);
    const known = ofClient.get(name);
    if (known && (isRunning(known) || known.until > this.#now())) {
      if (known.request !== request)
        throw new ServiceError("KEY_REUSED", "the Idempotency-Key was given with another request; take a new one");
      if (known.unknown) return lookAt(known, known.unknown, timed);
      if (known.answer) return known.answer;
      throw new ServiceError("STILL_RUNNING", "the request with this Idempotency-Key is still running", {
        retryAfter: 1,
      });
    }
    makeRoom(ofClient);
    const kept: Kept = { request, until: this.#now() + HOURS * 3_600_000, answer: undefined, look };
    // Entered anew, so that the order is that of age.
    ofClient.delete(name);
    ofClient.set(name, kept);
    try {
      kept.answer = await work();
      return kept.answer;
    } catch (error) {
      if (error instanceof Error && isUnknown(error, look !== undefined)) kept.unknown = error;
      else ofClient.delete(name);
      throw error;
    }
  }

  /** The answer of a request whose deadline had passed: the work ended after all. */
  settle({ client, name }: NamedRequest, answer: Answer): void {
    const kept = this.#of(client).get(name);
    if (kept?.unknown) settled(kept, answer);
  }

  #of(client: string): Map<string, Kept> {
    const known = this.#clients.get(client) ?? new Map<string, Kept>();
    this.#clients.set(client, known);
    return known;
  }
}

const isRunning = ({ answer, unknown }: Kept): boolean => answer === undefined && unknown === undefined;

/**
 * Whether the card may have done it all the same.
 * @param once Whether a second time would do harm: a signature that a card took with it may be made again, a key may not.
 */
const isUnknown = (error: Error, once: boolean): boolean =>
  (error instanceof ServiceError && ["DEADLINE", "NO_AUDIT"].includes(error.code)) ||
  (once && error instanceof TokenError && error.is("TOKEN_GONE", "CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED"));

function settled(kept: Kept, answer: Answer): Answer {
  kept.answer = answer;
  delete kept.unknown;
  return answer;
}

async function lookAt(kept: Kept, unknown: Error, timed: (look: Look) => Promise<Answer | undefined>): Promise<Answer> {
  const answer = kept.look && (await timed(kept.look));
  if (answer) return settled(kept, answer);
  throw unknown;
}

/** @throws {ServiceError} CKR_DEVICE_MEMORY. */
function makeRoom(kept: Map<string, Kept>): void {
  let bytes = 0;
  for (const { answer } of kept.values()) bytes += answer?.body.length ?? 0;
  for (const [name, one] of kept) {
    if (kept.size < REQUESTS && bytes <= BYTES) return;
    if (isRunning(one)) continue;
    bytes -= one.answer?.body.length ?? 0;
    kept.delete(name);
  }
  if (kept.size >= REQUESTS)
    throw new ServiceError("CKR_DEVICE_MEMORY", "too many requests of the client are running", { retryAfter: 1 });
}
