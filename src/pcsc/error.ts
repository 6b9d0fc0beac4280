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
