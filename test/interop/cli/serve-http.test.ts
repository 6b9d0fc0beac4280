import { once } from "node:events";
import { request } from "node:http";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { CardFolder, PIN } from "../../cli/card.ts";
import { PROGRAM, start } from "../../cli/child.ts";
import { requirePrograms } from "../rig/require.ts";

let folder: CardFolder;
beforeAll(async () => {
  requirePrograms("systemd-socket-activate");
  folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

function ask(socketPath: string, method: string, address: string, body?: unknown): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = { "cryptoki-client": "test", ...(body !== undefined && { "content-type": "application/json" }) };
    const sent = request({ socketPath, method, path: address, headers }, (answer) => {
      text(answer).then((content) => {
        resolve(JSON.parse(content) as Record<string, unknown>);
      }, reject);
    });
    sent.once("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function signs(socket: string): Promise<Record<string, unknown>> {
  const { items: tokens } = (await ask(socket, "GET", "/v1/tokens")) as { items: { token: string }[] };
  const token = tokens[0]?.token ?? "";
  await ask(socket, "POST", `/v1/tokens/${token}/pin/login`, { pin: PIN.env.CRYPTOKI_PIN }).catch(() => undefined);
  const { items: keys } = (await ask(socket, "GET", `/v1/tokens/${token}/keys`)) as { items: { key: string }[] };
  return ask(socket, "POST", `/v1/keys/${keys[0]?.key ?? ""}/sign`, { alg: "ES256", data: "aGVsbG8" });
}

async function ended(child: ChildProcess): Promise<unknown> {
  const end = once(child, "exit");
  child.kill("SIGTERM");
  return (await end) as unknown;
}

test("serve --http signs through its Unix socket, and SIGTERM ends it", async () => {
  const socket = path.join(folder.path, "http");
  const child = start(["--virtual", folder.card, "serve", "--http", "--foreground", "--socket", socket]);
  const [line] = (await once(child.stdout ?? child, "data")) as [Buffer];
  expect(line.toString()).toContain(`CRYPTOKI_HTTP_ADDRESS=unix:${socket}`);
  expect(await signs(socket)).toMatchObject({ alg: "ES256", signature: expect.stringMatching(/^[\w-]{86}$/u) });
  expect(await ended(child)).toEqual([143, null]);
}, 60_000);

test("serve --http serves on the socket that systemd opened, with a configuration that says who may do what", async () => {
  const socket = folder.file("activated-http");
  const grants = ["use", "manage"].map((role) => ({ role }));
  const config = folder.file(
    "service.json",
    JSON.stringify({ clients: [{ name: "local", socket: true, grants, pinsInRequests: true }] }),
  );
  const args = [
    "-l",
    socket,
    "-E",
    "PATH",
    ...PROGRAM.split(" "),
    "--virtual",
    folder.card,
    "serve",
    "--http",
    "--config",
    config,
  ];
  const child = spawn("systemd-socket-activate", args, { stdio: ["ignore", "ignore", "pipe"] });
  // It says on which socket it listens.
  await once(child.stderr, "data");
  expect(await signs(socket)).toMatchObject({ alg: "ES256" });
  expect(await ended(child)).toEqual([143, null]);
}, 60_000);

test("serve --http takes no socket of systemd's without a configuration", async () => {
  const socket = folder.file("open-to-all");
  const args = ["-l", socket, "-E", "PATH", ...PROGRAM.split(" "), "--virtual", folder.card, "serve", "--http"];
  const child = spawn("systemd-socket-activate", args, { stdio: ["ignore", "ignore", "pipe"] });
  const said = text(child.stderr);
  await once(child.stderr, "data");
  await expect(ask(socket, "GET", "/v1/tokens")).rejects.toThrow();
  expect(await said).toContain("a socket that systemd opened wants --config");
}, 60_000);
