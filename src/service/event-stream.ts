import type { FastifyReply } from "fastify";

/** Milliseconds between comments that keep an idle connection open. */
const HEARTBEAT = 15_000;

/**
 * Answers with server-sent events until the client hangs up or the service closes.
 * @param texts Gives each event as its lines, until its signal aborts.
 */
export async function streamEvents(
  reply: FastifyReply,
  closing: AbortSignal,
  texts: (signal: AbortSignal) => AsyncIterable<string>,
): Promise<void> {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    gone.abort();
  });
  reply.hijack();
  reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  reply.raw.write(": connected\n\n");
  const heartbeat = setInterval(() => reply.raw.write(":\n\n"), HEARTBEAT);
  const signal = AbortSignal.any([gone.signal, closing]);
  try {
    for await (const text of texts(signal)) if (!reply.raw.write(text)) await drained(reply.raw, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(heartbeat);
    reply.raw.end();
  }
}

function drained(stream: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("drain", resolve);
    signal.addEventListener(
      "abort",
      () => {
        reject(signal.reason as Error);
      },
      { once: true },
    );
  });
}
