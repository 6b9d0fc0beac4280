import type { CardFinding } from "../../card/index.ts";
import { CryptokiError } from "../errors.ts";
import type { FunctionEntry } from "../function-entry.ts";
import type { FunctionName } from "../structures.ts";
import { shownParameter, shownResult } from "./shown.ts";

/** One call of a function, fit to be shown to anybody. */
export interface CallEvent {
  /** When it was made: milliseconds since 1970. */
  readonly time: number;
  /** Milliseconds until it ended. */
  readonly duration: number;
  readonly function: FunctionName;
  /** The arguments in the standard's words, by the standard's names, in its order. */
  readonly parameters: Readonly<Record<string, string>>;
  /** "CKR_OK", or what it is that was thrown. */
  readonly rv: string;
  /** What came out, where something did. */
  readonly result?: string;
}

/** Something on a card that is not as it should be, and was left out: seen for the first time. */
export interface FindingEvent extends CardFinding {
  /** When it was found: milliseconds since 1970. */
  readonly time: number;
  readonly reader: string;
}

/**
 * Takes a trace: a line for each call when it has ended, one for each thing that is wrong on a card, and before them one that tells
 * width and byte order of CK_ULONG, which has no event. What it throws is lost: the call has happened.
 */
export type CK_TRACE_CALLBACK = (line: string, event?: CallEvent | FindingEvent) => void;

/** `C_Login(hSession = 1, userType = CKU_USER, pPin = **) = CKR_OK (12.1 ms)`. */
function callText(event: CallEvent): string {
  const parameters = Object.entries(event.parameters).map(([name, value]) => `${name} = ${value}`);
  const result = event.result === undefined ? "" : `: ${event.result}`;
  return `${event.function}(${parameters.join(", ")}) = ${event.rv}${result} (${event.duration.toFixed(1)} ms)`;
}

/** `Reader: certificates 3F00/5015/4404, at 113: cut off at 120`: what a card says of itself has no control characters here. */
function findingText({ reader, where, problem }: FindingEvent): string {
  return [reader, where, problem].map((text) => text.replaceAll(/\p{Cc}/gu, "\ufffd")).join(": ");
}

/** Of typed arrays, as of structures of C, the machine decides. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** How many bits a CK_ULONG has for who calls the functions. */
export type UlongBits = 32 | 64;

/** The first line of a trace. What callers and the driver must agree on (Net iD, PKCS#11 extensions: size of CK_ULONG). */
const buildText = (bits: UlongBits): string =>
  `PKCS11 - ${LITTLE_ENDIAN ? "Little" : "Big"} endian build (${bits}-bits CK_ULONG)`;

/** Tells a callback of calls, and of what is wrong on cards. While there is none, a call costs one look at {@link listening}. */
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

  /** Runs `work`, which is a call of the function `name`, and tells of it when it has ended. */
  async trace<Result>(
    name: FunctionName,
    entry: FunctionEntry,
    values: readonly unknown[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const time = Date.now();
    const begun = performance.now();
    // Before the call: the caller may wipe what it gave as soon as it is done.
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

  /** Tells of something wrong on the card in `reader`. */
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

function shownParameters(
  name: FunctionName,
  { parameters }: FunctionEntry,
  values: readonly unknown[],
): Record<string, string> {
  return Object.fromEntries(
    parameters.map(([parameter, kind], index) => [parameter, shownParameter(name, kind, values[index])]),
  );
}

/** What a caller gave may be anything, and its callback may do anything: neither changes what the call comes to. */
function harmless<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
