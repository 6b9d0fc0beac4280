import { type CallStart, CHANNELS } from "../../channels/index.ts";
import type { CardFinding } from "../../card/index.ts";
import { CryptokiError } from "../errors.ts";
import type { FunctionEntry } from "../function-entry.ts";
import type { FunctionName } from "../structures.ts";
import { shownParameter, shownResult } from "./shown.ts";

/** One call of a function, without its secrets. */
export interface CallEvent {
  /** Time of the call: milliseconds since 1970. */
  readonly time: number;
  /** Milliseconds until it ended. */
  readonly duration: number;
  readonly function: FunctionName;
  /** The arguments with the standard's names, in its order. */
  readonly parameters: Readonly<Record<string, string>>;
  /** "CKR_OK", or the error's name. */
  readonly rv: string;
  /** The output, if any. */
  readonly result?: string;
}

/** A finding on a card, seen for the first time: something malformed that was skipped. */
export interface FindingEvent extends CardFinding {
  /** Time of the finding: milliseconds since 1970. */
  readonly time: number;
  readonly reader: string;
}

/**
 * Receives a trace: a line for each call when it has ended, one for each finding on a card, and before them one with
 * width and byte order of CK_ULONG, which has no event. Its errors are ignored: the call has happened.
 */
export type CK_TRACE_CALLBACK = (line: string, event?: CallEvent | FindingEvent) => void;

/** `C_Login(hSession = 1, userType = CKU_USER, pPin = **) = CKR_OK (12.1 ms)`. */
function callText(event: CallEvent): string {
  const parameters = Object.entries(event.parameters).map(([name, value]) => `${name} = ${value}`);
  const result = event.result === undefined ? "" : `: ${event.result}`;
  return `${event.function}(${parameters.join(", ")}) = ${event.rv}${result} (${event.duration.toFixed(1)} ms)`;
}

/** `Reader: certificates 3F00/5015/4404, at 113: cut off at 120`; without a card's control characters. */
function findingText({ reader, where, problem }: FindingEvent): string {
  return [reader, where, problem].map((text) => text.replaceAll(/\p{Cc}/gu, "\ufffd")).join(": ");
}

/** The machine's byte order, which typed arrays and C structures use. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Bits of the caller's CK_ULONG. */
export type UlongBits = 32 | 64;

/** The first line of a trace, with the caller's CK_ULONG (Net iD, PKCS#11 extensions: size of CK_ULONG). */
const buildText = (bits: UlongBits): string =>
  `PKCS11 - ${LITTLE_ENDIAN ? "Little" : "Big"} endian build (${bits}-bits CK_ULONG)`;

/** Reports calls and findings to a callback. Without one, a call costs one check of {@link listening}. */
export class Tracer {
  readonly #bits: UlongBits;
  #callback: CK_TRACE_CALLBACK | undefined;
  /** Whether there is a callback. */
  listening = false;

  constructor(bits: UlongBits) {
    this.#bits = bits;
  }

  listen(callback: CK_TRACE_CALLBACK | undefined): void {
    this.#callback = callback;
    this.listening = callback !== undefined;
    this.#tell(buildText(this.#bits));
  }

  /** Runs `work`, a call of the function `name`, and reports it when it has ended: to the callback, and to observers. */
  trace<Result>(
    name: FunctionName,
    entry: FunctionEntry,
    values: readonly unknown[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const start: CallStart = { id: ++calls, time: Date.now(), function: name, ...handlesOf(entry, values) };
    const { callStart } = CHANNELS;
    return callStart.runStores(start, () =>
      published(start, this.listening ? () => this.#toCallback(name, entry, values, work) : work),
    );
  }

  async #toCallback<Result>(
    name: FunctionName,
    entry: FunctionEntry,
    values: readonly unknown[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const time = Date.now();
    const begun = performance.now();
    // Before the call: the caller may wipe its arguments afterwards.
    const parameters = harmless(() => shownParameters(name, entry, values)) ?? {};
    const event = (rv: string, result?: string): void => {
      this.#event({
        time,
        duration: performance.now() - begun,
        function: name,
        parameters,
        rv,
        ...(result !== undefined && { result }),
      });
    };
    try {
      const result = await work();
      event(
        "CKR_OK",
        harmless(() => shownResult(entry.result, result)),
      );
      return result;
    } catch (error) {
      event(error instanceof CryptokiError ? error.code : "CKR_GENERAL_ERROR");
      throw error;
    }
  }

  /** Reports a finding on the card in `reader`. */
  find(finding: CardFinding, reader: string): void {
    const event: FindingEvent = { time: Date.now(), reader, ...finding };
    this.#tell(findingText(event), event);
  }

  #event(event: CallEvent): void {
    this.#tell(callText(event), event);
  }

  #tell(line: string, event?: CallEvent | FindingEvent): void {
    harmless(() => this.#callback?.(line, event));
  }
}

/** Calls of all applications of this process that were observed. */
let calls = 0;

/** The session or the slot of a call. */
function handlesOf(
  { parameters }: FunctionEntry,
  values: readonly unknown[],
): { readonly session?: number; readonly slot?: number } {
  const [kind] = parameters[0]?.slice(1) ?? [];
  const [value] = values;
  return (kind === "session" || kind === "slot") && typeof value === "number" ? { [kind]: value } : {};
}

/** Runs `work`, and publishes how it ended. */
async function published<Result>(start: CallStart, work: () => Promise<Result>): Promise<Result> {
  const begun = performance.now();
  const end = (rv: string): void => {
    const duration = performance.now() - begun;
    CHANNELS.call.publish({ ...start, duration, rv });
    if (rv === "CKR_OK") return;
    CHANNELS.error.publish({ time: Date.now(), layer: "cryptoki", code: rv, function: start.function });
  };
  try {
    const result = await work();
    end("CKR_OK");
    return result;
  } catch (error) {
    end(error instanceof CryptokiError ? error.code : "CKR_GENERAL_ERROR");
    throw error;
  }
}

function shownParameters(
  name: FunctionName,
  { parameters }: FunctionEntry,
  values: readonly unknown[],
): Record<string, string> {
  return Object.fromEntries(
    parameters.map(([parameter, kind], index) => [parameter, shownParameter(name, kind, values[index])]),
  );
}

/** A caller's arguments and its callback may throw: neither changes the call's outcome. */
function harmless<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
