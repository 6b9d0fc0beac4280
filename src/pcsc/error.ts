import { SCARD_PROTOCOL } from "./types.ts";

/** Return codes of PC/SC (pcsc-lite `pcsclite.h`, Windows `winerror.h`), in numeric order, with what to do about each. */
export const SCARD_ERRORS = {
  SCARD_F_INTERNAL_ERROR: { code: 0x80100001, meaning: "the resource manager failed inside" },
  SCARD_E_CANCELLED: { code: 0x80100002, meaning: "the call was cancelled" },
  SCARD_E_INVALID_HANDLE: { code: 0x80100003, meaning: "the connection is closed" },
  SCARD_E_INVALID_PARAMETER: { code: 0x80100004, meaning: "a parameter is out of range" },
  SCARD_E_INSUFFICIENT_BUFFER: { code: 0x80100008, meaning: "the answer is longer than any card may send" },
  SCARD_E_UNKNOWN_READER: { code: 0x80100009, meaning: "no reader of this name; list the readers" },
  SCARD_E_TIMEOUT: { code: 0x8010000a, meaning: "the time given ran out" },
  SCARD_E_SHARING_VIOLATION: {
    code: 0x8010000b,
    meaning: "another program holds the card; end it (gpg-agent, a browser, another middleware) and try again",
  },
  SCARD_E_NO_SMARTCARD: { code: 0x8010000c, meaning: "no card in the reader; insert one" },
  SCARD_E_PROTO_MISMATCH: { code: 0x8010000f, meaning: "the card does not speak the protocol that was asked for" },
  SCARD_E_NOT_READY: { code: 0x80100010, meaning: "the reader or card is not ready" },
  SCARD_E_INVALID_VALUE: { code: 0x80100011, meaning: "a value is not one that PC/SC knows" },
  SCARD_F_COMM_ERROR: { code: 0x80100013, meaning: "the connection to the resource manager broke" },
  SCARD_E_NOT_TRANSACTED: { code: 0x80100016, meaning: "no transaction is under way, or the exchange failed" },
  SCARD_E_READER_UNAVAILABLE: { code: 0x80100017, meaning: "the reader is gone; plug it in again" },
  SCARD_E_NO_SERVICE: { code: 0x8010001d, meaning: "the smart-card service is not running; start pcscd" },
  SCARD_E_SERVICE_STOPPED: { code: 0x8010001e, meaning: "the smart-card service has stopped; start pcscd again" },
  SCARD_E_UNSUPPORTED_FEATURE: { code: 0x8010001f, meaning: "the reader or service cannot do this" },
  SCARD_E_NO_READERS_AVAILABLE: { code: 0x8010002e, meaning: "no smart-card reader; plug one in" },
  SCARD_W_UNSUPPORTED_CARD: { code: 0x80100065, meaning: "the card's answer to reset cannot be used" },
  SCARD_W_UNRESPONSIVE_CARD: { code: 0x80100066, meaning: "the card does not answer; is it the right way round?" },
  SCARD_W_UNPOWERED_CARD: { code: 0x80100067, meaning: "the card is powered down" },
  SCARD_W_RESET_CARD: {
    code: 0x80100068,
    meaning: "another program reset the card, which has forgotten the verified PINs",
  },
  SCARD_W_REMOVED_CARD: { code: 0x80100069, meaning: "the card was taken out" },
  SCARD_W_SECURITY_VIOLATION: {
    code: 0x8010006a,
    meaning: "this user may not use the smart-card service; see the polkit rules of pcscd",
  },
} as const;

export type ScardErrorName = keyof typeof SCARD_ERRORS;

/**
 * An error of the resource manager, a reader, or the connection to them. The message begins with the `name` of the
 * code, then says what to do.
 */
export class PcscError extends Error {
  override readonly name = "PcscError";
  /** The SCARD_ code, 32 bits unsigned. */
  readonly code: number;
  readonly codeName: string;

  constructor(code: number | ScardErrorName, detail?: string, options?: ErrorOptions) {
    const known = typeof code === "string" ? ([code, SCARD_ERRORS[code]] as const) : lookUp(code);
    const number = known ? known[1].code : (code as number) >>> 0;
    const codeName = known?.[0] ?? `0x${number.toString(16)}`;
    super([codeName, detail ?? known?.[1].meaning].filter(Boolean).join(": "), options);
    this.code = number;
    this.codeName = codeName;
  }

  /** Whether this is the named error. */
  is(...names: readonly ScardErrorName[]): boolean {
    return names.some((name) => SCARD_ERRORS[name].code === this.code);
  }
}

function lookUp(
  code: number,
): readonly [ScardErrorName, { readonly code: number; readonly meaning: string }] | undefined {
  return (Object.entries(SCARD_ERRORS) as [ScardErrorName, { code: number; meaning: string }][]).find(
    ([, entry]) => entry.code === code >>> 0,
  );
}

/**
 * Interprets the error of an exchange on a connection with `protocol`. pcscd forgets the protocol when it powers the
 * card up, so a reset by a program that dies, or between two calls, shows only as SCARD_E_PROTO_MISMATCH (pcsc-lite,
 * winscard.c).
 * @returns SCARD_W_RESET_CARD for it, with `error` as its cause; any other error unchanged.
 */
export function unnoticedReset(error: unknown, protocol: number): unknown {
  const isReset =
    error instanceof PcscError && error.is("SCARD_E_PROTO_MISMATCH") && protocol !== SCARD_PROTOCOL.UNDEFINED;
  return isReset ? new PcscError("SCARD_W_RESET_CARD", undefined, { cause: error }) : error;
}
