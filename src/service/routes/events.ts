import { once } from "node:events";
import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { described } from "../descriptions.ts";
import type { ServiceEvent } from "../events.ts";

/** Milliseconds between comments that keep an idle connection open. */
const HEARTBEAT = 15_000;

/** What happens to tokens, as server-sent events. */
export function addEvents(app: App, service: Service, closing: AbortSignal): void {
  app.get(
    "/v1/events",
    {
      schema: {
        ...described(
          "events",
          "What happens to tokens, as server-sent events; Last-Event-ID goes on after one",
          "view",
        ),
        produces: ["text/event-stream"],
      },
    },
    async (request, reply) => {
      const client = service.clientOf(request);
      const gone = new AbortController();
      reply.raw.once("close", () => {
        gone.abort();
      });
      const after = request.headers["last-event-id"];
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      reply.raw.write(": connected\n\n");
      const heartbeat = setInterval(() => reply.raw.write(":\n\n"), HEARTBEAT);
      const signal = AbortSignal.any([gone.signal, closing]);
      try {
        for await (const event of service.events.after(typeof after === "string" ? after : undefined, signal)) {
          if (event && !client.may("view", event.info, event.key)) continue;
          // A client that reads slowly gets a reset where it missed events; nothing piles up for it.
          if (!reply.raw.write(textOf(event))) await once(reply.raw, "drain", { signal });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        clearInterval(heartbeat);
        reply.raw.end();
      }
    },
  );
}

/** An event that is missing tells the client to look at everything anew. */
function textOf(event: ServiceEvent | undefined): string {
  if (!event) return "event: reset\ndata: {}\n\n";
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event.data)}\n\n`;
}
