import type { TraceEvent } from "../apdu/index.ts";
import type { CallEvent } from "../cryptoki/index.ts";
import { BoundedLog } from "./bounded-log.ts";

/** Entries that are kept for clients that begin to follow. */
const KEPT = 512;

/** A call of a PKCS #11 function, or an exchange with a card; without secrets. */
export type TraceEntry = { readonly call: CallEvent } | { readonly apdu: TraceEvent };

/** The calls and exchanges of the service, for clients that follow them. */
export class TraceFeed {
  readonly #log = new BoundedLog<TraceEntry>(KEPT);

  /** Receives each exchange with a card. */
  readonly apdu = (apdu: TraceEvent): void => {
    this.#log.add({ apdu });
  };

  /** Receives each call. */
  readonly call = (call: CallEvent): void => {
    this.#log.add({ call });
  };

  /** What is kept, and then each entry as it comes. An undefined one stands for entries that the client missed. */
  follow(signal: AbortSignal): AsyncGenerator<TraceEntry | undefined> {
    return this.#log.from(this.#log.first, signal);
  }
}
