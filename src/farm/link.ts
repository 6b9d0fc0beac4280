import type { Msg } from "@nats-io/transport-node";
import { pause, throwIfAborted, untilAborted, type CallOptions } from "../async/index.ts";
import { toHex } from "../bytes/index.ts";
import { CardCancelledError, checkedResult, type KeyPrimitive } from "../card/index.ts";
import { CKR, CryptokiError } from "../cryptoki/index.ts";
import { randomBytes } from "../crypto/index.ts";
import { FarmError } from "./error.ts";
import { decodeKeys, type FarmKey, modulusLength } from "./key.ts";
import { decodeReply, encodeAgain, encodeRequest, type FarmReply, type FarmStatus, type FarmTimes } from "./message.ts";
import { AGAIN, CHANGED, isClientName, KEYS, MAX_INPUT, replySubject, workSubject } from "./names.ts";
import { FarmConnection, fieldsOf, type NatsOptions, textOf } from "./nats.ts";
import { isSecret } from "./rules.ts";
import { SealKey } from "./seal.ts";

/** What a card did for a request. */
export interface FarmUse {
  readonly fingerprint: string;
  readonly serial: string | undefined;
  readonly times: FarmTimes | undefined;
  /** 2: another card had it before. */
  readonly attempt: number;
}

export interface FarmClientOptions extends NatsOptions {
  /** The client's name in the subject of its answers, which a NATS account may prescribe; default: a random one. */
  readonly client?: string;
  /** Seconds in which a request ends; default: 30. */
  readonly seconds?: number;
  /** Receives each result's card and times. */
  readonly onUse?: (use: FarmUse) => void;
}

interface Pending {
  /** The identifier in the queue. */
  readonly id: string;
  readonly isSealed: boolean;
  readonly settle: (reply: FarmReply) => void;
  /** Publishes it again, under the same name: the server drops a second one. */
  readonly again: () => void;
}

const SECONDS = 30;
/** Milliseconds in which a worker answers with its keys. */
const DISCOVERY = 2000;
/** Milliseconds after the last worker's answer. */
const STALL = 250;
const RETRY = 250;
/** JetStream: maximum messages per subject exceeded; maximum messages exceeded. */
const QUEUE_FULL: ReadonlySet<unknown> = new Set([10_077, 10_047]);
/** A worker that died is missed when it does not answer. */
const SUSPICIOUS: ReadonlySet<FarmStatus> = new Set(["gone", "lost", "late"]);

/** A client's connection to a farm: the keys that there are, and their use. */
export class FarmLink implements AsyncDisposable {
  readonly #connection: FarmConnection;
  readonly #options: FarmClientOptions;
  readonly #client: string;
  readonly #changed: () => void;
  readonly #sealKey: SealKey;
  /** By worker. */
  readonly #workers = new Map<string, readonly FarmKey[]>();
  readonly #pending = new Map<string, Pending>();
  #number = 0;

  private constructor(connection: FarmConnection, options: FarmClientOptions, sealKey: SealKey, changed: () => void) {
    this.#connection = connection;
    this.#options = options;
    this.#client = options.client ?? toHex(randomBytes(12));
    this.#sealKey = sealKey;
    this.#changed = changed;
  }

  /**
   * Connects, and asks the workers for their keys.
   * @param changed Called when keys came or went.
   * @throws {FarmError}
   */
  static async open(options: FarmClientOptions, changed: () => void): Promise<FarmLink> {
    if (options.client !== undefined && !isClientName(options.client)) {
      throw new FarmError("BAD_INPUT", "the client's name has letters, digits, _ and -, 64 at most");
    }
    const connection = await FarmConnection.openForClient(options);
    const link = new FarmLink(connection, options, await SealKey.create(), changed);
    link.#listen();
    await link.refresh();
    return link;
  }

  /** The keys of all workers, each once. */
  get keys(): ReadonlyMap<string, FarmKey> {
    return new Map([...this.#workers.values()].flat().map((key) => [key.fingerprint, key]));
  }

  #listen(): void {
    const { nats } = this.#connection;
    nats.subscribe(replySubject(this.#client, "*"), {
      callback: (_error, message) => {
        this.#answered(message);
      },
    });
    nats.subscribe(CHANGED, {
      callback: (_error, message) => {
        if (this.#learn(message)) this.#changed();
      },
    });
    void this.#followConnection();
  }

  /** After a break, answers may have been lost. */
  async #followConnection(): Promise<void> {
    for await (const { type } of this.#connection.nats.status()) {
      if (type !== "reconnect") continue;
      for (const pending of [...this.#pending.values()]) this.#recover(pending);
      void this.refresh().catch(() => undefined);
    }
  }

  /** A request that the server has not got is published again; a signature that was made meanwhile is sent again by a worker. */
  #recover({ id, isSealed, again }: Pending): void {
    again();
    if (isSealed) return;
    const headers = this.#connection.headers(encodeAgain({ id, reply: replySubject(this.#client, id) }));
    this.#connection.nats.publish(AGAIN, "", { headers });
  }

  #answered(message: Msg): void {
    const pending = this.#pending.get(message.subject.slice(message.subject.lastIndexOf(".") + 1));
    if (!pending) return;
    try {
      pending.settle(decodeReply(fieldsOf(message.headers), message.data));
    } catch {
      // Not an answer of this version; the deadline ends the wait.
    }
  }

  /** @returns Whether the message told of other keys than before. */
  #learn(message: Msg): boolean {
    const name = message.headers?.get("Farm-Worker");
    if (!name) return false;
    try {
      const keys = decodeKeys(message.string());
      if (keys.length === 0) this.#workers.delete(name);
      else this.#workers.set(name, keys);
      return true;
    } catch {
      return false;
    }
  }

