import { randomUUID } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { onAbort } from "../async/index.ts";
import { encodePem } from "../bytes/index.ts";
import type { TokenSource } from "../tokens/index.ts";
import type { AuditTrail } from "../audit/index.ts";
import { type Client, Clients } from "./clients.ts";
import type { Role, ServiceConfiguration } from "./configuration.ts";
import { Directory, type ServedKey, type ServedToken } from "./directory.ts";
import { Events } from "./events.ts";
import { ExpiryWatch } from "./expiry.ts";
import { type Answer, Idempotency, type Look, type NamedRequest } from "./idempotency.ts";
import { problemOf, ServiceError } from "./problem.ts";
import { Secrets } from "./secrets.ts";
import { Workload } from "./workload.ts";

/** In the audit trail, behind a deadline: the card may still do it. The outcome follows in an entry of its own, if it becomes known. */
const UNKNOWN = "UNKNOWN";
/** Days before the end of a certificate in which events name it, where the configuration says nothing. */
const EXPIRING_DAYS = 30;
const JSON_TYPE = "application/json; charset=utf-8";

export interface ServiceOptions {
  readonly source: TokenSource;
  readonly configuration: ServiceConfiguration;
  readonly secrets?: Secrets;
  readonly audit?: AuditTrail;
}

/** What an operation is about, for the audit trail. */
export interface Subject {
  readonly operation: string;
  readonly token?: string | undefined;
  readonly key?: string | undefined;
}

/** What a handler gives: JSON, or bytes of a type. */
export interface Outcome {
  readonly status?: number;
  readonly body?: unknown;
  readonly bytes?: { readonly type: string; readonly content: Uint8Array | string };
  readonly location?: string;
}

/** A request whose client is known. */
export interface Call {
  readonly id: string;
  readonly client: Client;
  /** Aborts at the deadline, and when the client hangs up before it has an answer that is kept for it. */
  readonly signal: AbortSignal;
}

/** Whether the answer is kept for a repeated request with the same Idempotency-Key. One with a secret never is. */
export type Repetition = "kept" | "secret";

/** What all routes share. */
export class Service {
  readonly directory: Directory;
  readonly secrets: Secrets;
  readonly events = new Events();
  readonly workload: Workload;
  readonly expiry: ExpiryWatch;
  readonly #clients: Clients;
  readonly #idempotency = new Idempotency();
  readonly #audit: AuditTrail | undefined;
  readonly #seconds: number;
  readonly #requests: number;
  readonly #atWork = new Map<Client, number>();
  readonly #source: TokenSource;
  /** Fingerprints of the keys that requests made: none of them is taken for the key of another request. */
  readonly made = new Set<string>();

  constructor({ source, configuration, secrets, audit }: ServiceOptions) {
    this.#source = source;
    this.directory = new Directory(source);
    this.secrets = secrets ?? new Secrets(configuration.tokens ?? []);
    this.#clients = new Clients(configuration.clients ?? []);
    this.#audit = audit;
    const { waiting = 64, seconds = 30, requests = 256 } = configuration.limits ?? {};
    this.workload = new Workload(waiting);
    this.expiry = new ExpiryWatch(this.directory, this.events, configuration.expiringDays ?? EXPIRING_DAYS);
    this.#seconds = seconds;
    this.#requests = requests;
  }

  /** The client of a request. @throws {ServiceError} UNKNOWN_CLIENT. */
  clientOf(request: FastifyRequest): Client {
    return this.#clients.of(request);
  }

  /** Whether the request has a client. */
  isKnown(request: FastifyRequest): boolean {
    return this.#clients.find(request) !== undefined;
  }

