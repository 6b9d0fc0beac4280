import type { CallOptions } from "../async/index.ts";
import { TokenError } from "../tokens/index.ts";
import type { Directory, ServedToken } from "./directory.ts";
import type { Events } from "./events.ts";
import { fingerprintOf } from "./fingerprint.ts";

const DAY = 86_400_000;

/** Tells of certificates that end soon: when their token comes, when one is written, and once a day. */
export class ExpiryWatch {
  readonly #directory: Directory;
  readonly #events: Events;
  readonly #days: number;

  /** @param days Before the end of a certificate in which events name it. */
  constructor(directory: Directory, events: Events, days: number) {
    this.#directory = directory;
    this.#events = events;
    this.#days = days;
  }

  /** Looks at every token once a day, until `signal` aborts. */
  start(signal: AbortSignal): void {
    const timer = setInterval(() => {
      void this.#lookAtAll({ signal });
    }, DAY);
    timer.unref();
    signal.addEventListener(
      "abort",
      () => {
        clearInterval(timer);
      },
      { once: true },
    );
  }

  /** Emits an event for each certificate of a token that ends soon, or has ended. A token that cannot be read has none. */
  async lookAt({ name, info, token }: ServedToken, options: CallOptions = {}): Promise<void> {
    const until = Date.now() + this.#days * DAY;
    try {
      for await (const certificate of token.certificates.find({}, options)) {
        const { notAfter, subject, serialNumber } = certificate;
        if (notAfter.getTime() > until) continue;
        const key = fingerprintOf(certificate);
        const data = { subject, serialNumber, notAfter: notAfter.toISOString(), ...(key !== undefined && { key }) };
        this.#events.emit("certificate.expiring", name, info, data);
      }
    } catch (error) {
      if (!(error instanceof TokenError) && !options.signal?.aborted) throw error;
    }
  }

  async #lookAtAll(options: CallOptions): Promise<void> {
    const tokens = await this.#directory.tokens(options).catch(() => []);
    for (const served of tokens) await this.lookAt(served, options);
  }
}
