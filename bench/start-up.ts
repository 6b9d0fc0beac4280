import { performance } from "node:perf_hooks";
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

/**
 * Importing the built library and listing the tokens in a fresh Node process, less what Node takes to run an empty program,
 * beside `pkcs11-tool -L` on the same card. They take turns, and the medians are compared.
 */
export async function startUp(folder: string, daemon: Pcscd, factory: CardFactory): Promise<HostFigure> {
  requirePrograms("pkcs11-tool");
  await build(path.join(folder, "library"));
  const list = path.join(folder, "list.js");
  const empty = path.join(folder, "empty.js");
  await writeFile(list, LIST);
  await writeFile(empty, "");
  // The folder lies under node_modules, where the project's own package.json does not reach.
  await writeFile(path.join(folder, "package.json"), `{ "type": "module" }`);
  const times: Record<"list" | "empty" | "tool", number[]> = { list: [], empty: [], tool: [] };
  await withCard(daemon, await factory.make("short", false), async () => {
    for (let round = 0; round < ROUNDS; round++) {
      times.empty.push(await timed(daemon, process.execPath, [empty]));
      times.list.push(await timed(daemon, process.execPath, [list]));
      times.tool.push(await timed(daemon, "pkcs11-tool", ["-L"]));
    }
  });
  const own = median(times.list) - median(times.empty);
  const tool = median(times.tool);
  const ms = (value: number): string => `${value.toFixed(0)} ms`;
  return {
    title: "list tokens in a fresh process / pkcs11-tool -L",
    value: own / tool,
    unit: "ratio",
    atMost: 1,
    remark: `${ms(own)} without Node's own ${ms(median(times.empty))}; ${ms(tool)}; medians of ${ROUNDS}`,
  };
}

/** Builds the library as it is packed. */
async function build(target: string): Promise<void> {
  const script = fileURLToPath(new URL("../scripts/build.js", import.meta.url));
  const { code, stderr } = await run(process.execPath, [script, target]);
  if (code !== 0) throw new Error(`the library does not build:\n${stderr}`);
}

async function timed(daemon: Pcscd, program: string, args: readonly string[]): Promise<number> {
  const start = performance.now();
  const { code, stderr } = await run(program, args, { env: daemon.env });
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} failed:\n${stderr}`);
  return performance.now() - start;
}
