import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connect } from "node:tls";
import { CardFolder } from "../../cli/card.ts";
import { start } from "../../cli/child.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";

/** docs/guides/haproxy.md as it stands: two machines with cards and one with programs, all three on this one. */
const PROJECT = new URL("../../../", import.meta.url);
const GUIDE = readFileSync(new URL("docs/guides/haproxy.md", PROJECT), "utf8");
/** This run's own addresses for the machines: all of 127.0.0.0/8 is this machine. */
const NET = `127.${1 + (process.pid % 250)}.${1 + ((process.pid >> 8) % 250)}`;
const PORT = 7511;
const ADDRESS = { one: `${NET}.1`, two: `${NET}.2` } as const;
type Machine = keyof typeof ADDRESS;

let folder: CardFolder;
const servers = new Map<Machine, ChildProcess>();
/** Process IDs of haproxy. */
const proxies: number[] = [];

/** The blocks of the guide in a language, in their order. */
function blocks(language: string): string[] {
  return [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);
}

/** A block with the paths and the addresses of this test. */
function placed(block: string, socket: string): string {
  return block
    .replaceAll("/etc/haproxy/", `${folder.path}/`)
    .replaceAll("/run/cryptoki/serve.sock", folder.file(socket))
    .replaceAll("/run/cryptoki/", `${folder.path}/`)
    .replaceAll("one.example", ADDRESS.one)
    .replaceAll("two.example", ADDRESS.two);
}

async function bash(script: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { code, stdout } = await run("bash", ["-euo", "pipefail", "-c", `exec 2>&1\n${script}`], {
    cwd: folder.path,
    env,
  });
  // The output first: it says why.
  expect([stdout, code]).toEqual([stdout, 0]);
  return stdout;
}

async function serve(machine: Machine): Promise<void> {
  const args = ["--virtual", folder.file(`${machine}.json`), "serve", "--foreground", "--socket"];
  const child = start([...args, folder.file(`${machine}.sock`)], {}, ["ignore", "pipe", "inherit"]);
  servers.set(machine, child);
  // It prints its address once it listens.
  if (child.stdout) await once(child.stdout, "data");
}

async function stop(machine: Machine): Promise<void> {
  const child = servers.get(machine);
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** Starts haproxy, which goes to the background when it listens. */
async function balance(name: string, configuration: string): Promise<void> {
  const file = folder.file(`${name}.cfg`, configuration);
  await bash(`haproxy -D -f ${file} -p ${file}.pid`);
  proxies.push(...readFileSync(`${file}.pid`, "utf8").trim().split("\n").map(Number));
}

beforeAll(async () => {
  requirePrograms("haproxy", "openssl", "pkcs11-tool");
  requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  folder = await CardFolder.create();
  for (const machine of ["one", "two"] as const) copyFileSync(folder.card, folder.file(`${machine}.json`));
  const [certificates = ""] = blocks("sh");
  const [one = "", front = ""] = blocks("haproxy");
  await Promise.all([bash(certificates), serve("one"), serve("two")]);
  await balance("one", placed(one, "one.sock"));
  await balance("two", placed(one.replace(/\bone\b/gu, "two"), "two.sock"));
  await balance("front", placed(front, ""));
}, 60_000);

afterAll(async () => {
  for (const proxy of proxies) process.kill(proxy);
  for (const machine of servers.keys()) await stop(machine);
  folder[Symbol.dispose]();
});

const env = (): Record<string, string> => ({ CARD_PIN: "123456" });

test("pkcs11-tool signs through both proxies", async () => {
  const [, programs = ""] = blocks("sh");
  const verify = [
    'pkcs11-tool --module "$MODULE" --read-object --type pubkey --id 01 --output-file key.der',
    "openssl dgst -sha256 -verify key.der -keyform DER -signature letter.sig letter.txt",
  ];
  const ours = `cryptoki() { "${process.execPath}" "${process.env["TEST_SHARED"] ?? ""}/dist/cli/main.cjs" "$@"; }`;
  const script = ["echo 'a letter' > letter.txt", ours, placed(programs, ""), ...verify].join("\n");
  const output = await bash(script, env());
  expect(output).toContain("Verified OK");
  expect(output).toMatch(/^PIV/mu);
}, 60_000);

test("the program of the guide signs on, whichever machine fails", async () => {
  const program = folder.file(
    "program.mts",
    `${blocks("ts").join("\n")}
     import { createInterface } from "node:readline";
     for await (const line of createInterface({ input: process.stdin }))
       console.log((await sign(new TextEncoder().encode(line))).length);
     await cards.close();`,
  );
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), program], {
    cwd: PROJECT,
    env: { ...process.env, ...env(), P11_KIT_SERVER_ADDRESS: `unix:path=${folder.file("cards.sock")}` },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const sign = async (): Promise<unknown> => {
    const answer = Promise.race([once(lines, "line"), once(lines, "close")]);
    child.stdin.write("a letter\n");
    return (await answer)[0];
  };
  try {
    expect(await sign()).toBe("256");
    await stop("one");
    expect(await sign()).toBe("256");
    // It is connected to the other machine for certain: when that fails, it connects anew.
    await serve("one");
    await stop("two");
    expect(await sign()).toBe("256");
    await serve("two");
  } finally {
    child.stdin.end();
    await once(child, "close");
  }
  expect(child.exitCode).toBe(0);
}, 60_000);

/** Sends the first byte of p11-kit's protocol to a machine with cards, with the certificate of another; what comes back. */
async function greet(machine: Machine, certificate?: string): Promise<string> {
  const pem = certificate === undefined ? {} : { cert: read(`${certificate}.crt`), key: read(`${certificate}.key`) };
  const socket = connect({
    host: ADDRESS[machine],
    port: PORT,
    ca: read("ca.crt"),
    ...pem,
    checkServerIdentity: () => undefined,
  });
  const answer = new Promise<string>((resolve) => {
    socket.once("data", (bytes: Buffer) => {
      resolve(`answered ${bytes.length} byte`);
    });
    socket.once("error", ({ message }: Error) => {
      resolve(message);
    });
    socket.once("close", () => {
      resolve("closed");
    });
  });
  socket.write(Uint8Array.of(0));
  const said = await answer;
  socket.destroy();
  return said;
}

const read = (name: string): string => readFileSync(folder.file(name), "utf8");

test("a machine with cards answers the machine in front only", async () => {
  // Its proxy says no to all until it has found its server.
  for (let said = ""; said !== "answered 1 byte";) {
    said = await greet("one", "front");
    expect(said).toMatch(/^(?:answered 1 byte|closed|read ECONNRESET)$|disconnected/u);
  }
  expect(await greet("one", "two")).toMatch(/^(?:closed|read ECONNRESET|write EPIPE)$/u);
  expect(await greet("one")).toMatch(/certificate required|^read ECONNRESET$/u);
});