  /** Emits what happens to tokens, until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const known = new Map<unknown, ServedToken>();
    this.expiry.start(signal);
    for await (const change of this.#source.changes({ signal })) {
      if (change.type === "unrecognised") continue;
      if (change.type === "inserted") {
        const served = (await this.directory.tokens({ signal })).find(({ token }) => token === change.token);
        if (!served) continue;
        known.set(change.token, served);
        this.events.emit("token.inserted", served.name, served.info, { initial: change.initial });
        await this.expiry.lookAt(served, { signal });
      } else {
        const served = known.get(change.token);
        known.delete(change.token);
        if (served) this.events.emit("token.removed", served.name, served.info);
      }
    }
  }

  /** Reads a list or an object: no entry in the audit trail. */
  async read(
    request: FastifyRequest,
    reply: FastifyReply,
    work: (call: Call) => Promise<Outcome>,
  ): Promise<FastifyReply> {
    const client = this.clientOf(request);
    return send(reply, toAnswer(await this.#timed(request, reply, client, work)));
  }

  /**
   * Does an operation: within the client's limits and the deadline, once for each Idempotency-Key, and entered in the audit trail before its
   * result leaves.
   * @param look For what must not be done twice: looks whether the card did it, where its outcome is not known.
   */
  async perform(
    request: FastifyRequest,
    reply: FastifyReply,
    subject: Subject,
    repetition: Repetition,
    work: (call: Call) => Promise<Outcome>,
    look?: (call: Call) => Promise<Outcome | undefined>,
  ): Promise<FastifyReply> {
    const client = this.clientOf(request);
    const name = idempotencyKey(request, repetition);
    const { id, body, method, url } = request;
    const content = body instanceof Uint8Array ? body : JSON.stringify(body ?? null);
    const named: NamedRequest | undefined =
      name === undefined
        ? undefined
        : {
            ...{ client: client.name, name, parts: [method, url, content] },
            ...(look && { look: async (signal) => answerOf(await look({ id, client, signal })) }),
          };
    const late = (pending: Promise<Outcome>): void => {
      void this.#follow(request, client, subject, pending, named);
    };
    const run = async (): Promise<Answer> =>
      toAnswer(await this.audited(request, client, subject, () => this.#timed(request, reply, client, work, late)));
    if (!named) return send(reply, await run());
    const timed = (one: Look): Promise<Answer | undefined> =>
      this.#timed(request, reply, client, ({ signal }) => one(signal));
    return send(reply, await this.#idempotency.run(named, run, timed));
  }

  /** Enters the outcome of `work` in the audit trail before it is told. @throws {ServiceError} NO_AUDIT. */
  async audited<T>(request: FastifyRequest, client: Client, subject: Subject, work: () => Promise<T>): Promise<T> {
    let outcome: T;
    try {
      outcome = await work();
    } catch (error) {
      await this.#enter(request, client, subject, outcomeOf(error));
      throw error;
    }
    await this.#enter(request, client, subject, "OK");
    return outcome;
  }

  /** What became of work whose deadline passed: its client still has it at work, and the trail and a repeat get its outcome. */
  async #follow(
    request: FastifyRequest,
    client: Client,
    subject: Subject,
    pending: Promise<Outcome>,
    named: NamedRequest | undefined,
  ): Promise<void> {
    const release = this.#occupy(client);
    try {
      const outcome = await pending.then(
        (done) => ({ code: "OK", answer: toAnswer(done) }),
        (error: unknown) => ({ code: outcomeOf(error), answer: undefined }),
      );
      // The driver gave up with the deadline: no more will be known.
      if (outcome.code === UNKNOWN) return;
      await this.#enter(request, client, subject, outcome.code);
      if (named && outcome.answer) this.#idempotency.settle(named, outcome.answer);
    } catch (error) {
      request.log.error(error);
    } finally {
      release();
    }
  }

  async #enter(request: FastifyRequest, client: Client, subject: Subject, outcome: string): Promise<void> {
    const purpose = request.headers["cryptoki-purpose"];
    const { operation, token, key } = subject;
    const entry = {
      event: "operation",
      client: client.name,
      request: request.id,
      operation,
      ...(token !== undefined && { token }),
      ...(key !== undefined && { key }),
      outcome,
      ...(typeof purpose === "string" && { purpose: purpose.slice(0, 200) }),
    } as const;
    await this.#audit?.write(entry).catch((cause: unknown) => {
      throw new ServiceError("NO_AUDIT", "the audit trail cannot be written; the result is withheld", { cause });
    });
  }

  /**
   * Counts a request of a client, from its headers to the end of its answer: event streams too.
   * @throws {ServiceError} UNKNOWN_CLIENT; CKR_DEVICE_MEMORY if too many are at work.
   */
  admit(request: FastifyRequest, reply: FastifyReply): void {
    const client = this.clientOf(request);
    const atWork = this.#atWork.get(client) ?? 0;
    if (atWork >= this.#requests) {
      throw new ServiceError("CKR_DEVICE_MEMORY", `${atWork} requests of the client are at work`, { retryAfter: 1 });
    }
    reply.raw.once("close", this.#occupy(client));
  }

  #occupy(client: Client): () => void {
    this.#atWork.set(client, (this.#atWork.get(client) ?? 0) + 1);
    return () => {
      this.#atWork.set(client, (this.#atWork.get(client) ?? 1) - 1);
    };
  }

  /** @param late Gets the work that goes on behind the deadline. */
  async #timed<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    client: Client,
    work: (call: Call) => Promise<T>,
    late?: (pending: Promise<T>) => void,
  ): Promise<T> {
    const seconds = waitOf(request) ?? this.#seconds;
    const deadline = new AbortController();
    const abort = (message: string): void => {
      deadline.abort(new ServiceError("DEADLINE", message));
    };
    const timer = setTimeout(() => {
      abort(`not done within ${seconds} s`);
    }, 1000 * seconds);
    // With an Idempotency-Key the answer is kept for the client that comes back.
    const hangUp = (): void => {
      if (!reply.raw.writableFinished && request.headers["idempotency-key"] === undefined) abort("the client hung up");
    };
    reply.raw.once("close", hangUp);
    const { signal } = deadline;
    let stop: (() => void) | undefined;
    const pending = work({ id: request.id, client, signal });
    try {
      const ended = new Promise<never>((_, reject) => {
        stop = onAbort(signal, reject);
      });
      return await Promise.race([pending, ended]);
    } catch (error) {
      if (error === signal.reason) late?.(pending);
      throw error;
    } finally {
      stop?.();
      clearTimeout(timer);
      reply.raw.off("close", hangUp);
    }
  }

