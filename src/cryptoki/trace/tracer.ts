import type { CardFinding } from "../../card/index.ts";
import { CryptokiError } from "../error.ts";
import { entryOf, type FunctionEntry, type FunctionName } from "../function-table.ts";
import {
  buildText,
  callText,
  type CallEvent,
  type CK_TRACE_CALLBACK,
  type FindingEvent,
  findingText,
  type UlongBits,
} from "./event.ts";
import { shownParameter, shownResult } from "./shown.ts";

/** Tells a callback of calls, and of what is wrong on cards. While there is none, a call costs one look at {@link listening}. */
export class Tracer {
  readonly #bits: UlongBits;
  #callback: CK_TRACE_CALLBACK | undefined;

  constructor(bits: UlongBits) {
    this.#bits = bits;
  }

  get listening(): boolean {
    return this.#callback !== undefined;
  }

  listen(callback: CK_TRACE_CALLBACK | undefined): void {
    this.#callback = callback;
    this.#tell(buildText(this.#bits));
  }

  /** Runs `work`, which is a call of the function `name`, and tells of it when it has ended. */
  async trace<Result>(name: FunctionName, values: readonly unknown[], work: () => Promise<Result>): Promise<Result> {
    const entry = entryOf(name);
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
      event(error instanceof CryptokiError ? error.name : "CKR_GENERAL_ERROR");
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
