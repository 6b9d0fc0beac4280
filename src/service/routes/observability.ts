import { parseUri } from "../../cryptoki/index.ts";
import { Figures } from "../../observe/index.ts";
import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { isToken } from "../clients.ts";
import type { ServiceConfiguration } from "../configuration.ts";
import { createMetrics } from "../metrics.ts";
import { ServiceError } from "../problem.ts";

/** Addresses that need no client: probes of a supervisor have no credentials. They tell no name. */
export const PROBES: ReadonlySet<string> = new Set(["/healthz", "/health", "/ready"]);

/** What operators ask: whether the service is alive and ready, and what it does. */
export async function addObservability(
  app: App,
  service: Service,
  { tokens = [] }: ServiceConfiguration,
): Promise<void> {
  const figures = new Figures();
  const metrics = await createMetrics();
  const wanted = tokens.map(({ token }) => ({ token, uri: parseUri(token) }));
  app.addHook("onResponse", (request, reply, done) => {
    const { url = "none" } = request.routeOptions;
    metrics?.request(request.method, url, reply.statusCode, reply.elapsedTime / 1000);
    done();
  });
  app.addHook("onClose", (_app, done) => {
    figures[Symbol.dispose]();
    metrics?.[Symbol.dispose]();
    done();
  });

  app.get("/health", { schema: { hide: true } }, () => ({ status: "ok" }));
  app.get("/ready", { schema: { hide: true } }, async (request, reply) => {
    const present = await service.directory.tokens();
    const lacking = wanted.filter(({ uri }) => !present.some(({ info }) => isToken(uri, info)));
    const isReady = lacking.length === 0;
    const mayKnow = maySeeAll(service, request);
    return reply.code(isReady ? 200 : 503).send({
      ...{ status: isReady ? "ready" : "not ready", tokens: present.length },
      // Who may view every token learns which, all others how many.
      lacking: mayKnow ? lacking.map(({ token }) => token) : lacking.length,
    });
  });
  // The figures are of all tokens together, with the names of all readers.
  app.get("/v1/figures", { schema: { hide: true } }, (request) => {
    service.clientOf(request).requireEverywhere("view");
    return figures.report;
  });
  app.get("/metrics", { schema: { hide: true } }, async (request, reply) => {
    service.clientOf(request).requireEverywhere("view");
    if (!metrics) {
      throw new ServiceError("NOT_FOUND", "metrics need one package beside this one: npm install prom-client");
    }
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
}

type Asked = Parameters<Service["clientOf"]>[0];

function maySeeAll(service: Service, request: Asked): boolean {
  try {
    return service.clientOf(request).mayEverywhere("view");
  } catch (error) {
    if (error instanceof ServiceError) return false;
    throw error;
  }
}
