import type { FastifyReply, FastifyRequest } from "fastify";
import { fromBase64Url, toBase64Url, tryParse, utf8 } from "../bytes/index.ts";
import { ServiceError } from "./problem.ts";

/** Items of a page where the client says nothing. */
const DEFAULT = 100;

/**
 * A page of a list that is in the order of its names. The cursor holds the last name, so an item that comes or goes moves no other.
 * @throws {ServiceError} BAD_INPUT for a cursor that is none.
 */
export function pageOf<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
  request: FastifyRequest,
  reply: FastifyReply,
): readonly T[] {
  const { limit, cursor } = request.query as { readonly limit?: string; readonly cursor?: string };
  const last = cursor === undefined ? "" : readCursor(cursor);
  const sorted = [...items].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const rest = cursor === undefined ? sorted : sorted.filter((item) => nameOf(item) > last);
  const size = limit === undefined ? DEFAULT : Number(limit);
  const page = rest.slice(0, size);
  const end = page.at(-1);
  if (end !== undefined && rest.length > size) {
    const [path] = request.url.split("?");
    const next = `${path}?limit=${size}&cursor=${toBase64Url(utf8(nameOf(end)))}`;
    void reply.header("link", `<${next}>; rel="next"`);
  }
  return page;
}

function readCursor(cursor: string): string {
  const name = tryParse(() => new TextDecoder("utf-8", { fatal: true }).decode(fromBase64Url(cursor)));
  if (name === undefined || name === "") throw new ServiceError("BAD_INPUT", "the cursor is not one of this service");
  return name;
}
