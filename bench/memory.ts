/**
 * `npm run memory`: the largest resident set of the built command that signs and verifies a GiB, from a file and from standard
 * input; see docs/benchmarks.md. Build first: `npm run build`.
 *
 *   npm run memory -- --size 64    another size, in MiB
 */
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { saveCard, VirtualPivCard } from "../src/virtual/index.ts";
import { PIN } from "./cards.ts";
import { peakMemory } from "./peak-memory.ts";

const MIB = 1 << 20;
/** The bound, in MiB. */
const BOUND = 150;

const { values } = parseArgs({ options: { size: { type: "string", default: "1024" } } });
const size = Number(values.size) * MIB;
const program = [fileURLToPath(new URL("../dist/cli/main.cjs", import.meta.url))];
const folder = await mkdtemp(path.join(tmpdir(), "memory-"));
try {
  const file = (name: string): string => path.join(folder, name);
  await saveCard(await VirtualPivCard.create(), file("card.json"));
  for (const name of ["big", "small"]) await writeFile(file(name), "a message");
  await truncate(file("big"), size);
  const env = { CRYPTOKI_PIN: PIN };
  const sign = [
    ...program,
    "--virtual",
    file("card.json"),
    "sign",
    "--id",
    "01",
    "--force",
    "--output",
    file("signature"),
  ];
  const verify = [...program, "--virtual", file("card.json"), "verify", "--id", "01", "--signature", file("signature")];
  const rows: [string, number][] = [
    ["sign a short file", await peakMemory([...sign, file("small")], env)],
    [`sign ${values.size} MiB on standard input`, await peakMemory(sign, env, file("big"))],
    [`sign a file of ${values.size} MiB`, await peakMemory([...sign, file("big")], env)],
    [`verify a file of ${values.size} MiB`, await peakMemory([...verify, file("big")], env)],
  ];
  for (const [work, bytes] of rows) process.stdout.write(`${work.padEnd(36)}${(bytes / MIB).toFixed(0)} MiB\n`);
  if (rows.some(([, bytes]) => bytes > BOUND * MIB)) {
    process.stderr.write(`more than ${BOUND} MiB\n`);
    process.exitCode = 1;
  }
} finally {
  await rm(folder, { recursive: true });
}
