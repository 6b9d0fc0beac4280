import { CertificateError } from "../certificates/index.ts";
import { DataError } from "../bytes/index.ts";
import { CryptokiError } from "../cryptoki/index.ts";
import { TokenError } from "../tokens/index.ts";

/** What the service itself refuses; the rest are the codes of the layer and of PKCS #11. */
export type ServiceCode =
  | "BAD_INPUT"
  /** No client has these credentials. */
  | "UNKNOWN_CLIENT"
  /** The client may not do this, or not with this key or token. */
  | "FORBIDDEN"
  | "NOT_FOUND"
  /** A request with the same Idempotency-Key is still running. */
  | "STILL_RUNNING"
  /** The Idempotency-Key was used for another request. */
  | "KEY_REUSED"
  /** The work was not done before the deadline. */
  | "DEADLINE"
  /** The audit trail cannot be written, so nothing is done. */
  | "NO_AUDIT"
  /** Too much waits already; PKCS #11's name for it. */
  | "CKR_DEVICE_MEMORY";

const SERVICE_STATUS: Readonly<Record<ServiceCode, number>> = {
  BAD_INPUT: 400,
  UNKNOWN_CLIENT: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  STILL_RUNNING: 409,
  KEY_REUSED: 422,
  DEADLINE: 504,
  NO_AUDIT: 503,
  CKR_DEVICE_MEMORY: 429,
};

/** A request that the service refuses. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ServiceCode;
  /** Seconds after which the client may try again. */
  readonly retryAfter: number | undefined;

  constructor(code: ServiceCode, message: string, options: ErrorOptions & { readonly retryAfter?: number } = {}) {
    super(message, options);
    this.code = code;
    this.retryAfter = options.retryAfter;
  }
}

/** HTTP status by code. The first row whose pattern fits decides. */
const STATUS: readonly (readonly [RegExp, number])[] = [
  [/^(BAD_INPUT|CKR_ARGUMENTS_BAD)$/u, 400],
  [/^CKR_PIN_INCORRECT$/u, 403],
  [/^(NO_TOKEN|NO_CARD|NO_READER|NO_OBJECT|CKR_SLOT_ID_INVALID)$/u, 404],
  [/^(SEVERAL_TOKENS|SEVERAL_OBJECTS|OBJECT_EXISTS|NO_PIN_SOURCE|PIN_DECLINED|OFFICER_ACTIVE)$/u, 409],
  [/^CKR_(USER_|SESSION_|ACTION_PROHIBITED|TOKEN_WRITE_PROTECTED)/u, 409],
  [/^CKR_PIN_LOCKED$/u, 423],
  [/^(KEY_CANNOT|CKR_(MECHANISM|DATA|ENCRYPTED|WRAPPED|KEY|TEMPLATE|ATTRIBUTE|DOMAIN|CURVE|PIN|SIGNATURE)_)/u, 422],
  [/^CKR_DEVICE_MEMORY$/u, 429],
  [/^(NOT_SUPPORTED|CKR_FUNCTION_NOT_SUPPORTED|CKR_RANDOM_NO_RNG)$/u, 501],
  [/^(TOKEN_GONE|NO_SERVICE|CKR_(DEVICE|TOKEN)_)/u, 503],
];

const statusOf = (code: string): number => STATUS.find(([pattern]) => pattern.test(code))?.[1] ?? 500;

/** An answer as RFC 9457 writes it. */
export interface Problem {
  /** A name for the kind of problem: "urn:cryptoki:CKR_PIN_LOCKED". */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  /** Tries that the PIN has left, where the card said so. */
  readonly triesLeft?: number;
  /** What fits as well, where the request names too little. */
  readonly candidates?: readonly string[];
  readonly retryAfter?: number;
}

const TITLES: Readonly<Record<number, string>> = {
  400: "The request is malformed",
  401: "The client is not known",
  403: "Refused",
  404: "Not found",
  405: "The method is not offered here",
  406: "No such form of the answer",
  409: "Not possible in this state",
  413: "The request is too large",
  415: "No such form of the request",
  422: "Not possible with this key or these data",
  423: "The PIN is blocked",
  429: "Too many requests",
  501: "The token does not do this",
  503: "Not available",
  504: "Not done in time",
};

function problem(status: number, code: string, detail: string): Problem {
  return { type: `urn:cryptoki:${code}`, title: TITLES[status] ?? "Failed", status, code, detail };
}

/** Codes of the framework's own refusals, by their HTTP status. */
const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  404: "NOT_FOUND",
  405: "NOT_FOUND",
  413: "TOO_LARGE",
  415: "UNKNOWN_FORM",
  429: "CKR_DEVICE_MEMORY",
};

/**
 * The problem that stands for an error. Errors that are not the project's own say nothing of their text: it is not known what is in it.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof ServiceError) {
    const { code, retryAfter } = error;
    return { ...problem(SERVICE_STATUS[code], code, error.message), ...(retryAfter !== undefined && { retryAfter }) };
  }
  if (error instanceof TokenError) {
    const { code, triesLeft, candidates } = error;
    return {
      ...problem(statusOf(code), code, error.message),
      ...(triesLeft !== undefined && { triesLeft }),
      ...(candidates.length > 0 && { candidates }),
    };
  }
  if (error instanceof CryptokiError) return problem(statusOf(error.code), error.code, error.message);
  // What a library for certificates was told by the Web Cryptography API.
  if (error instanceof DOMException && error.cause !== undefined) return problemOf(error.cause);
  if (error instanceof DataError) return problem(400, "BAD_INPUT", error.message);
  if (error instanceof CertificateError) return problem(422, "KEY_CANNOT", error.message);
  const { statusCode, message } = error as { readonly statusCode?: unknown; readonly message?: unknown };
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) {
    return problem(statusCode, CODE_OF_STATUS[statusCode] ?? "BAD_INPUT", String(message));
  }
  return problem(500, "CKR_GENERAL_ERROR", "the service failed; its log says more, under the request's identifier");
}
