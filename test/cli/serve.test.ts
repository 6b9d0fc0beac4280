import { afterEach, describe, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { CKF_SESSION, CKS, CKU } from "../../src/cryptoki/index.ts";
import { P11KitModule } from "../../src/p11kit/index.ts";
import { CardFolder, PIN } from "./card.ts";
import { PROGRAM } from "./child.ts";
import { cryptoki, json, jsonError } from "./program.ts";
import { until } from "../until.ts";

const RUNTIME = mkdtempSync(path.join(tmpdir(), "serve-"));
const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], XDG_RUNTIME_DIR: RUNTIME };

function start(args: readonly string[], stdio: "pipe" | readonly ("pipe" | number)[] = "pipe"): ChildProcess {
  return spawn("sh", ["-c", `LISTEN_PID=$$ exec ${PROGRAM} "$@"`, "sh", ...args], {
    env: { ...env, CRYPTOKI_PIN: "123456", ...(stdio === "pipe" ? {} : { LISTEN_FDS: "1" }) },
    stdio: stdio === "pipe" ? "pipe" : [...stdio],
  });
}

const V2_11 = { major: 2, minor: 11 };

/** The only token's label, as a client sees it. */
async function label(address: string): Promise<string | undefined> {
  const module = new P11KitModule({ address });
  await module.C_Initialize();
  const [slot] = await module.C_GetSlotList(true);
  const found = slot === undefined ? undefined : (await module.C_GetTokenInfo(slot)).label;
  await module.C_Finalize();
  return found;
}

const untilGone = (file: string): Promise<void> => until(() => !existsSync(file));

afterEach(() => {
  rmSync(path.join(RUNTIME, "cryptoki"), { recursive: true, force: true });
});

