/** Which functions of `src` a piece of work enters, by V8's precise coverage. */
import { Session } from "node:inspector/promises";
import { findSourceMap } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../src/", import.meta.url));
/** The virtual cards are the other side of the wire. */
const LEFT_OUT = path.join(SOURCE, "virtual", path.sep);

interface EnteredFunction {
  /** The line of the source where it begins, from 1. */
  readonly line: number;
  /** Empty for a function without a name. */
  readonly name: string;
}

/** A file of `src`, with those of its functions that were entered. */
export interface EnteredFile {
  /** From `src` on. */
  readonly path: string;
  readonly functions: readonly EnteredFunction[];
}

/** Sees from now on which functions are entered. Make it before the modules load that it is to see. */
export class EntryWatch implements Disposable {
  readonly #session = new Session();
  /** By script: where its lines begin, in characters, as V8 has it. */
  readonly #lines = new Map<string, readonly number[]>();

  static async start(): Promise<EntryWatch> {
    const watch = new EntryWatch();
    watch.#session.connect();
    await watch.#session.post("Debugger.enable");
    await watch.#session.post("Profiler.enable");
    await watch.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    return watch;
  }

  /** The files of `src` that `work` enters, and their functions, in order. A module's own top level is no function. */
  async during(work: () => Promise<unknown>): Promise<readonly EnteredFile[]> {
    await this.#session.post("Profiler.takePreciseCoverage");
    await work();
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    const files: EnteredFile[] = [];
    for (const { url, scriptId, functions } of result) {
      const file = sourceOf(url);
      if (file === undefined) continue;
      const entered = functions
        .flatMap(({ functionName: name, ranges: [whole] }) =>
          whole && whole.count > 0 ? [{ name, at: whole.startOffset }] : [],
        )
        .filter(({ name, at }) => at > 0 && isWritten(name));
      if (entered.length === 0) continue;
      const lines = await this.#linesOf(scriptId);
      const placed = entered.flatMap(({ name, at }): EnteredFunction[] => {
        const line = sourceLine(url, lines, at);
        return line === undefined ? [] : [{ name, line }];
      });
      files.push({ path: path.relative(SOURCE, file), functions: placed.sort((a, b) => a.line - b.line) });
    }
    return files.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async #linesOf(scriptId: string): Promise<readonly number[]> {
    const known = this.#lines.get(scriptId);
    if (known) return known;
    const { scriptSource } = await this.#session.post("Debugger.getScriptSource", { scriptId });
    const starts = [0, ...[...scriptSource.matchAll(/\n/gu)].map(({ index }) => index + 1)];
    this.#lines.set(scriptId, starts);
    return starts;
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }
}

/** Undefined for a script that does not count. */
function sourceOf(url: string): string | undefined {
  if (!url.startsWith("file:")) return undefined;
  const file = fileURLToPath(url);
  return file.startsWith(SOURCE) && !file.startsWith(LEFT_OUT) ? file : undefined;
}

/** Not the helper that gives functions their names after the translation to JavaScript, nor the initialisers of a class's fields. */
function isWritten(name: string): boolean {
  return name !== "__name" && !name.startsWith("<");
}

/** Undefined for a function that the source does not have: the helpers that `using` becomes after the translation to JavaScript. */
function sourceLine(url: string, starts: readonly number[], offset: number): number | undefined {
  const line = starts.findLastIndex((start) => start <= offset);
  const column = offset - (starts[line] ?? 0);
  const map = findSourceMap(fileURLToPath(url));
  if (!map) return line + 1;
  const entry = map.findEntry(line, column);
  return "originalLine" in entry ? entry.originalLine + 1 : undefined;
}
