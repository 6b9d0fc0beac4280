import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { P11KitModule } from "../../../src/p11kit/index.ts";
import { CardFolder } from "../../cli/card.ts";
import { PROGRAM } from "../../cli/child.ts";
import { requirePrograms } from "../rig/require.ts";

const GUIDES = ["service", "ssh-agent"].map((name) => new URL(`../../../docs/guides/${name}.md`, import.meta.url));

let folder: CardFolder;
beforeAll(async () => {
  requirePrograms("systemd-analyze", "systemd-socket-activate", "ssh-add");
  folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

/** The units of the guides, by their names. */
function units(): Map<string, string> {
  const text = GUIDES.map((guide) => readFileSync(guide, "utf8")).join("\n");
  const blocks = text.matchAll(/```ini\n# \S+\/(\S+)\n([^]*?)```/gu);
  return new Map([...blocks].map(([, name = "", text = ""]) => [name, text]));
}

test("the units of the guides are ones that systemd accepts", () => {
  const files = [...units()].map(([name, text]) =>
    folder.file(name, text.replace("/usr/local/bin/cryptoki", process.execPath)),
  );
  expect(files.map((file) => path.basename(file))).toEqual([
    "cryptoki.socket",
    "cryptoki.service",
    "cryptoki-agent.socket",
    "cryptoki-agent.service",
  ]);
  const { status, stderr } = spawnSync("systemd-analyze", ["--user", "verify", "--man=no", ...files], {
    encoding: "utf8",
    env: { ...process.env, XDG_RUNTIME_DIR: folder.path },
  });
  const ours = stderr.split("\n").filter((line) => line.includes("cryptoki"));
  expect([status, ours]).toEqual([0, []]);
});

test("a server that systemd starts serves on the socket that it is given", async () => {
  const socket = folder.file("activated");
  const child = spawn(
    "systemd-socket-activate",
    ["-l", socket, "-E", "PATH", ...PROGRAM.split(" "), "--virtual", folder.card, "serve"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  try {
    // It says on which socket it listens.
    if (!existsSync(socket)) await once(child.stderr, "data");
    const module = new P11KitModule({ address: `unix:path=${socket}` });
    await module.C_Initialize();
    const [slot = -1] = await module.C_GetSlotList(true);
    expect((await module.C_GetTokenInfo(slot)).label).toMatch(/^PIV/u);
    await module.C_Finalize();
  } finally {
    child.kill();
  }
  expect(await once(child, "exit")).toEqual([0, null]);
}, 60_000);

test("an agent that systemd starts serves on the socket that it is given", async () => {
  const socket = folder.file("agent.sock");
  const child = spawn(
    "systemd-socket-activate",
    ["-l", socket, "-E", "PATH", ...PROGRAM.split(" "), "--virtual", folder.card, "agent"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  try {
    if (!existsSync(socket)) await once(child.stderr, "data");
    const listed = spawn("ssh-add", ["-l"], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
    const [output] = (await once(listed.stdout, "data")) as [Buffer];
    expect(output.toString()).toMatch(/^256 SHA256:.*\(ECDSA\)$/mu);
  } finally {
    child.kill();
  }
  expect(await once(child, "exit")).toEqual([0, null]);
}, 60_000);