describe("serve", () => {
  test("begins to serve in the background, says where, and ends when it is told to", async () => {
    const child = start(["--virtual", "serve"]);
    const stdout = child.stdout ? await text(child.stdout) : "";
    const [, file = "", pid = ""] =
      /^export P11_KIT_SERVER_ADDRESS=unix:path=(.*)\nexport P11_KIT_SERVER_PID=(\d+)\n$/u.exec(stdout) ?? [];
    expect(path.dirname(file)).toBe(path.join(RUNTIME, "cryptoki"));
    expect(await label(`unix:path=${file}`)).toMatch(/^PIV/u);
    expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("CRYPTOKI_PIN");
    process.kill(Number(pid));
    await untilGone(file);
    expect(existsSync(file)).toBe(false);
  }, 60_000);

  test("in the background --trace tells the calls of its clients where the command's errors go", async () => {
    const file = path.join(RUNTIME, "cryptoki", "traced");
    const child = start(["--virtual", "--trace", "serve", "--socket", file]);
    const told = child.stderr ? text(child.stderr) : Promise.resolve("");
    const stdout = child.stdout ? await text(child.stdout) : "";
    expect(await label(`unix:path=${file}`)).toMatch(/^PIV/u);
    process.kill(Number(/_PID=(\d+)/u.exec(stdout)?.[1]));
    expect(await told).toMatch(/^C_GetTokenInfo\(slotID = 0\) = CKR_OK/mu);
  }, 60_000);

  test.each([[["--trace"]], [[]]])(
    "what keeps it from that is told once (%j)",
    async (options) => {
      const file = path.join(RUNTIME, "no-folder");
      writeFileSync(file, "");
      const child = start(["--virtual", ...options, "serve", "--socket", path.join(file, "socket")]);
      const told = child.stderr ? await text(child.stderr) : "";
      expect(told.match(/EEXIST/gu)).toHaveLength(1);
    },
    60_000,
  );

  test("stays in the foreground, at a socket of one's choice", async () => {
    const file = path.join(RUNTIME, "own", "socket");
    const child = start(["--virtual", "serve", "-f", "--socket", file, "--json"]);
    if (child.stdout) await once(child.stdout, "data");
    expect(await label(`unix:path=${file}`)).toMatch(/^PIV/u);
    // Another server listens there.
    const second = start(["--virtual", "serve", "--socket", file]);
    expect(second.stderr ? await text(second.stderr) : "").toMatch(/a server already listens on/u);
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(existsSync(file)).toBe(false);
  }, 60_000);

  test("takes the PIN out of its environment, and hands it to no program that it starts", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "environment-"));
    const told = path.join(folder, "environment");
    const probe = `sh -c 'env > ${told}; exec sleep 1000'`;
    const child = spawn(
      "sh",
      ["-c", `exec ${PROGRAM} "$@"`, "sh", "--server", probe, "tokens", "--pin-source", "env:MINE"],
      {
        env: {
          ...env,
          CRYPTOKI_PIN: "111111",
          CRYPTOKI_NEW_PIN: "222222",
          CRYPTOKI_PUK: "333333",
          CRYPTOKI_SO_PIN: "444444",
          MINE: "555555",
          KEPT: "kept",
        },
        stdio: "ignore",
      },
    );
    await until(() => existsSync(told) && readFileSync(told, "utf8").includes("KEPT"));
    const seen = readFileSync(told, "utf8");
    child.kill();
    await once(child, "exit");
    rmSync(folder, { recursive: true });
    expect(seen).toMatch(/^KEPT=kept$/mu);
    expect(seen).not.toMatch(/1{6}|2{6}|3{6}|4{6}|5{6}/u);
  }, 60_000);

  test("a module works on with a server that was started again at its place", async () => {
    const file = path.join(RUNTIME, "again", "socket");
    const serve = async (): Promise<ChildProcess> => {
      const child = start(["--virtual", "serve", "-f", "--socket", file]);
      if (child.stdout) await once(child.stdout, "data");
      return child;
    };
    const first = await serve();
    const module = new P11KitModule({ address: `unix:path=${file}` });
    await module.C_Initialize();
    const [slot = -1] = await module.C_GetSlotList(true);
    const session = await module.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await module.C_Login(session, CKU.USER, "123456");
    first.kill("SIGKILL");
    await once(first, "exit");
    await expect(module.C_GetSlotList(true)).rejects.toMatchObject({ code: "CKR_DEVICE_ERROR" });
    const second = await serve();
    await expect(module.C_GetSessionInfo(session)).rejects.toMatchObject({ code: "CKR_SESSION_HANDLE_INVALID" });
    const [again = -1] = await module.C_GetSlotList(true);
    const fresh = await module.C_OpenSession(again, CKF_SESSION.SERIAL_SESSION);
    await module.C_Login(fresh, CKU.USER, "123456");
    await module.C_Finalize();
    second.kill();
    expect(await once(second, "exit")).toEqual([0, null]);
  }, 60_000);

  test("serves one client on its standard streams", async () => {
    expect(await label(`${PROGRAM} --virtual serve --stdio`)).toMatch(/^PIV/u);
  }, 60_000);

  test("takes the socket that systemd hands over", async () => {
    const listening = createServer().listen(0, "127.0.0.1");
    await once(listening, "listening");
    const { port } = listening.address() as AddressInfo;
    const { fd } = (listening as unknown as { readonly _handle: { readonly fd: number } })._handle;
    const child = start(["--virtual", "serve"], ["pipe", "pipe", "pipe", fd]);
    // The other process has it still: who connects waits until it is up.
    listening.close();
    const client = connect(port, "127.0.0.1");
    client.write(Uint8Array.of(2));
    const [chunk] = (await once(client, "data")) as [Uint8Array];
    expect([...chunk]).toEqual([2]);
    client.destroy();
    child.kill();
    expect(await once(child, "exit")).toEqual([0, null]);
  }, 60_000);

  test("shares no login over a socket that systemd hands over: it is unknown which users that admits", async () => {
    const listening = createServer().listen(0, "127.0.0.1");
    await once(listening, "listening");
    const { fd } = (listening as unknown as { readonly _handle: { readonly fd: number } })._handle;
    const child = start(["--virtual", "serve", "--single-sign-on"], ["pipe", "pipe", "pipe", fd]);
    listening.close();
    expect(child.stderr && (await text(child.stderr))).toMatch(
      /--single-sign-on needs a socket that the server opens itself/u,
    );
  }, 60_000);

  test("serves HTTP on a socket that systemd hands over with a configuration only", async () => {
    const listening = createServer().listen(0, "127.0.0.1");
    await once(listening, "listening");
    const { fd } = (listening as unknown as { readonly _handle: { readonly fd: number } })._handle;
    const child = start(["--virtual", "serve", "--http"], ["pipe", "pipe", "pipe", fd]);
    listening.close();
    expect(child.stderr && (await text(child.stderr))).toMatch(
      /a socket that systemd opened wants --config: it is not known which users may connect to it/u,
    );
  }, 60_000);

  test("shows only the tokens that --token describes", async () => {
    const serve = `${PROGRAM} --virtual serve --stdio --token`;
    expect(await label(`${serve} pkcs11:model=PIV`)).toMatch(/^PIV/u);
    expect(await label(`${serve} pkcs11:model=Other`)).toBeUndefined();
  }, 60_000);

  test("tells clients the version of the standard that --cryptoki-version says", async () => {
    const told = async (...options: readonly string[]): Promise<unknown> => {
      const address = [PROGRAM, "--virtual", "serve", "--stdio", ...options].join(" ");
      await using module = new P11KitModule({ address });
      await module.C_Initialize();
      const { cryptokiVersion, libraryVersion } = await module.C_GetInfo();
      return [cryptokiVersion, libraryVersion];
    };
    expect(await told("--cryptoki-version", "2.11")).toEqual([V2_11, V2_11]);
    expect(await told("--cryptoki-version", "2.01")).toEqual([
      { major: 2, minor: 1 },
      { major: 0, minor: 1 },
    ]);
    // The protocol has the functions of 3.0.
    expect(await told()).toEqual([
      { major: 3, minor: 0 },
      { major: 0, minor: 1 },
    ]);
    expect(await told("--cryptoki-version", "3.1")).toEqual([
      { major: 3, minor: 0 },
      { major: 0, minor: 1 },
    ]);
  }, 60_000);

  test("clients share a login with --single-sign-on, and only then", async () => {
    const seenBy = async (...options: readonly string[]): Promise<number> => {
      const file = path.join(RUNTIME, `sharing-${options.length}`);
      const child = start(["--virtual", "serve", "-f", "--socket", file, ...options]);
      if (child.stdout) await once(child.stdout, "data");
      const [one, other] = [1, 2].map(() => new P11KitModule({ address: `unix:path=${file}` })) as [
        P11KitModule,
        P11KitModule,
      ];
      await one.C_Initialize();
      await other.C_Initialize();
      const [slot = -1] = await one.C_GetSlotList(true);
      const theirs = await other.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
      await one.C_Login(await one.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION), CKU.USER, "123456");
      const { state } = await other.C_GetSessionInfo(theirs);
      await one.C_Finalize();
      await other.C_Finalize();
      child.kill();
      expect(await once(child, "exit")).toEqual([0, null]);
      return state;
    };
    expect(await seenBy("--single-sign-on")).toBe(CKS.RO_USER_FUNCTIONS);
    expect(await seenBy()).toBe(CKS.RO_PUBLIC_SESSION);
  }, 60_000);

  test("prints the file that makes a module of the cards", async () => {
    const { stdout } = await cryptoki(["--token", "pkcs11:model=PIV", "serve", "--print-module-config"]);
    expect(stdout).toMatch(/^# .*\nremote: \|.* --token pkcs11:model=PIV serve --stdio\n$/u);
    const version = await cryptoki(["serve", "--cryptoki-version", "2.11", "--print-module-config"]);
    expect(version.stdout).toMatch(/ serve --stdio --cryptoki-version 2\.11$/mu);
    const socket = await cryptoki(["serve", "--socket", "/run/cards", "--print-module-config"]);
    expect(socket.stdout).toMatch(/^remote: unix:path=\/run\/cards$/mu);
  });

  test("prints the cards or the server that were named, for a program that starts in any folder", async () => {
    const remote = async (...args: string[]): Promise<string> =>
      /^remote: \|.* (.* serve --stdio)$/mu.exec(
        (await cryptoki([...args, "serve", "--print-module-config"])).stdout,
      )?.[1] ?? "";
    expect(await remote("--virtual")).toBe("--virtual=piv serve --stdio");
    expect(await remote("--virtual=pkcs15")).toBe("--virtual=pkcs15 serve --stdio");
    expect(await remote("--virtual", "saved.card")).toBe(`--virtual=${path.resolve("saved.card")} serve --stdio`);
    expect(await remote("--transport", "addon")).toBe("addon serve --stdio");
    const { stdout } = await cryptoki(["--server", "ssh host 'a b'", "serve", "--print-module-config"]);
    expect(stdout).toContain(` --server 'ssh host '\\''a b'\\''' serve --stdio\n`);
    expect(await remote()).not.toMatch(/--virtual|--server|--transport/u);
  });

  test.each([
    ["--reader", "a\nremote: |other"],
    ["--server", "ssh host\rremote: |other"],
    ["--virtual", "./a\nb"],
    ["--socket", "/run/a\nb"],
  ])("prints no module file with a line break in the value of %s", async (option, value) => {
    const { code, stdout, stderr } = await cryptoki(["serve", "--print-module-config", option, value]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/takes no value with a line break/u);
  });

  test("a blocked PIN gets a new one with the PUK, by a function that every program knows", async () => {
    using folder = new CardFolder();
    await cryptoki(["virtual", "create", folder.card, "--profile", "pkcs15"]);
    const address = `${PROGRAM} --virtual ${folder.card} serve --stdio --unlock-by`;
    const pin = (text: string): Uint8Array => Buffer.from(text);
    for (const [detour, token, puk, next] of [
      ["C_SetPIN", 0, "12345678", "1111"],
      ["C_InitPIN", 1, "87654321", "222222"],
    ] as const) {
      const module = new P11KitModule({ address: `${address} ${detour}` });
      await module.C_Initialize();
      const slot = (await module.C_GetSlotList(true))[token] ?? 0;
      const session = await module.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
      if (detour === "C_SetPIN") await module.C_SetPIN(session, pin(puk), pin(next));
      else {
        await module.C_Login(session, CKU.SO, pin(puk));
        await module.C_InitPIN(session, pin(next));
        await module.C_Logout(session);
      }
      await module.C_Login(session, CKU.USER, pin(next));
      await module.C_Finalize();
    }
  }, 60_000);

  test("--trace tells the calls of its clients, without their PINs", async () => {
    using folder = await CardFolder.create();
    const [log, script] = [path.join(RUNTIME, "trace"), path.join(RUNTIME, "traced.sh")];
    writeFileSync(script, `exec ${PROGRAM} --virtual ${folder.card} --trace serve --stdio 2>${log}`);
    const module = new P11KitModule({ address: `/bin/sh ${script}` });
    await module.C_Initialize();
    const [slot = 0] = await module.C_GetSlotList(true);
    const session = await module.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await module.C_Login(session, CKU.USER, "123456");
    await module.C_Finalize();
    const told = readFileSync(log, "utf8");
    expect(told).toMatch(/C_OpenSession/u);
    expect(told).toMatch(/C_Login/u);
    expect(told).not.toContain("123456");
  }, 60_000);

  test.each([
    [["serve", "--hold", "0"], /--hold is a number of seconds, more than 0 and at most 60/u],
    [["serve", "--stdio", "--socket", "/tmp/x"], /--stdio or --socket/u],
    [["serve", "--max-message", "much"], /number of bytes/u],
    [["serve", "-f", "--socket", `/${"x".repeat(200)}`], /107 bytes/u],
    [["serve", "no uri"], /pkcs11:/u],
    [["serve", "--token", "pkcs11:id=%0"], /pkcs11|percent|%0/iu],
    [["serve", "--stdio", "--single-sign-on"], /needs a socket: with --stdio there is only one client/u],
    [["serve", "--print-module-config", "--single-sign-on"], /needs a socket: with --stdio there is only one client/u],
    [["serve", "--cryptoki-version", "2.4"], /2\.30, 2\.40, 3\.0, 3\.1/u],
  ])("%j is a wrong command line", async (args, message) => {
    const { code, stderr } = await cryptoki(["--virtual", ...args]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe("--server", () => {
  test.each([["--single-sign-on"], ["--cryptoki-version", "2.11"], ["--unlock-by", "C_SetPIN"]])(
    "serve %s is for the cards here",
    async (...options) => {
      const { code, stderr } = await cryptoki(["--server", "unix:path=/nowhere", "serve", "-f", ...options]);
      expect([code, stderr]).toEqual([
        2,
        expect.stringContaining(`${options[0]} works with cards of this machine, not with --server`),
      ]);
    },
  );

  test("every command works on another's tokens", async () => {
    using folder = await CardFolder.create();
    const server = `${PROGRAM} --virtual ${folder.card} serve --stdio`;
    const over = (...args: readonly string[]): ReturnType<typeof cryptoki> =>
      cryptoki(["--server", server, ...args], PIN);
    const own = (...args: readonly string[]): ReturnType<typeof cryptoki> =>
      cryptoki(["--virtual", folder.card, ...args], PIN);
    for (const args of [["tokens"], ["objects"], ["objects", "--login"]]) {
      expect(json(await over(...args, "--json"))).toEqual(json(await own(...args, "--json")));
    }
    const letter = folder.file("letter", "a letter");
    const signature = folder.file("signature");
    expect((await over("sign", "--id", "01", letter, "--output", signature)).code).toBe(0);
    expect((await own("verify", "--id", "01", letter, "--signature", signature)).code).toBe(0);
  }, 120_000);

  test.each([
    [["tokens"], "unix:path=/nowhere", 3, "CKR_GENERAL_ERROR"],
    [["tokens"], "unix:nothing", 2, "UsageError"],
    [["readers"], "unix:path=/nowhere", 2, "UsageError"],
  ])("%j with --server %s ends with %d", async (args, server, code, name) => {
    const outcome = await cryptoki(["--server", server, ...args, "--json"]);
    expect(outcome.code).toBe(code);
    expect(jsonError(outcome)).toMatchObject({ name });
  });
});

describe("an address that is no path", () => {
  test.each(["127.0.0.1:9999", "localhost:9999", "[::1]:9999", ":9999", "tcp:127.0.0.1:9999", "https://host/x"])(
    "%s is refused for serve and for --server, and what to do is said",
    async (address) => {
      for (const args of [
        ["serve", "-f", "--socket", address],
        ["serve", "--socket", address, "--print-module-config"],
        ["--server", address, "tokens"],
      ]) {
        const { code, stdout, stderr } = await cryptoki(args);
        expect([code, stdout]).toEqual([2, ""]);
        expect(stderr).toMatch(/network address.*ssh host cryptoki serve --stdio.*serve --http/u);
      }
      expect(existsSync(address)).toBe(false);
    },
  );

  test("a path stays one, and so does a command", async () => {
    const { stdout } = await cryptoki(["serve", "--socket", "./a:1", "--print-module-config"]);
    expect(stdout).toContain(`remote: unix:path=${path.resolve("a:1")}`);
    expect((await cryptoki(["--server", "false host:22", "tokens"])).code).not.toBe(2);
  });
});

test("a URI as the argument says which tokens are served, as --token does", async () => {
  const uri = "pkcs11:model=PIV";
  const config = async (...args: string[]): Promise<string> =>
    (await cryptoki([...args, "--print-module-config"])).stdout;
  expect(await config("serve", uri)).toBe(await config("--token", uri, "serve"));
  for (const wrong of [
    ["serve", uri, "--token", uri],
    ["serve", "PIV"],
    ["serve", "pkcs11:?pin-value=1234"],
  ]) {
    const { code, stderr } = await cryptoki(wrong);
    expect(code).toBe(2);
    expect(stderr).not.toContain("1234");
  }
});

const isRoot = process.getuid?.() === 0;

(isRoot ? test : test.skip)(
  "a socket in a folder of another user: its owner is named, and no folder is made",
  async () => {
    using folder = new CardFolder();
    const other = folder.file("other");
    mkdirSync(other);
    chownSync(other, 12_345, 12_345);
    const refused = await cryptoki(["--virtual", "serve", "-f", "--socket", `${other}/made/socket`]);
    expect(refused.stderr).toContain(`${other} belongs to the user with the number 12345`);
    expect(refused.code).toBe(3);
    expect(readdirSync(other)).toEqual([]);
  },
);