  /** Asks all workers. One that does not answer is gone. */
  async refresh(): Promise<void> {
    const { nats } = this.#connection;
    const heard = new Set<string>();
    try {
      const answers = await nats.requestMany(KEYS, "", { strategy: "stall", stall: STALL, maxWait: DISCOVERY });
      for await (const message of answers) {
        this.#learn(message);
        const name = message.headers?.get("Farm-Worker");
        if (name) heard.add(name);
      }
    } catch {
      // No worker listens.
    }
    for (const name of this.#workers.keys()) if (!heard.has(name)) this.#workers.delete(name);
    this.#changed();
  }

  /**
   * Uses a key on whatever card is idle first.
   * @throws {CryptokiError} CKR_DEVICE_MEMORY if too many requests wait for the key; CKR_DEVICE_ERROR if none did it in time;
   *   {WrongResultError} if the result does not fit the public key; {CardCancelledError}.
   */
  async use(
    key: FarmKey,
    primitive: KeyPrimitive,
    input: Uint8Array,
    { signal }: CallOptions = {},
  ): Promise<Uint8Array> {
    throwIfAborted(signal, () => new CardCancelledError("the call was cancelled"));
    if (input.length > MAX_INPUT) {
      throw new CryptokiError(
        CKR.DATA_LEN_RANGE,
        `a farm takes ${MAX_INPUT} bytes at most; Ed25519 signs the message, not a digest`,
      );
    }
    const seconds = this.#options.seconds ?? SECONDS;
    const deadline = Date.now() + 1000 * seconds;
    const isSealed = isSecret(primitive, input.length, modulusLength(key.publicKey));
    const id = `${this.#client.slice(0, 40)}-${++this.#number}-${toHex(randomBytes(6))}`;
    const request = { id, primitive, deadline, reply: replySubject(this.#client, id), trace: undefined, input };
    const headers = encodeRequest({ ...request, seal: isSealed ? this.#sealKey.point : undefined });
    const over = new AbortController();
    let resolve!: (reply: FarmReply) => void;
    let reject!: (error: unknown) => void;
    const promise = new Promise<FarmReply>((whenDone, whenFailed) => {
      resolve = whenDone;
      reject = whenFailed;
    });
    let failure: unknown;
    const timer = setTimeout(() => {
      const reason =
        failure === undefined ? "it may still do the request" : `the server took no request: ${textOf(failure)}`;
      const message = `no card of the farm answered within ${seconds} s; ${reason}`;
      reject(new CryptokiError(CKR.DEVICE_ERROR, message, { cause: failure }));
      void this.refresh().catch(() => undefined);
    }, 1000 * seconds);
    const publish = (messageId: string): void => {
      this.#publish(key, new Map([...headers, ["Nats-Msg-Id", messageId]]), input, deadline, over.signal, (cause) => {
        failure = cause;
      }).catch(reject);
    };
    // A secret result is not kept, so it is computed again, under another name; the server drops the second of one name.
    let round = 0;
    const again = (): void => {
      publish(isSealed ? `${id.slice(0, 56)}-${++round}` : id);
    };
    this.#pending.set(id, { id, isSealed, settle: resolve, again });
    publish(id);
    try {
      const reply = await untilAborted(
        promise,
        signal,
        (cause) => new CardCancelledError("the call was cancelled", { cause }),
      );
      const result = await this.#resultOf(reply, isSealed, [
        id,
        ...Array.from({ length: round }, (_, n) => `${id.slice(0, 56)}-${n + 1}`),
      ]);
      this.#options.onUse?.({
        fingerprint: key.fingerprint,
        serial: reply.serial,
        times: reply.times,
        attempt: reply.attempt,
      });
      return await checkedResult(key.publicKey, primitive, input, result);
    } finally {
      over.abort();
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  async #publish(
    key: FarmKey,
    headers: ReadonlyMap<string, string>,
    input: Uint8Array,
    deadline: number,
    over: AbortSignal,
    failed: (cause: unknown) => void,
  ): Promise<void> {
    const { js } = this.#connection;
    while (!over.aborted && Date.now() < deadline) {
      try {
        await js.publish(workSubject(key.fingerprint), input, {
          headers: this.#connection.headers(headers),
          timeout: 5000,
        });
        failed(undefined);
        return;
      } catch (cause) {
        failed(cause);
        if (cause instanceof Error && "code" in cause && QUEUE_FULL.has(cause.code)) {
          throw new CryptokiError(CKR.DEVICE_MEMORY, "too many requests wait for this key; try again later", { cause });
        }
        if (this.#connection.nats.isClosed())
          throw new CryptokiError(CKR.DEVICE_ERROR, `the farm is closed: ${textOf(cause)}`, { cause });
        await pause(RETRY, over).catch(() => undefined);
      }
    }
  }

  async #resultOf(
    { status, reason = "", result }: FarmReply,
    isSealed: boolean,
    ids: readonly string[],
  ): Promise<Uint8Array> {
    if (SUSPICIOUS.has(status)) void this.refresh().catch(() => undefined);
    if (status === "refused") throw new CryptokiError(CKR.DATA_INVALID, `the farm refuses it: ${reason}`);
    if (status !== "ok") throw new CryptokiError(CKR.DEVICE_ERROR, `the farm did not do it (${status}): ${reason}`);
    if (!isSealed) return result;
    let failure: unknown;
    for (const id of ids) {
      try {
        return await this.#sealKey.open(result, id);
      } catch (error) {
        failure = error;
      }
    }
    throw new CryptokiError(CKR.DEVICE_ERROR, "the farm's result was not encrypted for this request", {
      cause: failure,
    });
  }

  /** Waits for the requests under way, and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
    this.#sealKey.wipe();
  }
}
