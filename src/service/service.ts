import type { Duplex } from "node:stream";
import type { FastifyInstance, FastifyServerOptions } from "fastify";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { newRequestId, Service, type ServiceOptions } from "./call.ts";
import type { PracticeCard } from "./practice-card.ts";
import { problemOf, ServiceError } from "./problem.ts";
import { addApdus } from "./routes/apdus.ts";
import { addCertificates } from "./routes/certificates.ts";
import { addClient, CLIENT_ADDRESS } from "./routes/client.ts";
import { addData } from "./routes/data.ts";
import { addEvents } from "./routes/events.ts";
import { addKeys } from "./routes/keys.ts";
import { addObservability, PROBES } from "./routes/observability.ts";
import { addTokens } from "./routes/tokens.ts";
import { addTrace } from "./routes/trace.ts";
import { addUsingKeys } from "./routes/using-keys.ts";
import type { TraceFeed } from "./trace-feed.ts";
import { addWebPage, PAGE_ADDRESSES } from "./web-page.ts";

/** Bytes of a body where the configuration says nothing. */
const BODY_LIMIT = 16 * 2 ** 20;
/** Connections at one time; one more is closed at once. */
const CONNECTIONS = 4096;
/** Pages of other sites cannot send it without being asked: a write without it is refused. */
const CLIENT_HEADER = "cryptoki-client";
/** Addresses for which no credentials are needed. */
const PUBLIC: ReadonlySet<string> = new Set([...PROBES, CLIENT_ADDRESS]);

export interface HttpServiceOptions extends ServiceOptions {
  /** The version that the OpenAPI document states. */
  readonly version: string;
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  readonly logger?: FastifyServerOptions["logger"];
  /** The folder with the files of the web page; without it there is no page. */
  readonly page?: URL;
  /** What `GET /v1/trace` shows. */
  readonly trace?: TraceFeed;
  /** What `POST /v1/apdu/send` sends to. */
  readonly practiceCard?: PracticeCard;
}

/**
 * The HTTP service over the tokens of a source. It listens when its `listen` is called; `close` ends what is at work first. The source is its
 * owner's.
 */
export async function createService(options: HttpServiceOptions): Promise<FastifyInstance> {
  const [{ default: fastify }, { default: swagger }] = await Promise.all([
    import("fastify"),
    import("@fastify/swagger"),
  ]);
  const service = new Service(options);
  const { tls, configuration, logger, version, page, trace, practiceCard } = options;
  const settings: FastifyServerOptions = {
    logger: logger ?? false,
    genReqId: newRequestId,
    requestIdHeader: false,
    bodyLimit: configuration.limits?.body ?? BODY_LIMIT,
    // A slow or silent client holds no connection for ever.
    requestTimeout: 120_000,
    keepAliveTimeout: 60_000,
    forceCloseConnections: true,
    clientErrorHandler: (error, socket) => {
      refuseMalformed(error, socket);
    },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } },
  };
  const app = fastify({
    ...settings,
    ...(tls && {
      https: { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: false, minVersion: "TLSv1.2" },
    }),
  } as FastifyServerOptions).withTypeProvider<TypeBoxTypeProvider>();

  app.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_request, body, done) => {
    done(null, body);
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.status === 500) request.log.error(error);
    if (problem.retryAfter !== undefined) void reply.header("retry-after", problem.retryAfter);
    if (problem.status === 401) void reply.header("www-authenticate", "Bearer");
    void reply
      .code(problem.status)
      .type("application/problem+json")
      .send(JSON.stringify({ ...problem, instance: request.id }));
  });
  app.setNotFoundHandler((request, reply) => {
    const problem = problemOf(new ServiceError("NOT_FOUND", `there is no ${request.method} ${request.url}`));
    void reply
      .code(404)
      .type("application/problem+json")
      .send(JSON.stringify({ ...problem, instance: request.id }));
  });
  app.addHook("onRequest", (request, reply, done) => {
    void reply.header("request-id", request.id).header("cache-control", "no-store");
    const isPublic = PUBLIC.has(request.url) || (page !== undefined && PAGE_ADDRESSES.has(request.url));
    if (!isPublic) service.admit(request, reply);
    done();
  });
  app.addHook("onRequest", (request, _reply, done) => {
    const isSafe = ["GET", "HEAD"].includes(request.method) || request.headers[CLIENT_HEADER] !== undefined;
    const advice = `send the header ${CLIENT_HEADER} with any value: pages of other sites cannot`;
    done(isSafe ? undefined : new ServiceError("BAD_INPUT", advice));
  });

  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "cryptoki service", version },
      components: {
        securitySchemes: { bearer: { type: "http", scheme: "bearer" }, mutualTls: { type: "mutualTLS" } as never },
      },
      security: [{ bearer: [] }, { mutualTls: [] }, {}],
    },
  });
  const closing = new AbortController();
  app.server.maxConnections = CONNECTIONS;
  addTokens(app, service);
  addKeys(app, service);
  addUsingKeys(app, service);
  addCertificates(app, service);
  addData(app, service);
  addEvents(app, service, closing.signal);
  addClient(app, service, { trace: trace !== undefined, practiceCard: practiceCard !== undefined });
  addApdus(app, service, practiceCard);
  addTrace(app, service, closing.signal, trace);
  if (page) await addWebPage(app, page);
  app.get("/v1/openapi.json", { schema: { hide: true } }, () => app.swagger());
  await addObservability(app, service, configuration);
  app.get("/healthz", { schema: { hide: true } }, () => ({ status: "ok" }));

  const watching = service.watch(closing.signal).catch((error: unknown) => {
    if (!closing.signal.aborted) app.log.error(error);
  });
  app.addHook("preClose", async () => {
    closing.abort();
    await watching;
  });
  return app;
}

/** Answers what is no HTTP request, and ends the connection. */
function refuseMalformed({ code }: { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const problem = problemOf(new ServiceError("BAD_INPUT", "this is no request of HTTP/1.1 that can be read"));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
