import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { MAIN } from "../../cli/built.ts";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";

let daemon: Pcscd;
let watch: ChildProcess | undefined;
let card: ChildProcess | undefined;
let folder = "";
let events = "";

const cryptoki = (...args: readonly string[]): Promise<RunResult> =>
  run(process.execPath, [MAIN, ...args], { env: { ...daemon.env, CRYPTOKI_PIN: "123456" } });

function inBackground(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...daemon.env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function seen(event: string): Promise<void> {
  while (!events.includes(event)) await sleep(50);
}

beforeAll(async () => {
  requirePrograms("openssl");
  daemon = await startPcscd({ friendlyName: "Command" });
  folder = mkdtempSync(path.join(tmpdir(), "cryptoki-interop-"));
  watch = inBackground("readers", "--watch", "--json");
  watch.stdout?.on("data", (chunk: Buffer) => (events += chunk.toString("utf8")));
  await seen("reader-added");
  card = inBackground("virtual", "piv", "--port", String(daemon.port), "--key", "9d=p-256");
  await seen("card-inserted");
  // Others may have the one daemon of the machine for as long as this.
}, 1_000_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  for (const child of [card, watch]) child?.kill("SIGTERM");
  await daemon[Symbol.asyncDispose]();
}, 60_000);

test("the card that one command serves is a token for another", async () => {
  const { code, stdout } = await cryptoki("tokens", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject([{ model: "PIV", reader: expect.stringContaining("Command") }]);
}, 60_000);

test.each([
  ["01", "-sha256"],
  ["02", "-sha256"],
  ["04", "-sha256"],
])(
  "OpenSSL verifies what key %s signs",
  async (id, hash) => {
    const [letter, signature, key] = ["letter", "signature", "key.pem"].map((name) => path.join(folder, name));
    if (!letter || !signature || !key) throw new Error("three names");
    writeFileSync(letter, "an important letter");
    expect(await cryptoki("sign", "--id", id, letter, "--force", "--output", signature)).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect((await cryptoki("read", "--type", "public", "--id", id, "--force", "--output", key)).code).toBe(0);
    const verified = await run("openssl", ["dgst", hash, "-verify", key, "-signature", signature, letter]);
    expect(verified.stdout).toBe("Verified OK\n");
  },
  60_000,
);

test("OpenSSL and the card agree on a secret", async () => {
  const [own, peer, secret, key] = ["own.pem", "peer.pem", "secret", "card.pem"].map((name) => path.join(folder, name));
  if (!own || !peer || !secret || !key) throw new Error("four names");
  await run("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", own]);
  await run("openssl", ["pkey", "-in", own, "-pubout", "-out", peer]);
  expect((await cryptoki("read", "--type", "public", "--id", "03", "--output", key)).code).toBe(0);
  expect(await cryptoki("derive", "--id", "03", "--peer", peer, "--encoding", "hex", "--output", secret)).toMatchObject(
    {
      code: 0,
      stderr: "",
    },
  );
  const { bytes } = await run("openssl", ["pkeyutl", "-derive", "-inkey", own, "-peerkey", key]);
  const { stdout } = await run("cat", [secret]);
  expect(stdout.trim()).toBe(Buffer.from(bytes).toString("hex"));
}, 60_000);

test("the card taken out is told, and commands say so", async () => {
  card?.kill("SIGINT");
  const [code] = card ? ((await once(card, "close")) as [number | null]) : [null];
  expect(code).toBe(0);
  await seen("card-removed");
  const outcome = await cryptoki("tokens");
  expect(outcome.code).toBe(3);
  expect(outcome.stderr).toMatch(/no card in any reader/u);
  expect((await cryptoki("tokens", "--reader", "00 00")).stderr).toMatch(/no card in \S.* 00 00;/u);
}, 60_000);
