import { type FileHandle, open, readFile } from "node:fs/promises";

/** One place in a process where a sought byte string lies. */
export interface Hit {
  /** Which of the sought strings it is. */
  readonly name: string;
  readonly address: string;
  /** What is mapped there: a file, "[heap]", "[stack]", or nothing for anonymous memory. */
  readonly mapping: string;
  /** The bytes around it in hexadecimal, to tell whose copy it is. */
  readonly around: string;
}

interface Region {
  readonly start: number;
  readonly end: number;
  readonly mapping: string;
}

const CHUNK = 1 << 20;
const AROUND = 32;

/**
 * Searches all readable memory of another process, heap, stacks and freed blocks alike, through /proc/PID/mem (proc(5)).
 * Allowed to root and to the parent of the process (ptrace(2)). The process should be idle.
 */
export async function searchMemory(pid: number, sought: Readonly<Record<string, Uint8Array>>): Promise<readonly Hit[]> {
  const overlap = Math.max(...Object.values(sought).map(({ length }) => length)) - 1;
  const regions = await readableRegions(pid);
  const hits: Hit[] = [];
  await using memory = await open(`/proc/${pid}/mem`, "r");
  for (const region of regions) {
    for await (const { at, bytes } of chunksOf(memory, region, overlap)) {
      for (const [name, needle] of Object.entries(sought)) {
        for (const found of occurrences(bytes, needle)) {
          const around = bytes.toString("hex", Math.max(0, found - AROUND), found + needle.length + AROUND);
          hits.push({ name, address: (at + found).toString(16), mapping: region.mapping, around });
        }
      }
    }
  }
  return hits;
}

async function readableRegions(pid: number): Promise<readonly Region[]> {
  const lines = (await readFile(`/proc/${pid}/maps`, "latin1")).split("\n");
  const regions = lines.flatMap((line) => {
    const [, start = "", end = "", rights = "", mapping = ""] =
      /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/u.exec(line) ?? [];
    // The kernel's own pages cannot be read this way.
    if (!rights.startsWith("r") || /^\[v(?:var|syscall)/u.test(mapping)) return [];
    return [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), mapping }];
  });
  if (regions.length === 0) throw new Error(`process ${pid} has no readable memory: it has ended`);
  return regions;
}

/** Each chunk has the first `overlap` bytes of the next one at its end. It is valid until the next one is read. */
async function* chunksOf(
  memory: FileHandle,
  { start, end }: Region,
  overlap: number,
): AsyncGenerator<{ readonly at: number; readonly bytes: Buffer }> {
  const buffer = Buffer.alloc(CHUNK + overlap);
  for (let at = start; at < end; at += CHUNK) {
    const { bytesRead } = await memory.read(buffer, 0, Math.min(buffer.length, end - at), at);
    yield { at, bytes: buffer.subarray(0, bytesRead) };
  }
}

/** Where `needle` begins in a chunk; what begins in the overlap is found in the next one. */
function* occurrences(bytes: Buffer, needle: Uint8Array): Generator<number> {
  for (let at = bytes.indexOf(needle); at !== -1 && at < CHUNK; at = bytes.indexOf(needle, at + 1)) yield at;
}
