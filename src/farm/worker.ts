import type { Consumer, JsMsg } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";
import { Deadline, pause } from "../async/index.ts";
import { fromUtf8 } from "../bytes/index.ts";
import {
  CardRecognition,
  type CardProfile,
  type CardTokenInfo,
  connectCard,
  followReaders,
  type PinError,
} from "../card/index.ts";
import type { Pcsc, ReaderState } from "../pcsc/index.ts";
import { encodeKeys, type FarmKey } from "./key.ts";
import { decodeAgain, decodeRequest, encodeReply } from "./message.ts";
import { AGAIN, CHANGED, GIVEN_UP, KEYS, MAX_DELIVERIES, STREAM, WORKERS } from "./names.ts";
import { fieldsOf, type NatsOptions, type StreamOptions, textOf, WorkerConnection } from "./nats.ts";
import { decodeResult } from "./result-entry.ts";
import { Work } from "./work.ts";
import { type FarmPinSource, WorkerCard, type WorkerKey } from "./worker-card.ts";

/** What happened at a worker, for its log. Never a secret. */
export type FarmWorkerEvent =
  | { readonly type: "ready"; readonly reader: string; readonly serial: string; readonly keys: readonly string[] }
  | { readonly type: "removed"; readonly reader: string }
  /** The card refused the PIN that the worker was given: none of its keys is offered until the worker is started again. */
  | {
      readonly type: "pin-refused";
      readonly reader: string;
      readonly serial: string;
      readonly triesLeft: number | undefined;
    }
  | { readonly type: "unusable"; readonly reader: string; readonly reason: string };

export interface FarmWorkerOptions extends StreamOptions {
  readonly nats: NatsOptions;
  readonly pcsc: Pcsc;
  readonly profiles: readonly CardProfile[];
  /** Where PINs come from. Default: only keys that need none are offered. */
  readonly pin?: FarmPinSource;
  readonly onEvent?: (event: FarmWorkerEvent) => void;
}

/** Milliseconds of one pull, which the worker ends earlier when it is closed. */
const PULL = 30_000;
/** Milliseconds between tries while the server does not answer. */
const RETRY = 250;
/** Milliseconds that work has to end when the worker is closed. */
const GRACE = 10_000;

/**
 * Offers the keys on the cards of this machine to a farm, and does its requests: an idle card takes the next one from the queue of its key.
 * The worker's PINs stay here.
 *
 *     await using worker = await FarmWorker.start({ nats: { servers: "nats://farm:4222" }, pcsc: new Pcscd(), profiles, pin });
 */
