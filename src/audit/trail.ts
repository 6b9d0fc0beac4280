import { createHash } from "node:crypto";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { SerialQueue } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";

/** What happened. A PIN, a message or a result never stands here. */
export interface AuditEvent {
  readonly event: "operation" | "started" | "continued-after-a-torn-line";
  readonly client?: string;
  readonly request?: string;
  readonly operation?: string;
  readonly token?: string;
  readonly key?: string;
  /** "OK", or the code of the problem. */
  readonly outcome?: string;
  /** What the client says the request is for, from its header Cryptoki-Purpose. */
  readonly purpose?: string;
}

interface AuditEntry extends AuditEvent {
  readonly sequence: number;
  /** ISO 8601. */
  readonly time: string;
  /** Hash of the entry before; zeros for the first. */
  readonly previous: string;
  /** SHA-256 over the entry without this field, hexadecimal. */
  readonly hash: string;
}

const FIRST = "0".repeat(64);

const hashOf = (entry: Omit<AuditEntry, "hash">): string =>
  createHash("sha256").update(JSON.stringify(entry)).digest("hex");

function readEntry(line: string): AuditEntry | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "object" && entry !== null && "hash" in entry ? (entry as AuditEntry) : undefined;
  } catch {
    return undefined;
  }
}

/** What {@link verifyAudit} found. */
export interface AuditReport {
  readonly entries: number;
  /** Hash of the last entry: keep it elsewhere, since a file that was cut short at its end is still a chain. */
  readonly head: string;
  /** Lines that a crash left unfinished, and after which the service went on. */
  readonly torn: number;
}

/**
 * Checks a trail: every entry has its hash, and names the one before.
 * @param text The file: a JSON object in each line.
 * @param known The hash of an entry that was the last one once: it must be among them.
 * @throws {DataError} with the number of the first line that is wrong.
 */
export function verifyAudit(text: string, known?: string): AuditReport {
  const lines = text.split("\n");
  // Behind the last line break is nothing, or a line that was not finished.
  const rest = lines.pop() ?? "";
  let [head, entries, torn, wasTorn, isKnown] = [FIRST, 0, 0, false, known === undefined];
  for (const [index, line] of lines.entries()) {
    const entry = readEntry(line);
    if (!entry) {
      torn++;
      wasTorn = true;
      continue;
    }
    const wrong = (what: string): DataError => new DataError(`audit trail: line ${index + 1} ${what}`);
    const { hash, ...content } = entry;
    if (hashOf(content) !== hash) throw wrong("was changed: its hash is of another content");
    if (entry.previous !== head) throw wrong("does not follow on the line before: lines are missing or were moved");
    if (entry.sequence !== entries) throw wrong(`has the number ${entry.sequence}; ${entries} is due`);
    if (wasTorn && entry.event !== "continued-after-a-torn-line") throw wrong("comes after a line that is no entry");
    wasTorn = false;
    head = hash;
    isKnown ||= hash === known;
    entries++;
  }
  if (wasTorn) throw new DataError(`audit trail: line ${lines.length} is no entry`);
  if (!isKnown)
    throw new DataError("audit trail: the known entry is not in it: the end was cut off, or it is another trail");
  return { entries, head, torn: torn + (rest === "" ? 0 : 1) };
}

/** Writes the trail: JSON lines, each chained to the one before by its hash. */
export class AuditTrail implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #queue = new SerialQueue();
  #sequence: number;
  #head: string;
  /** The last line was not finished. */
  #isTorn: boolean;

  private constructor(file: FileHandle, { entries, head }: AuditReport, isTorn: boolean) {
    this.#file = file;
    this.#isTorn = isTorn;
    this.#sequence = entries;
    this.#head = head;
  }

  /**
   * Opens a trail, or begins one, for this user alone (0600).
   * @throws {DataError} if what is there is no chain: it is kept as it is.
   */
  static async open(name: string): Promise<AuditTrail> {
    const text = await readFile(name, "utf8").catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw error;
    });
    const report = verifyAudit(text);
    const file = await open(name, "a", 0o600);
    const trail = new AuditTrail(file, report, text !== "" && !text.endsWith("\n"));
    await trail.write({ event: "started" });
    return trail;
  }

  /** Writes an entry, and resolves when it is on the disk. After a failure the next one begins a line of its own. */
  write(event: AuditEvent): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isTorn) {
        await this.#file.appendFile("\n");
        await this.#append({ event: "continued-after-a-torn-line" });
      }
      await this.#append(event);
    });
  }

  async #append(event: AuditEvent): Promise<void> {
    const content = { sequence: this.#sequence, time: new Date().toISOString(), ...event, previous: this.#head };
    const entry = { ...content, hash: hashOf(content) };
    this.#isTorn = true;
    await this.#file.appendFile(`${JSON.stringify(entry)}\n`);
    await this.#file.datasync();
    this.#isTorn = false;
    this.#sequence++;
    this.#head = entry.hash;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.run(() => Promise.resolve());
    await this.#file.close();
  }
}
