import { randomBytes } from "node:crypto";
import type { TokenInfo } from "../tokens/index.ts";
import { BoundedLog } from "./bounded-log.ts";

export type EventType =
  | "token.inserted"
  | "token.removed"
  | "pin.changed"
  | "key.created"
  | "key.deleted"
  | "certificate.written"
  | "certificate.expiring";

/** Something happened to a token. */
export interface ServiceEvent {
  /** What a client gives back in Last-Event-ID. */
  readonly id: string;
  readonly type: EventType;
  readonly token: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Who may see it follows from these. */
  readonly info: TokenInfo;
  readonly key: string | undefined;
}

/** Events that are kept for clients that come back. */
const KEPT = 1024;

/** The events of the service: the last ones are kept, and every listener gets each in order. */
export class Events {
  /** Of this process: an identifier of an earlier one is not taken for one of this. */
  readonly #epoch = randomBytes(4).toString("hex");
  readonly #log = new BoundedLog<ServiceEvent>(KEPT);

  emit(type: EventType, token: string, info: TokenInfo, data: Readonly<Record<string, unknown>> = {}): void {
    const key = typeof data["key"] === "string" ? data["key"] : undefined;
    this.#log.add({ id: `${this.#epoch}-${this.#log.next}`, type, token, info, key, data: { token, ...data } });
  }

  /**
   * The events after one, and then each as it comes. An undefined one says that events are missing: look at everything anew.
   * @param after Last-Event-ID; without it, only what comes from now on.
   * @param signal Ends it; then it throws the signal's reason.
   */
  async *after(after: string | undefined, signal: AbortSignal): AsyncGenerator<ServiceEvent | undefined> {
    let { next } = this.#log;
    if (after !== undefined) {
      const [epoch, number = ""] = after.split("-");
      const known = epoch === this.#epoch && /^\d{1,15}$/u.test(number) ? Number(number) + 1 : 0;
      if (known >= this.#log.first && known <= next) next = known;
      else yield undefined;
    }
    yield* this.#log.from(next, signal);
  }
}
