import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { VirtualCard } from "../../../src/virtual/index.ts";
import { SeededRandom } from "../../seeded-random.ts";
import { testCard, testPkcs15Card } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { type Hit, searchMemory } from "./process-memory.ts";
import { PIN_LENGTH, ROUNDS, WRONG_ROUNDS } from "./rounds.ts";

/** TEST_SEED=… chooses the same PINs again. */
const { seed } = new SeededRandom();
const digits = (name: string): string => {
  const number = createHash("sha256").update(`${seed} ${name}`).digest().readUIntBE(0, 6);
  return String(number % 10 ** PIN_LENGTH).padStart(PIN_LENGTH, "0");
};
const [RIGHT, WRONG] = [digits("right"), digits("wrong")];

/** A PIN as it is on the wire to a card, as a string of two-byte characters, and as text of a trace. */
function forms(name: string, pin: string): [string, Uint8Array][] {
  const ascii = Buffer.from(pin);
  return [
    [name, ascii],
    [`${name} in UTF-16`, Buffer.from(pin, "utf16le")],
    [`${name} in hexadecimal`, Buffer.from(ascii.toString("hex"))],
  ];
}
const SOUGHT = Object.fromEntries([...forms("right PIN", RIGHT), ...forms("wrong PIN", WRONG)]);

const LOGIN_MAIN = fileURLToPath(new URL("login-main.ts", import.meta.url));
const PIN_FILE_MAIN = fileURLToPath(new URL("pin-file-main.ts", import.meta.url));
const LOGIN_C = fileURLToPath(new URL("login.c", import.meta.url));
const CLI_MAIN = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const KEEPING = ["--import", fileURLToPath(new URL("keep-pins.ts", import.meta.url))];

/** A program of this tree, with its standard input and output in pipes. */
function start(card: PluggedIn | undefined, imports: readonly string[], ...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", ...imports, ...args], {
    stdio: ["pipe", "pipe", "inherit", "ipc"],
    env: { ...process.env, NODE_OPTIONS: "", ...card?.env },
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** What the child says next, on its channel or its output; fails if it ends instead. */
async function said(child: ChildProcess, from: NodeJS.EventEmitter | null): Promise<string> {
  const exit = once(child, "exit").then(([code]) => {
    throw new Error(`the program ended with ${String(code)}`);
  });
  const [what] = (await Promise.race([once(from ?? child, from === child ? "message" : "data"), exit])) as [unknown];
  return String(what);
}

/** Where the PINs are in a program that used the library. */
async function afterLibrary(card: PluggedIn, imports: readonly string[] = []): Promise<readonly Hit[]> {
  const child = start(card, imports, LOGIN_MAIN);
  try {
    child.stdin?.write(RIGHT + WRONG);
    expect(await said(child, child)).toBe("done");
    return await searchMemory(child.pid ?? 0, SOUGHT);
  } finally {
    await stop(child);
  }
}

/** Where the PINs are in `cryptoki serve`, after a program in C used it. */
async function afterServe(card: PluggedIn, folder: string, imports: readonly string[] = []): Promise<readonly Hit[]> {
  const socket = path.join(folder, `socket-${imports.length}`);
  const server = start(card, imports, CLI_MAIN, "serve", "--foreground", "--socket", socket);
  const module = requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  let client: ChildProcess | undefined;
  try {
    expect(await said(server, server.stdout)).toContain(socket);
    const args = [module, RIGHT, WRONG, String(ROUNDS), ...WRONG_ROUNDS.map(String)];
    client = spawn(path.join(folder, "login"), args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, P11_KIT_SERVER_ADDRESS: `unix:path=${socket}` },
    });
    expect(await said(client, client.stdout)).toBe("done\n");
    return await searchMemory(server.pid ?? 0, SOUGHT);
  } finally {
    if (client) await stop(client);
    await stop(server);
  }
}

test("a PIN from a file leaves no copy in the command that reads it", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "secrets-"));
  const file = path.join(folder, "pin");
  await writeFile(file, `${RIGHT}\n`);
  const child = start(undefined, [], PIN_FILE_MAIN, file);
  try {
    expect(await said(child, child)).toBe("done");
    expect(await searchMemory(child.pid ?? 0, SOUGHT)).toEqual([]);
  } finally {
    await stop(child);
    await rm(folder, { recursive: true });
  }
});

describe.each<[string, () => Promise<VirtualCard>]>([
  ["PIV", () => testCard({ pin: RIGHT })],
  ["PKCS #15", () => testPkcs15Card({ pin: RIGHT })],
])("PINs given as bytes, %s", (_, make) => {
  let card: PluggedIn;
  let folder: string;

  beforeAll(async () => {
    requirePrograms("cc");
    console.info(`TEST_SEED=${seed}`);
    folder = await mkdtemp(path.join(tmpdir(), "secrets-"));
    const { code, stderr } = await run("cc", ["-O1", "-o", path.join(folder, "login"), LOGIN_C, "-ldl"]);
    if (code !== 0) throw new Error(`login.c does not compile:\n${stderr}`);
    card = await plugIn(await make(), "Secrets");
  }, 1_000_000);

  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  test("leave no copy in a program that uses the library", async () => {
    expect(await afterLibrary(card)).toEqual([]);
  }, 300_000);

  test("leave no copy in `cryptoki serve`", async () => {
    expect(await afterServe(card, folder)).toEqual([]);
  }, 300_000);

  test("are found where one is kept on purpose", async () => {
    const found = expect.arrayContaining([expect.objectContaining({ name: "right PIN" })]);
    expect(await afterLibrary(card, KEEPING)).toEqual(found);
    expect(await afterServe(card, folder, KEEPING)).toEqual(found);
  }, 600_000);
});
