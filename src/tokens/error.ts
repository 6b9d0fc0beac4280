import { type CallOptions, signalOf } from "../async/index.ts";
import { CKR, CryptokiError } from "../cryptoki/index.ts";

/** What goes wrong in this layer before, or beside, a C_ function; each with the return value that a program in C would see. */
const LAYER_CODES = {
  /** The smart-card service of this machine does not answer. */
  NO_SERVICE: CKR.DEVICE_ERROR,
  NO_READER: CKR.TOKEN_NOT_PRESENT,
  NO_CARD: CKR.TOKEN_NOT_PRESENT,
  NO_TOKEN: CKR.TOKEN_NOT_PRESENT,
  SEVERAL_TOKENS: CKR.ARGUMENTS_BAD,
  NO_OBJECT: CKR.OBJECT_HANDLE_INVALID,
  SEVERAL_OBJECTS: CKR.ARGUMENTS_BAD,
  OBJECT_EXISTS: CKR.ACTION_PROHIBITED,
  /** The key is of a type, or for a use, that does not do this. */
  KEY_CANNOT: CKR.KEY_TYPE_INCONSISTENT,
  /** A PIN is wanted, and the program gave no way to ask for it. */
  NO_PIN_SOURCE: CKR.USER_NOT_LOGGED_IN,
  /** The last PIN was wrong: none is asked for before {@link Token.login}. */
  PIN_DECLINED: CKR.USER_NOT_LOGGED_IN,
  /** The card was taken out. The {@link Token} stays dead, also if the card comes back. */
  TOKEN_GONE: CKR.DEVICE_REMOVED,
  /** The user's work waited for the end of {@link Token.asOfficer}, and longer than it may. */
  OFFICER_ACTIVE: CKR.USER_ANOTHER_ALREADY_LOGGED_IN,
  NOT_SUPPORTED: CKR.FUNCTION_NOT_SUPPORTED,
  BAD_INPUT: CKR.ARGUMENTS_BAD,
} as const;

export type LayerCode = keyof typeof LAYER_CODES;
/** The name of a PKCS#11 return value: "CKR_PIN_INCORRECT". */
export type CkrName = `CKR_${string}`;

export interface TokenErrorOptions extends ErrorOptions {
  /** Tries that the PIN has left, where the card said so. */
  readonly triesLeft?: number | undefined;
  /** PKCS #11 URIs, or names, of what fits as well. */
  readonly candidates?: readonly string[];
}

/** The one error of this layer. An abort rejects with the reason of its signal instead. */
export class TokenError extends Error {
  override readonly name = "TokenError";
  /** A code of this layer, or the name of the return value of the C_ function that failed. */
  readonly code: LayerCode | CkrName;
  /** The return value (CKR) that goes with {@link code}. */
  readonly rv: number;
  readonly triesLeft: number | undefined;
  readonly candidates: readonly string[];

  constructor(code: LayerCode | CkrName, message: string, options: TokenErrorOptions & { readonly rv?: number } = {}) {
    super(message, options);
    this.code = code;
    this.rv = options.rv ?? (isLayerCode(code) ? LAYER_CODES[code] : CKR.GENERAL_ERROR);
    this.triesLeft = options.triesLeft;
    this.candidates = options.candidates ?? [];
  }

  /** Whether the error has one of these codes. */
  is(...codes: readonly (LayerCode | CkrName)[]): boolean {
    return codes.includes(this.code);
  }
}

function isLayerCode(code: string): code is LayerCode {
  return Object.hasOwn(LAYER_CODES, code);
}

/** A call's options. @throws {TokenError} BAD_INPUT for anything else, such as a bare AbortSignal: callers in JavaScript have no types. */
export function checked<Options extends CallOptions>(options: Options): Options {
  signalOf(options, (problem) => new TokenError("BAD_INPUT", problem));
  return options;
}

/** Return values of a session or a token whose card is not in the reader any more. */
const GONE: ReadonlySet<number> = new Set([
  CKR.DEVICE_REMOVED,
  CKR.TOKEN_NOT_PRESENT,
  CKR.SESSION_HANDLE_INVALID,
  CKR.SESSION_CLOSED,
]);

/** Whether a C_ function failed because the card is gone, or its sessions are. */
export function isGone(error: unknown): error is CryptokiError {
  return error instanceof CryptokiError && GONE.has(error.rv);
}

/**
 * Any error as this layer tells it: that of a C_ function as a {@link TokenError} with the same code, every other as it is.
 * @param signal Its reason takes the place of CKR_FUNCTION_CANCELED.
 */
export function toTokenError(error: unknown, signal?: AbortSignal): unknown {
  if (!(error instanceof CryptokiError)) return error;
  if (signal?.aborted && error.is("CKR_FUNCTION_CANCELED")) return signal.reason;
  const lacking = noService(error);
  if (lacking) return lacking;
  const options = { rv: error.rv, triesLeft: triesLeftOf(error), cause: error };
  return new TokenError(error.code, error.message, options);
}

/** Runs `work`, whose errors are told as {@link toTokenError} has them. */
export async function asTokenErrors<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    throw toTokenError(error, signal);
  }
}

function causes(error: unknown): unknown[] {
  const found: unknown[] = [];
  for (let one = error; one instanceof Error && found.length < 8; one = one.cause) found.push(one);
  return found;
}

/** The error for a smart-card service that does not answer, if this is what `error` comes from. */
export function noService(error: unknown): TokenError | undefined {
  if (!causes(error).some((cause) => property(cause, "codeName") === "SCARD_E_NO_SERVICE")) return undefined;
  const advice = "no smart-card service; start it with: systemctl start pcscd.socket";
  return new TokenError("NO_SERVICE", advice, { cause: error });
}

/** Whether the token said that its security officer must log in. */
export function wantsOfficer(error: unknown): boolean {
  return causes(error).some((cause) => property(cause, "user") === "so");
}

function triesLeftOf(error: CryptokiError): number | undefined {
  for (const cause of causes(error)) {
    const tries = property(cause, "triesLeft");
    if (typeof tries === "number") return tries;
  }
  return undefined;
}

function property(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
