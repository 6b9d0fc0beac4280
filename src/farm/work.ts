import type { JsMsg } from "@nats-io/jetstream";
import { DataError, fromUtf8, utf8 } from "../bytes/index.ts";
import { CardAccessError, PinError, UnsupportedError } from "../card/index.ts";
import { modulusLength } from "./key.ts";
import { decodeRequest, encodeReply, type FarmReply, type FarmRequest, type FarmStatus } from "./message.ts";
import { MAX_DELIVERIES } from "./names.ts";
import { fieldsOf, textOf, type WorkerConnection } from "./nats.ts";
import { decodeResult, encodeResult } from "./result-entry.ts";
import { decide, decodeClaim, encodeClaim, isSecret } from "./rules.ts";
import { seal } from "./seal.ts";
import type { WorkerKey } from "./worker-card.ts";

/** What a request meant for the key: whether the worker goes on with it. */
export type WorkOutcome = "answered" | "card-gone" | "pin-refused";

type Answer = Partial<FarmReply> & { readonly status: FarmStatus };

/** Does one request that was delivered, from its arrival to its acknowledgement. */
export class Work {
  readonly #connection: WorkerConnection;
  readonly #message: JsMsg;
  readonly #key: WorkerKey;

  constructor(connection: WorkerConnection, message: JsMsg, key: WorkerKey) {
    this.#connection = connection;
    this.#message = message;
    this.#key = key;
  }

  /** Waits for the card's turn, and shows the server meanwhile that the request is in good hands. */
  async run(isClosing: () => boolean): Promise<WorkOutcome> {
    const alive = setInterval(() => {
      this.#message.working();
    }, 0.4 * this.#connection.acknowledgeWithin);
    try {
      return await this.#key.card.turns.run(() => {
        if (!isClosing() && !this.#key.card.gone) return this.#handle();
        this.#message.nak();
        return "card-gone";
      });
    } finally {
      clearInterval(alive);
    }
  }

  async #handle(): Promise<WorkOutcome> {
    const message = this.#message;
    let request: FarmRequest;
    try {
      request = decodeRequest(fieldsOf(message.headers), message.data);
    } catch (error) {
      // Without a known place for the answer there is none.
      message.term(textOf(error));
      return "answered";
    }
    const { primitive, input, deadline, id } = request;
    if (Date.now() > deadline)
      return this.#end(request, { status: "late", reason: "the deadline was over before a card was idle" });
    const isSealed = isSecret(primitive, input.length, modulusLength(this.#key.publicKey));
    if (!this.#key.primitives.includes(primitive))
      return this.#end(request, { status: "refused", reason: `the key does not do ${primitive}` });
    if (isSealed && !request.seal)
      return this.#end(request, { status: "refused", reason: "the request brings no key for its secret result" });
    const { results } = this.#connection;
    const entry = await results.get(id);
    const kept = entry?.operation === "PUT" ? fromUtf8(entry.value) : undefined;
    const decision = decide(primitive, decodeClaim(kept));
    if (decision.action === "resend") return this.#end(request, decodeResult(kept) ?? { status: "lost" });
    if (decision.action === "give-up")
      return this.#end(request, { status: "lost", reason: "two cards began it, and neither answered" });
    const claim = utf8(encodeClaim(decision.count));
    if (entry) await results.update(id, claim, entry.revision);
    else await results.create(id, claim);
    return this.#perform(request, isSealed);
  }

  async #perform(request: FarmRequest, isSealed: boolean): Promise<WorkOutcome> {
    const { primitive, input, id } = request;
    const began = Date.now();
    let result: Uint8Array;
    try {
      result = await this.#key.card.use(this.#key, primitive, input);
    } catch (error) {
      return this.#failed(request, error);
    }
    const { timestampNanos } = this.#message.info;
    const waited = Math.max(0, began - Math.floor(timestampNanos / 1_000_000));
    const times = { waited, worked: Date.now() - began };
    const point = isSealed ? request.seal : undefined;
    const reply: FarmReply = {
      ...{ status: "ok", reason: undefined, serial: this.#key.info.serialNumber, times },
      attempt: this.#message.info.deliveryCount,
      result: point ? await seal(result, point, id) : result,
    };
    if (!point) await this.#connection.results.put(id, utf8(encodeResult(reply)));
    this.#publish(request.reply, reply);
    this.#message.ack();
    return "answered";
  }

  #failed(request: FarmRequest, error: unknown): WorkOutcome {
    const reason = textOf(error);
    if (error instanceof PinError) {
      this.#end(request, {
        status: "pin",
        reason: "the card refused the PIN that its worker has; the key is withdrawn there",
      });
      return "pin-refused";
    }
    if (error instanceof CardAccessError) {
      if (this.#message.info.deliveryCount < MAX_DELIVERIES) this.#message.nak();
      else this.#end(request, { status: "gone", reason });
      return "card-gone";
    }
    const isRefused = error instanceof DataError || error instanceof UnsupportedError;
    return this.#end(request, { status: isRefused ? "refused" : "failed", reason });
  }

  /** Answers, and removes the request from the queue. */
  #end(request: FarmRequest, answer: Answer): WorkOutcome {
    const reply = { reason: undefined, serial: undefined, times: undefined, result: new Uint8Array(), ...answer };
    this.#publish(request.reply, { ...reply, attempt: this.#message.info.deliveryCount });
    if (answer.status === "ok") this.#message.ack();
    else this.#message.term(answer.status);
    return "answered";
  }

  #publish(subject: string, reply: FarmReply): void {
    this.#connection.nats.publish(subject, reply.result, { headers: this.#connection.headers(encodeReply(reply)) });
  }
}
