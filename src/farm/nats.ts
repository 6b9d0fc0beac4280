import type * as jetstream from "@nats-io/jetstream";
import type * as kv from "@nats-io/kv";
import type * as transport from "@nats-io/transport-node";
import { FarmError } from "./error.ts";
import type { Headers } from "./message.ts";
import {
  ACK_WAIT,
  isFingerprint,
  MAX_AGE,
  MAX_DELIVERIES,
  MAX_MESSAGE,
  QUEUE,
  RESULTS,
  STREAM,
  workSubject,
} from "./names.ts";

/** How a client or a worker reaches the NATS servers. */
export interface NatsOptions {
  /** "nats://host:4222", "tls://host:4222", "nats://user:password@host:4222": one server, or several of a cluster. */
  readonly servers: string | readonly string[];
  /** Files, PEM: the authority of the servers, and the client's certificate with its key. */
  readonly tls?: { readonly ca?: string; readonly certificate?: string; readonly key?: string };
  readonly user?: string;
  readonly password?: string;
  /** The content of a credentials file (JWT and nkey seed). */
  readonly credentials?: Uint8Array;
  /** The client's name, for the server's logs. */
  readonly name?: string;
}

/** The settings of the stream that may differ between farms; the worker that was started last decides. */
export interface StreamOptions {
  /** Requests that may wait for one key; default: 200. */
  readonly queue?: number;
  /** Copies of the stream: 1 with one server, 3 in a cluster. Default: 1. */
  readonly replicas?: number;
  /** Milliseconds without a sign of life of a worker after which a request goes to another card; default: 5000. */
  readonly acknowledgeWithin?: number;
}

/** The packages of NATS, which are installed only where there is a farm. */
export interface NatsLibrary {
  readonly transport: typeof transport;
  readonly jetstream: typeof jetstream;
  readonly kv: typeof kv;
}

const PACKAGES = ["@nats-io/transport-node", "@nats-io/jetstream", "@nats-io/kv"];
const NOT_FOUND: ReadonlySet<unknown> = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

/** @throws {FarmError} LIBRARY_MISSING with the line that installs the packages. */
async function loadNats(): Promise<NatsLibrary> {
  try {
    const [nodeTransport, js, keyValue] = await Promise.all([
      import("@nats-io/transport-node"),
      import("@nats-io/jetstream"),
      import("@nats-io/kv"),
    ]);
    return { transport: nodeTransport, jetstream: js, kv: keyValue };
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && NOT_FOUND.has(cause.code))) throw cause;
    throw new FarmError(
      "LIBRARY_MISSING",
      `a farm needs packages that are not installed; run: npm install ${PACKAGES.join(" ")}`,
      {
        cause,
      },
    );
  }
}

/** A client's connection to the servers of a farm: it publishes and listens. It connects again by itself as long as it is open. */
export class FarmConnection implements AsyncDisposable {
  readonly library: NatsLibrary;
  readonly nats: transport.NatsConnection;
  readonly js: jetstream.JetStreamClient;

  protected constructor(library: NatsLibrary, nats: transport.NatsConnection) {
    this.library = library;
    this.nats = nats;
    this.js = library.jetstream.jetstream(nats);
  }

  /**
   * Connects. The stream must be there; a client that may not ask for it sees that when it publishes.
   * @throws {FarmError} LIBRARY_MISSING, NO_SERVER, NO_STREAM.
   */
  static async openForClient(options: NatsOptions): Promise<FarmConnection> {
    const library = await loadNats();
    const nats = await connected(library, options);
    try {
      const manager = await library.jetstream.jetstreamManager(nats, { checkAPI: false, timeout: 2000 });
      await manager.streams.info(STREAM);
    } catch (cause) {
      if (isMissing(library, cause)) {
        await nats.close();
        throw new FarmError(
          "NO_STREAM",
          "the NATS server has no stream of a farm; start a worker first (cryptoki work), which makes it",
          { cause },
        );
      }
    }
    return new FarmConnection(library, nats);
  }

  headers(fields: Headers): transport.MsgHdrs {
    const headers = this.library.transport.headers();
    for (const [name, value] of fields) headers.set(name, value);
    return headers;
  }

  /** Sends what is written, and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.nats.isClosed()) return;
    await this.nats.drain().catch(() => this.nats.close());
  }
}

/** A worker's connection, with the stream and the bucket, which it makes. */
export class WorkerConnection extends FarmConnection {
  readonly manager: jetstream.JetStreamManager;
  readonly results: kv.KV;
  /** Milliseconds. */
  readonly acknowledgeWithin: number;

  private constructor(
    library: NatsLibrary,
    nats: transport.NatsConnection,
    manager: jetstream.JetStreamManager,
    results: kv.KV,
    acknowledgeWithin: number,
  ) {
    super(library, nats);
    this.manager = manager;
    this.results = results;
    this.acknowledgeWithin = acknowledgeWithin;
  }