  /** The token of a request's address, if its client may see it. @throws {TokenError} NO_TOKEN; {ServiceError} FORBIDDEN. */
  async token(call: Call, name: string, role: Role): Promise<ServedToken> {
    const served = await this.directory.token(name, { signal: call.signal });
    call.client.require(role, served.info);
    return served;
  }

  /** The key of a request's address on one token. */
  async keyOn(call: Call, name: string, fingerprint: string, role: Role): Promise<ServedKey> {
    const served = await this.directory.token(name, { signal: call.signal });
    call.client.require(role, served.info, fingerprint);
    return this.directory.keyOf(served, fingerprint, { signal: call.signal });
  }

  /** The cards that hold a key and that the client may use it on. @throws {TokenError} NO_OBJECT; {ServiceError} FORBIDDEN. */
  async holders(call: Call, fingerprint: string, role: Role): Promise<readonly ServedKey[]> {
    const holders = await this.directory.holders(fingerprint, { signal: call.signal });
    const allowed = holders.filter(({ served }) => call.client.may(role, served.info, fingerprint));
    const [first] = holders;
    if (allowed.length === 0 && first) call.client.require(role, first.served.info, fingerprint);
    return allowed;
  }

  /** Tells of something that was done to a token, and reads its keys anew. */
  changed(
    type: Parameters<Events["emit"]>[0],
    served: ServedToken,
    data: Readonly<Record<string, unknown>> = {},
  ): void {
    this.directory.forget(served);
    this.events.emit(type, served.name, served.info, data);
  }
}

/** @throws {ServiceError} BAD_INPUT. */
function idempotencyKey(request: FastifyRequest, repetition: Repetition): string | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (repetition === "secret") {
    throw new ServiceError(
      "BAD_INPUT",
      "this request takes no Idempotency-Key: its answer is secret and is never kept",
    );
  }
  if (typeof key !== "string" || !/^[\x21-\x7e]{8,64}$/u.test(key))
    throw new ServiceError("BAD_INPUT", "an Idempotency-Key has 8 to 64 printable characters");
  return key;
}

/** Seconds of the header Prefer: wait=10 (RFC 7240 section 4.3). @throws {ServiceError} BAD_INPUT. */
function waitOf(request: FastifyRequest): number | undefined {
  const { prefer } = request.headers;
  const [, seconds] = /(?:^|[,;\s])wait=(\S+?)(?:$|[,;\s])/iu.exec([prefer ?? ""].flat().join(",")) ?? [];
  if (seconds === undefined) return undefined;
  if (/^\d{1,3}$/u.test(seconds) && Number(seconds) >= 1 && Number(seconds) <= 600) return Number(seconds);
  throw new ServiceError("BAD_INPUT", "Prefer: wait is a number of seconds, from 1 to 600");
}

const answerOf = (outcome: Outcome | undefined): Answer | undefined => outcome && toAnswer(outcome);

/** An error as the audit trail tells it. */
const outcomeOf = (error: unknown): string => {
  const { code } = problemOf(error);
  return code === "DEADLINE" ? UNKNOWN : code;
};

function toAnswer({ status, body, bytes, location }: Outcome): Answer {
  const content = bytes ?? { type: JSON_TYPE, content: body === undefined ? "" : JSON.stringify(body) };
  return {
    status: status ?? (body === undefined && !bytes ? 204 : 200),
    type: content.type,
    body: content.content,
    ...(location !== undefined && { location }),
  };
}

function send(reply: FastifyReply, { status, type, body, location }: Answer): FastifyReply {
  if (location !== undefined) void reply.header("location", location);
  if (status === 204) return reply.code(status).send();
  return reply
    .code(status)
    .type(type)
    .send(typeof body === "string" ? body : Buffer.from(body));
}

export const newRequestId = (): string => randomUUID();

export const pem = (der: Uint8Array): string => encodePem("CERTIFICATE", der);

/** A token as the API shows it. */
export const tokenJson = ({ name, info }: ServedToken): object => ({
  token: name,
  label: info.label,
  manufacturer: info.manufacturerID,
  model: info.model,
  serial: info.serialNumber,
  reader: info.reader,
  uri: info.uri,
});
