import type { ServedKey } from "./directory.ts";
import { ServiceError } from "./problem.ts";

/** Seconds after which a client whose request did not fit may come again. */
const RETRY_AFTER = 1;

/** What is at work, by card and by key: work goes to the card with the least of it, and what does not fit is refused. */
export class Workload {
  readonly #limit: number;
  readonly #byKey = new Map<string, number>();
  readonly #byToken = new Map<string, number>();

  /** @param limit Operations that may wait for one key. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `work` with one of the cards that hold a key. @throws {ServiceError} CKR_DEVICE_MEMORY if too many wait for it. */
  async run<T>(holders: readonly ServedKey[], work: (holder: ServedKey) => Promise<T>): Promise<T> {
    const holder = this.#idlest(holders);
    const { fingerprint, served } = holder;
    const waiting = this.#byKey.get(fingerprint) ?? 0;
    if (waiting >= this.#limit) {
      throw new ServiceError("CKR_DEVICE_MEMORY", `${waiting} operations wait for the key already`, {
        retryAfter: RETRY_AFTER,
      });
    }
    add(this.#byKey, fingerprint, 1);
    add(this.#byToken, served.name, 1);
    try {
      return await work(holder);
    } finally {
      add(this.#byKey, fingerprint, -1);
      add(this.#byToken, served.name, -1);
    }
  }

  #idlest(holders: readonly ServedKey[]): ServedKey {
    const load = ({ served }: ServedKey): number => this.#byToken.get(served.name) ?? 0;
    return holders.reduce((best, one) => (load(one) < load(best) ? one : best));
  }
}

function add(counts: Map<string, number>, name: string, by: number): void {
  const count = (counts.get(name) ?? 0) + by;
  if (count === 0) counts.delete(name);
  else counts.set(name, count);
}