  /**
   * Connects, and makes the stream and the bucket if they are missing.
   * @throws {FarmError} LIBRARY_MISSING, NO_SERVER, STREAM_REFUSED.
   */
  static async open(options: NatsOptions, stream: StreamOptions = {}): Promise<WorkerConnection> {
    const library = await loadNats();
    const nats = await connected(library, options);
    try {
      const manager = await library.jetstream.jetstreamManager(nats);
      await requireStream(manager, stream);
      const results = await new library.kv.Kvm(nats).create(RESULTS, {
        history: 1,
        ttl: 1000 * MAX_AGE,
        replicas: stream.replicas ?? 1,
      });
      return new WorkerConnection(library, nats, manager, results, stream.acknowledgeWithin ?? ACK_WAIT);
    } catch (cause) {
      await nats.close();
      if (cause instanceof FarmError) throw cause;
      throw new FarmError("STREAM_REFUSED", `the NATS server does not give the farm its stream: ${textOf(cause)}`, {
        cause,
      });
    }
  }

  /** The queue of one key, made if it is missing. */
  async consumer(fingerprint: string): Promise<jetstream.Consumer> {
    if (!isFingerprint(fingerprint)) throw new FarmError("BAD_INPUT", "not the fingerprint of a key");
    await this.manager.consumers.add(STREAM, {
      durable_name: fingerprint,
      filter_subject: workSubject(fingerprint),
      ack_policy: this.library.jetstream.AckPolicy.Explicit,
      ack_wait: nanoseconds(this.acknowledgeWithin),
      max_deliver: MAX_DELIVERIES,
    });
    return this.js.consumers.get(STREAM, fingerprint);
  }
}

/** JetStream: stream not found; JetStream not enabled, also for this account. */
const MISSING: ReadonlySet<unknown> = new Set([10_059, 10_076, 10_039]);

function isMissing({ transport: { NoRespondersError } }: NatsLibrary, error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    ("code" in error && MISSING.has(error.code)) ||
    error.name.startsWith("JetStreamNotEnabled") ||
    [error, error.cause].some((one) => one instanceof NoRespondersError)
  );
}

/** The headers of a message that a farm knows. */
export function fieldsOf(headers: transport.MsgHdrs | undefined): Headers {
  return new Map(headers ? headers.keys().map((name) => [name, headers.get(name)] as const) : []);
}

async function connected(
  { transport: { connect, credsAuthenticator } }: NatsLibrary,
  options: NatsOptions,
): Promise<transport.NatsConnection> {
  const { tls, credentials, name } = options;
  const { servers, user, password } = withoutUser(options);
  try {
    return await connect({
      servers: [...servers],
      name: name ?? "cryptoki farm",
      // As long as it is open: a server that is started again finds its clients.
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 100,
      pingInterval: 10_000,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(credentials && { authenticator: credsAuthenticator(credentials) }),
      ...(tls && {
        tls: {
          ...(tls.ca !== undefined && { caFile: tls.ca }),
          ...(tls.certificate !== undefined && { certFile: tls.certificate }),
          ...(tls.key !== undefined && { keyFile: tls.key }),
        },
      }),
    });
  } catch (cause) {
    throw new FarmError("NO_SERVER", `no NATS server at ${servers.join(", ")}: ${textOf(cause)}`, { cause });
  }
}

/** The servers' addresses as NATS' package takes them, and as an error may show them. */
function withoutUser({ servers, user, password }: NatsOptions): {
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: string | undefined;
} {
  const found = { user, password };
  const plain = (typeof servers === "string" ? servers.split(",") : servers).map((server) => {
    const match = /^([a-z]+:\/\/)?([^:@/]*)(?::([^@/]*))?@(.*)$/u.exec(server.trim());
    if (!match) return server.trim();
    const [, scheme = "", name = "", secret = "", host = ""] = match;
    found.user ??= decodeURIComponent(name);
    found.password ??= decodeURIComponent(secret);
    return scheme + host;
  });
  return { servers: plain, ...found };
}

async function requireStream(
  manager: jetstream.JetStreamManager,
  { queue, replicas = 1 }: StreamOptions,
): Promise<void> {
  const known = await manager.streams.info(STREAM).catch(() => undefined);
  if (known) {
    if (queue === undefined || known.config.max_msgs_per_subject === queue) return;
    await manager.streams.update(STREAM, { ...known.config, max_msgs_per_subject: queue });
    return;
  }
  await manager.streams.add({
    name: STREAM,
    subjects: [workSubject("*")],
    retention: "workqueue",
    storage: "file",
    discard: "new",
    discard_new_per_subject: true,
    max_msgs_per_subject: queue ?? QUEUE,
    max_msg_size: MAX_MESSAGE,
    max_age: nanoseconds(1000 * MAX_AGE),
    duplicate_window: nanoseconds(1000 * MAX_AGE),
    num_replicas: replicas,
  });
}

const nanoseconds = (milliseconds: number): number => milliseconds * 1_000_000;

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
