import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { described } from "../descriptions.ts";
import { streamEvents } from "../event-stream.ts";
import type { ServiceEvent } from "../events.ts";

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
      const after = request.headers["last-event-id"];
      await streamEvents(reply, closing, async function* (signal) {
        for await (const event of service.events.after(typeof after === "string" ? after : undefined, signal))
          if (!event || client.may("view", event.info, event.key)) yield textOf(event);
      });
    },
  );
}

/** An event that is missing tells the client to look at everything anew. */
function textOf(event: ServiceEvent | undefined): string {
  if (!event) return "event: reset\ndata: {}\n\n";
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event.data)}\n\n`;
}
