import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { pause } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import { listenPrivately } from "../sockets/index.ts";
import type { ListenConfiguration } from "./configuration.ts";
import type { HttpServiceOptions } from "./service.ts";

/** Milliseconds that requests at work have to end when the service is closed. */
const GRACE = 5000;

/** A service that listens. */
export interface Listening extends AsyncDisposable {
  /** "unix:/run/user/1000/cryptoki/http" or "https://localhost:8443". */
  readonly address: string;
}

/** Reads the files of a TLS listener. @throws {DataError} for one that cannot be read. */
export async function readTls(where: ListenConfiguration): Promise<HttpServiceOptions["tls"]> {
  if (!("tls" in where)) return undefined;
  const { certificate, key, clientAuthorities } = where.tls;
  const read = (file: string): Promise<string> =>
    readFile(file, "utf8").catch((cause: unknown) => {
      throw new DataError(`configuration: /listen/tls: ${file} cannot be read`, { cause });
    });
  return {
    cert: await read(certificate),
    key: await read(key),
    ...(clientAuthorities !== undefined && { ca: await read(clientAuthorities) }),
  };
}

/**
 * Begins to listen.
 * @param where A path: a Unix socket for this user alone (0600). A host: TLS. A number: an open socket, which systemd passes.
 * @throws {SocketError} if another server listens there, or other users may write into the folder.
 */
export async function listen(app: FastifyInstance, where: ListenConfiguration | number): Promise<Listening> {
  await app.ready();
  const { server } = app;
  let remove: (() => Promise<void>) | undefined;
  let address: string;
  if (typeof where === "number") {
    server.listen({ fd: where });
    await once(server, "listening");
    address = `fd:${where}`;
  } else if ("socket" in where) {
    remove = await listenPrivately(server, where.socket);
    address = `unix:${where.socket}`;
  } else {
    server.listen({ host: where.host, port: where.port });
    await once(server, "listening");
    address = `https://${where.host}:${(server.address() as AddressInfo).port}`;
  }
  return { address, [Symbol.asyncDispose]: () => close(app, server, remove) };
}

/** Takes no more requests, waits for those at work, and ends the rest. */
async function close(app: FastifyInstance, server: Server, remove?: () => Promise<void>): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  await remove?.();
  await Promise.race([app.close(), pause(GRACE)]);
  const over = new AbortController();
  await Promise.race([closed, pause(GRACE, over.signal).catch(() => undefined)]);
  over.abort();
  server.closeAllConnections();
  await closed;
}
