import { fromBase64Url, toBase64Url } from "../bytes/index.ts";
import type { KeyPrimitive } from "../card/index.ts";
import { FarmError } from "./error.ts";
import { isReplySubject, MAX_INPUT } from "./names.ts";

/** What a client wants of a key: the fields of the message are its headers, the input is its body. */
export interface FarmRequest {
  /** Nats-Msg-Id: the server drops a second message with it. */
  readonly id: string;
  /** The card's operation. */
  readonly primitive: KeyPrimitive;
  /** Milliseconds since 1970 after which the work is not begun any more. */
  readonly deadline: number;
  /** Where the answer goes. */
  readonly reply: string;
  /** The client's X25519 public value, 32 bytes, for a result that is secret. */
  readonly seal: Uint8Array | undefined;
  /** Traceparent (W3C Trace Context), passed on as it is. */
  readonly trace: string | undefined;
  readonly input: Uint8Array;
}

/** How a request ended. */
export type FarmStatus =
  | "ok"
  /** The deadline was over before a card began. */
  | "late"
  /** The card went, or did not answer; no other card did it. */
  | "gone"
  /** Workers died at it, as often as it may be begun. */
  | "lost"
  /** The card refused its PIN: the worker has withdrawn the key. */
  | "pin"
  /** The key cannot do it, or the input is malformed. */
  | "refused"
  /** The card failed. */
  | "failed";

/** A worker's answer: the fields are headers, the result is the body. */
export interface FarmReply {
  readonly status: FarmStatus;
  /** What happened, for people; of any status but "ok". */
  readonly reason: string | undefined;
  /** Serial number of the card that did it. */
  readonly serial: string | undefined;
  /** Milliseconds that the request waited for a card, and that the card took. */
  readonly times: FarmTimes | undefined;
  /** 1, or 2 after a redelivery. */
  readonly attempt: number;
  readonly result: Uint8Array;
}

export interface FarmTimes {
  readonly waited: number;
  readonly worked: number;
}

/** Headers by name, as NATS carries them. */
export type Headers = ReadonlyMap<string, string>;

const PRIMITIVES: ReadonlySet<string> = new Set<KeyPrimitive>([
  "rsa-raw",
  "rsa-pkcs1",
  "rsa-pss",
  "ecdsa",
  "ecdsa-sha1",
  "ecdh",
  "eddsa",
]);
const STATUSES: ReadonlySet<string> = new Set<FarmStatus>(["ok", "late", "gone", "lost", "pin", "refused", "failed"]);
const ID = /^[\w-]{1,64}$/u;
const X25519_LENGTH = 32;

/** What Farm-Op says, for people and permissions. Whether a block of RSA is a signature, only its owner knows. */
function operationOf(primitive: KeyPrimitive): string {
  if (primitive === "ecdh") return "derive";
  return primitive === "rsa-raw" ? "power" : "use";
}

export function encodeRequest(request: FarmRequest): Headers {
  const { id, primitive, deadline, reply, seal, trace } = request;
  return new Map([
    ["Nats-Msg-Id", id],
    ["Farm-Op", operationOf(primitive)],
    ["Farm-Alg", primitive],
    ["Farm-Deadline", `${deadline}`],
    ["Farm-Reply", reply],
    ...(seal === undefined ? [] : ([["Farm-Seal", toBase64Url(seal)]] as const)),
    ...(trace === undefined ? [] : ([["Traceparent", trace]] as const)),
  ]);
}

/**
 * @param headers As they came.
 * @throws {FarmError} BAD_INPUT naming the header that is wrong.
 */
export function decodeRequest(headers: Headers, input: Uint8Array): FarmRequest {
  const id = matching(headers, "Nats-Msg-Id", (text) => ID.test(text));
  const primitive = matching(headers, "Farm-Alg", (text) => PRIMITIVES.has(text)) as KeyPrimitive;
  const deadline = Number(matching(headers, "Farm-Deadline", (text) => /^\d{1,15}$/u.test(text)));
  const reply = matching(headers, "Farm-Reply", isReplySubject);
  if (input.length === 0 || input.length > MAX_INPUT) {
    throw new FarmError("BAD_INPUT", `an input of ${input.length} bytes: a farm takes 1 to ${MAX_INPUT}`);
  }
  return { id, primitive, deadline, reply, seal: sealOf(headers), trace: headers.get("Traceparent"), input };
}

/** The request whose answer a client asks for once more, and where it goes. */
export interface FarmAgain {
  readonly id: string;
  readonly reply: string;
}

export const encodeAgain = ({ id, reply }: FarmAgain): Headers =>
  new Map([
    ["Farm-Id", id],
    ["Farm-Reply", reply],
  ]);

/** @throws {FarmError} BAD_INPUT naming the header that is wrong. */
export function decodeAgain(headers: Headers): FarmAgain {
  return {
    id: matching(headers, "Farm-Id", (text) => ID.test(text)),
    reply: matching(headers, "Farm-Reply", isReplySubject),
  };
}

function sealOf(headers: Headers): Uint8Array | undefined {
  const text = headers.get("Farm-Seal");
  if (text === undefined) return undefined;
  if (!/^[\w-]{43}$/u.test(text)) throw wrong("Farm-Seal");
  return fromBase64Url(text).subarray(0, X25519_LENGTH);
}

function matching(headers: Headers, name: string, isRight: (text: string) => boolean): string {
  const text = headers.get(name);
  if (text !== undefined && isRight(text)) return text;
  throw wrong(name);
}

const wrong = (name: string): FarmError => new FarmError("BAD_INPUT", `the header ${name} is missing or malformed`);

export function encodeReply({ status, reason, serial, times, attempt }: FarmReply): Headers {
  return new Map([
    ["Farm-Status", status],
    ["Farm-Attempt", `${attempt}`],
    ...(reason === undefined ? [] : ([["Farm-Reason", encodeURIComponent(reason)]] as const)),
    ...(serial === undefined ? [] : ([["Farm-Serial", encodeURIComponent(serial)]] as const)),
    ...(times === undefined ? [] : ([["Farm-Times", `${times.waited},${times.worked}`]] as const)),
  ]);
}

/** @throws {FarmError} BAD_INPUT for an answer that no worker of this version gives. */
export function decodeReply(headers: Headers, result: Uint8Array): FarmReply {
  const status = matching(headers, "Farm-Status", (text) => STATUSES.has(text)) as FarmStatus;
  const attempt = Number(matching(headers, "Farm-Attempt", (text) => /^\d{1,3}$/u.test(text)));
  const times = /^(\d{1,9}),(\d{1,9})$/u.exec(headers.get("Farm-Times") ?? "");
  return {
    status,
    reason: decodedText(headers, "Farm-Reason"),
    serial: decodedText(headers, "Farm-Serial"),
    times: times ? { waited: Number(times[1]), worked: Number(times[2]) } : undefined,
    attempt,
    result,
  };
}

function decodedText(headers: Headers, name: string): string | undefined {
  const text = headers.get(name);
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong(name);
  }
}
