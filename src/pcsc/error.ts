import { SCARD_PROTOCOL } from "./constants.ts";
import { SCARD_ERRORS, type ScardErrorName } from "./status.ts";

/** An error of the resource manager, a reader, or the way to them. `name` of the code first, then what to do about it. */
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

  /** Whether this is the error named. */
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
 * What a failed exchange means on a connection that speaks `protocol`. pcscd forgets the protocol at each power-up of the card, so a
 * reset that comes while another program dies, or between two calls, shows only as SCARD_E_PROTO_MISMATCH (pcsc-lite, winscard.c).
 * @returns SCARD_W_RESET_CARD for it, with `error` as its cause; any other error as it is.
 */
export function unnoticedReset(error: unknown, protocol: number): unknown {
  const isReset =
    error instanceof PcscError && error.is("SCARD_E_PROTO_MISMATCH") && protocol !== SCARD_PROTOCOL.UNDEFINED;
  return isReset ? new PcscError("SCARD_W_RESET_CARD", undefined, { cause: error }) : error;
}
