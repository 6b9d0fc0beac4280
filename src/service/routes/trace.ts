import { TokenError } from "../../tokens/index.ts";
import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { described } from "../descriptions.ts";
import { streamEvents } from "../event-stream.ts";
import type { TraceFeed } from "../trace-feed.ts";

/** Calls and exchanges as they happen, as server-sent events. */
export function addTrace(app: App, service: Service, closing: AbortSignal, feed: TraceFeed | undefined): void {
  app.get(
    "/v1/trace",
    {
      schema: {
        ...described("trace", "Calls and exchanges with cards as they happen, as server-sent events", "admin"),
        produces: ["text/event-stream"],
      },
    },
    async (request, reply) => {
      // Entries are of all tokens: a grant for some of them is not enough.
      service.clientOf(request).requireEverywhere("admin");
      if (!feed) throw new TokenError("NOT_SUPPORTED", 'this service keeps no trace: its configuration has no "page"');
      await streamEvents(reply, closing, async function* (signal) {
        for await (const entry of feed.follow(signal)) {
          if (!entry) yield "event: reset\ndata: {}\n\n";
          else if ("call" in entry) yield `event: call\ndata: ${JSON.stringify(entry.call)}\n\n`;
          else yield `event: apdu\ndata: ${JSON.stringify(entry.apdu)}\n\n`;
        }
      });
    },
  );
}