export class FarmWorker implements AsyncDisposable {
  readonly #options: FarmWorkerOptions;
  readonly #connection: WorkerConnection;
  readonly #recognition: CardRecognition;
  readonly #closing = new AbortController();
  /** By reader. */
  readonly #cards = new Map<string, { readonly events: number; readonly card: WorkerCard | undefined }>();
  /** Tokens whose PIN was refused, by {@link nameOf}. */
  readonly #refused = new Set<string>();
  readonly #pulls = new Set<Promise<void>>();
  readonly #name: string;
  #watching: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  private constructor(options: FarmWorkerOptions, connection: WorkerConnection) {
    this.#options = options;
    this.#connection = connection;
    this.#recognition = new CardRecognition(options.profiles);
    this.#name = connection.library.transport.createInbox("w").slice(2);
  }

  /**
   * Connects, reads the cards that are in, and announces their keys.
   * @throws {FarmError} LIBRARY_MISSING, NO_SERVER, STREAM_REFUSED; {CardAccessError} without readers' service.
   */
  static async start(options: FarmWorkerOptions): Promise<FarmWorker> {
    const connection = await WorkerConnection.open(options.nats, options);
    const worker = new FarmWorker(options, connection);
    try {
      await worker.#begin();
    } catch (error) {
      await worker[Symbol.asyncDispose]();
      throw error;
    }
    return worker;
  }

  /** The keys that it offers now. */
  get keys(): readonly FarmKey[] {
    return this.#keys;
  }

  get #keys(): readonly WorkerKey[] {
    return [...this.#cards.values()].flatMap(({ card }) => (card === undefined || card.gone ? [] : card.keys));
  }

  async #begin(): Promise<void> {
    const { nats } = this.#connection;
    nats.subscribe(KEYS, {
      callback: (_error, message) => {
        message.respond(this.#announcement(), { headers: this.#headers() });
      },
    });
    nats.subscribe(AGAIN, {
      queue: WORKERS,
      callback: (_error, message) => {
        this.#sendAgain(message).catch(() => undefined);
      },
    });
    nats.subscribe(GIVEN_UP, {
      queue: WORKERS,
      callback: (_error, message) => {
        this.#answerForDead(message).catch(() => undefined);
      },
    });
    await new Promise<void>((resolve, reject) => {
      this.#watching = this.#follow(resolve).catch(reject);
    });
  }

  #headers(): ReturnType<WorkerConnection["headers"]> {
    return this.#connection.headers(new Map([["Farm-Worker", this.#name]]));
  }

  /** One key of several cards is announced once. */
  #announcement(): string {
    return encodeKeys([...new Map(this.#keys.map((key) => [key.fingerprint, key])).values()]);
  }

  #announce(): void {
    if (!this.#connection.nats.isClosed())
      this.#connection.nats.publish(CHANGED, this.#announcement(), { headers: this.#headers() });
  }

  async #follow(ready: () => void): Promise<void> {
    const { signal } = this.#closing;
    for await (const readers of followReaders(this.#options.pcsc, { signal })) {
      await this.#apply(readers);
      ready();
    }
  }

  async #apply(readers: readonly ReaderState[]): Promise<void> {
    const present = new Map(readers.filter((one) => one.present && !one.mute).map((one) => [one.name, one.events]));
    for (const [reader, { events, card }] of this.#cards) {
      if (present.get(reader) === events) continue;
      this.#cards.delete(reader);
      await card?.[Symbol.asyncDispose]();
      this.#tell({ type: "removed", reader });
    }
    const added = [...present].filter(([reader]) => !this.#cards.has(reader));
    const reported = (reader: string) => (error: unknown) => {
      this.#tell({ type: "unusable", reader, reason: textOf(error) });
      return undefined;
    };
    // All are read before one gets a PIN, so that a source of one PIN knows how many tokens there are.
    await Promise.all(
      added.map(async ([reader, events]) => {
        this.#cards.set(reader, { events, card: await this.#read(reader).catch(reported(reader)) });
      }),
    );
    await Promise.all(
      added.map(async ([reader, events]) => {
        const card = this.#cards.get(reader)?.card;
        if (!card) return;
        const opened = await this.#logIn(card).catch(reported(reader));
        this.#cards.set(reader, { events, card: opened });
        for (const key of opened?.keys ?? []) this.#startPull(key);
      }),
    );
    this.#announce();
  }

  #pinOf(token: CardTokenInfo, reader: string): Promise<Uint8Array | undefined> {
    const { pin } = this.#options;
    if (!pin || this.#refused.has(nameOf(token))) return Promise.resolve(undefined);
    const tokens = [...this.#cards.values()].reduce((sum, { card }) => sum + (card?.tokensWithPin ?? 0), 0);
    return pin({ token, reader, tokens });
  }

  async #read(reader: string): Promise<WorkerCard | undefined> {
    const connection = await connectCard(this.#options.pcsc, reader);
    const card = new WorkerCard(connection, (token, where) => this.#pinOf(token, where));
    try {
      const application = await this.#recognition.claim(connection);
      if (!application) {
        await card[Symbol.asyncDispose]();
        this.#tell({ type: "unusable", reader, reason: "no card profile knows this card" });
        return undefined;
      }
      await card.read(application);
      return card;
    } catch (error) {
      await card[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #logIn(card: WorkerCard): Promise<WorkerCard> {
    const { reader } = card;
    try {
      await card.open((info, error) => {
        this.#refuse(reader, info, error);
      });
    } catch (error) {
      await card[Symbol.asyncDispose]();
      throw error;
    }
    const serial = card.keys[0]?.info.serialNumber ?? "";
    this.#tell({ type: "ready", reader, serial, keys: card.keys.map(({ fingerprint }) => fingerprint) });
    return card;
  }

  #refuse(reader: string, token: CardTokenInfo, error?: PinError): void {
    this.#refused.add(nameOf(token));
    this.#tell({ type: "pin-refused", reader, serial: token.serialNumber, triesLeft: error?.triesLeft });
  }

  #tell(event: FarmWorkerEvent): void {
    this.#options.onEvent?.(event);
  }

  #startPull(key: WorkerKey): void {
    const pull = this.#pull(key).finally(() => this.#pulls.delete(pull));
    this.#pulls.add(pull);
  }

  /** Takes the requests for a key, one at a time, while its card is idle. */
  async #pull(key: WorkerKey): Promise<void> {
    const { card } = key;
    const isOver = (): boolean => this.#closing.signal.aborted || !card.keys.includes(key);
    let consumer: Consumer | undefined;
    while (!isOver() && !card.gone) {
      try {
        await card.turns.run(() => undefined);
        consumer ??= await this.#connection.consumer(key.fingerprint);
        const message = await this.#next(consumer);
        if (!message) continue;
        const outcome = await new Work(this.#connection, message, key).run(isOver);
        if (outcome === "card-gone" && !isOver()) {
          card.gone = true;
          this.#announce();
        }
        if (outcome === "pin-refused") {
          this.#refuse(card.reader, key.info);
          card.keys = card.keys.filter((one) => one.token !== key.token);
          this.#announce();
        }
      } catch {
        // The server is away, or has lost the consumer. A request that was begun is given to another card.
        consumer = undefined;
        await pause(RETRY, this.#closing.signal).catch(() => undefined);
      }
    }
  }

  /** The next request; undefined after a while without one, and when the worker is closed. */
  async #next(consumer: Consumer): Promise<JsMsg | undefined> {
    const { signal } = this.#closing;
    const messages = await consumer.fetch({ max_messages: 1, expires: PULL });
    const stop = (): void => {
      messages.stop();
    };
    signal.addEventListener("abort", stop);
    try {
      if (signal.aborted) stop();
      for await (const message of messages) return message;
      return undefined;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** A request was delivered as often as it may be, and each time its worker died: it would lie there until it is too old. */
  async #answerForDead(advisory: Msg): Promise<void> {
    const { stream_seq: seq } = advisory.json<{ readonly stream_seq: number }>();
    const { manager, nats } = this.#connection;
    const stored = await manager.streams.getMessage(STREAM, { seq });
    if (!stored) return;
    const request = decodeRequest(fieldsOf(stored.header), stored.data);
    const reply = {
      ...{ status: "lost" as const, reason: "the workers that began it died", serial: undefined, times: undefined },
      ...{ attempt: MAX_DELIVERIES, result: new Uint8Array() },
    };
    nats.publish(request.reply, reply.result, { headers: this.#connection.headers(encodeReply(reply)) });
    await manager.streams.deleteMessage(STREAM, seq);
  }

  /** A client that lost its connection asks for the answer to a request: a signature that is kept is sent again. */
  async #sendAgain(message: Msg): Promise<void> {
    const { id, reply } = decodeAgain(fieldsOf(message.headers));
    const { results, nats } = this.#connection;
    const entry = await results.get(id);
    const kept = entry?.operation === "PUT" ? decodeResult(fromUtf8(entry.value)) : undefined;
    if (kept) nats.publish(reply, kept.result, { headers: this.#connection.headers(encodeReply(kept)) });
  }

  /** Takes no more requests, ends those at work, says that its keys are gone, and closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await this.#watching.catch(() => undefined);
    // A pull that waits for a request ends with the connection; one at work ends first.
    const idle = [...this.#cards.values()].map(async ({ card }) => card?.turns.run(() => undefined));
    await new Deadline(GRACE).race(Promise.all(idle), () => undefined).catch(() => undefined);
    for (const { card } of this.#cards.values()) await card?.[Symbol.asyncDispose]();
    this.#announce();
    await this.#connection[Symbol.asyncDispose]();
    await Promise.all(this.#pulls);
  }
}

/** What tells a token from others, also of the same card. */
const nameOf = ({ serialNumber, model, label }: CardTokenInfo): string => JSON.stringify([serialNumber, model, label]);
