import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Pcscd } from "../test/interop/rig/pcscd.ts";
import { requirePrograms } from "../test/interop/rig/require.ts";
import { run } from "../test/interop/rig/run.ts";
import type { CardFactory } from "./cards.ts";
import { withCard } from "./count.ts";
import { median } from "./median.ts";
import type { HostFigure } from "./report.ts";

const ROUNDS = 15;

/** What a program does that imports the library to see which tokens there are. */
const LIST = `
import { Cryptoki, Pcscd, profiles } from "./library/index.js";
const pcsc = new Pcscd();
const cryptoki = new Cryptoki({ pcsc, profiles });
await cryptoki.C_Initialize();
for (const slot of await cryptoki.C_GetSlotList(true)) {
  const { label } = await cryptoki.C_GetTokenInfo(slot);
  console.log(slot, label);
}
await cryptoki.C_Finalize();
await pcsc.close();
`;

/** What is measured: a name, the command line, what it is measured against, and the bound in the budgets. */
interface Start {
  readonly title: string;
  readonly program: readonly string[];
  readonly atMost: number;
}

/**
 * Starts of fresh processes by CPU time: the built library imported to list the tokens, and the command; less what Node takes to run an empty
 * program, beside `pkcs11-tool -L` on the same card. They take turns, and the medians are compared. The command's compiled code is kept by a start
 * before.
 */
export async function startUp(folder: string, daemon: Pcscd, factory: CardFactory): Promise<readonly HostFigure[]> {
  requirePrograms("pkcs11-tool");
  const library = path.join(folder, "library");
  // The folder lies under node_modules, where the project's own package.json does not reach; the build runs the command.
  await writeFile(path.join(folder, "package.json"), `{ "type": "module", "version": "0.0.0" }`);
  await build(library);
  const list = path.join(folder, "list.js");
  const empty = path.join(folder, "empty.js");
  const command = path.join(library, "cli", "main.cjs");
  await writeFile(list, LIST);
  await writeFile(empty, "");
  const env = { ...daemon.env, XDG_CACHE_HOME: path.join(folder, "cache") };
  const starts: readonly Start[] = [
    { title: "list tokens with the library", program: [list], atMost: 1 },
    { title: "`cryptoki tokens`", program: [command, "tokens"], atMost: 1.5 },
    { title: "`cryptoki --help`", program: [command, "--help"], atMost: 1 },
  ];
  const times = new Map<string, number[]>();
  const measure = async (title: string, program: string, args: readonly string[]): Promise<void> => {
    const all = times.get(title) ?? [];
    times.set(title, [...all, await cpuTime(env, program, args)]);
  };
  const of = (title: string): number => median(times.get(title) ?? []);
  await withCard(daemon, await factory.make("short", false), async () => {
    for (const { program } of starts) await cpuTime(env, process.execPath, program);
    for (let round = 0; round < ROUNDS; round++) {
      await measure("empty", process.execPath, [empty]);
      for (const { title, program } of starts) await measure(title, process.execPath, program);
      await measure("tool", "pkcs11-tool", ["-L"]);
    }
  });
  const ms = (value: number): string => `${value.toFixed(0)} ms`;
  return starts.map(({ title, atMost }) => {
    const own = of(title) - of("empty");
    return {
      title: `${title} in a fresh process / pkcs11-tool -L`,
      value: own / of("tool"),
      unit: "ratio",
      atMost,
      remark: `CPU time: ${ms(own)} without Node's own ${ms(of("empty"))}; ${ms(of("tool"))}; medians of ${ROUNDS}`,
    };
  });
}

/** Builds the library as it is packed. */
async function build(target: string): Promise<void> {
  const script = fileURLToPath(new URL("../scripts/build.js", import.meta.url));
  const { code, stderr } = await run(process.execPath, [script, target]);
  if (code !== 0) throw new Error(`the library does not build:\n${stderr}`);
}

/** What a program and its children take of the processor, in milliseconds: the shell that starts it says so in the end. */
async function cpuTime(env: NodeJS.ProcessEnv, program: string, args: readonly string[]): Promise<number> {
  const { code, stdout, stderr } = await run("bash", ["-c", '"$@" > /dev/null && times', "bash", program, ...args], {
    env,
  });
  const [, children = ""] = stdout.trim().split("\n");
  const parts = [...children.matchAll(/(\d+)m([\d.]+)s/gu)].map(
    ([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds),
  );
  if (code !== 0 || parts.length !== 2) throw new Error(`${program} ${args.join(" ")} failed:\n${stderr}`);
  return parts.reduce((sum, part) => sum + part, 0) * 1000;
}
