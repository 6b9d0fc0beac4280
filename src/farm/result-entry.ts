import { fromBase64Url, toBase64Url } from "../bytes/index.ts";
import { decodeReply, encodeReply, type FarmReply } from "./message.ts";

/** A finished request in the bucket: the headers of its answer and its result. Only signatures are kept so. */
export function encodeResult(reply: FarmReply): string {
  return `done:${JSON.stringify({ headers: [...encodeReply(reply)], result: toBase64Url(reply.result) })}`;
}

/** @returns Undefined if the value is a claim, or nothing is kept. @throws {FarmError} BAD_INPUT. */
export function decodeResult(value: string | undefined): FarmReply | undefined {
  if (value?.startsWith("done:") !== true) return undefined;
  const { headers, result } = JSON.parse(value.slice(5)) as { headers: [string, string][]; result: string };
  return decodeReply(new Map(headers), fromBase64Url(result));
}
