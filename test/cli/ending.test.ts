import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, truncateSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { FakeDaemon, type FakeCommand, SUCCESS, words } from "../pcsc/pcscd-fake.ts";
import { CardFolder } from "./card.ts";
import { end, type Ended, start } from "./child.ts";
import { until } from "../until.ts";

/*
 * Each of these programs waits for something that never comes. The tests have no clock of their own: a program that does not end by
 * itself runs into the test's limit.
 */
const LIMIT = 60_000;

/** A pcscd with a card in its only reader, which stops answering: resolves `stuck` when it does. */
class StuckDaemon implements AsyncDisposable {
  readonly daemon: FakeDaemon;
  readonly stuck: Promise<void>;

  private constructor(daemon: FakeDaemon, stuck: Promise<void>) {
    this.daemon = daemon;
    this.stuck = stuck;
  }

  /** @param after Requests of this kind that are answered before. */
  static async start(command: FakeCommand, after = 0): Promise<StuckDaemon> {
    const card = await VirtualPivCard.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const daemon = await FakeDaemon.start();
    daemon.readers = [{ name: "Fake Reader 00 00", atr: card.atr }];
    let left = after;
    const stuck = new Promise<void>((resolve) => {
      daemon.on.transmit = ({ body, payload, socket }): void => {
        if (command === "transmit" && left-- <= 0) {
          resolve();
          return;
        }
        void card.transmit(new Uint8Array(payload)).then((answer) => {
          socket.write(Buffer.concat([body.subarray(0, 24), words(answer.length, SUCCESS), answer]));
        });
      };
      if (command === "transmit") return;
      daemon.on[command] = ({ usual }): void => {
        if (left-- > 0) usual();
        else resolve();
      };
    });
    return new StuckDaemon(daemon, stuck);
  }

  get env(): NodeJS.ProcessEnv {
    return { PCSCLITE_CSOCK_NAME: this.daemon.socket, CRYPTOKI_PIN: "123456" };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.daemon[Symbol.asyncDispose]();
  }
}

let folder: CardFolder;
let letter = "";
let fifo = "";
let silent: Server;
let silentAddress = "";
beforeAll(async () => {
  folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
  letter = folder.file("letter", "a letter");
  fifo = folder.file("fifo");
  execFileSync("mkfifo", [fifo]);
  silentAddress = `unix:path=${folder.file("silent")}`;
  silent = createServer().listen(folder.file("silent"));
  await once(silent, "listening");
});
afterAll(() => {
  silent.close();
  folder[Symbol.dispose]();
});

const TIMEOUT = /^error: not finished after 0\.5 s \(--timeout\)$/mu;

const onCards: readonly (readonly string[])[] = [
  ["tokens"],
  ["objects"],
  ["sign", "--id", "01"],
  ["pin", "status"],
  ["card", "dump"],
  ["apdu", "send", "00A40000"],
];

describe("a reader that does not answer", () => {
  test.each([
    ["transmit", 0],
    ["transmit", 6],
    ["begin", 0],
    ["end", 0],
    ["connect", 0],
    ["establish", 0],
  ] as const)(
    "stuck in %s after %d: --timeout ends every command",
    async (command, after) => {
      await using stuck = await StuckDaemon.start(command, after);
      const outcomes = await Promise.all(
        onCards.map(async (args) => {
          const child = start([...args, ...(args[0] === "sign" ? [letter] : []), "--timeout", "0.5"], stuck.env);
          child.stdin?.end();
          return end(child);
        }),
      );
      for (const [index, { code, signal, stderr }] of outcomes.entries()) {
        // What needs no more than was answered may have ended well.
        if (code === 0 && (after > 0 || command === "end")) continue;
        expect([onCards[index], code, signal, stderr]).toEqual([
          onCards[index],
          1,
          null,
          expect.stringMatching(TIMEOUT),
        ]);
      }
    },
    LIMIT,
  );

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)(
    "one %s ends a command, with exit code %d",
    async (signal, expected) => {
      await using stuck = await StuckDaemon.start("transmit", 3);
      const child = start(["objects", "--login"], stuck.env);
      await stuck.stuck;
      child.kill(signal);
      expect(await end(child)).toEqual({ code: expected, signal: null, stdout: "", stderr: "" });
    },
    LIMIT,
  );

  test(
    "a second signal does not wait for anything",
    async () => {
      await using stuck = await StuckDaemon.start("begin");
      const child = start(["tokens"], stuck.env);
      await stuck.stuck;
      child.kill("SIGINT");
      child.kill("SIGTERM");
      const { code, stdout } = await end(child);
      expect([130, 143]).toContain(code);
      expect(stdout).toBe("");
    },
    LIMIT,
  );

  test(
    "--timeout counts for the command, not for each of a slow card's answers",
    async () => {
      await using slow = await StuckDaemon.start("transmit", Infinity);
      const { daemon } = slow;
      const answer = daemon.on.transmit;
      const timers: NodeJS.Timeout[] = [];
      let asked = 0;
      daemon.on.transmit = (request): void => {
        asked++;
        // The card takes its time, which is what this test is about.
        // eslint-disable-next-line no-restricted-syntax
        timers.push(setTimeout(() => answer?.(request), 300));
      };
      const child = start(["tokens", "--timeout", "1"], slow.env);
      const { code, stderr } = await end(child);
      for (const timer of timers) clearTimeout(timer);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^error: not finished after 1 s/mu)]);
      // Within the second and the grace no more answers come; whole, the command takes more than a dozen.
      expect(asked).toBeLessThanOrEqual(6);
    },
    LIMIT,
  );

  test(
    "serve ends with its socket gone, though a client's card hangs",
    async () => {
      await using stuck = await StuckDaemon.start("transmit");
      const socket = folder.file("served/socket");
      const server = start(["serve", "-f", "--socket", socket], stuck.env);
      await firstOutput(server);
      const client = start(["--server", `unix:path=${socket}`, "tokens", "--timeout", "60"]);
      await stuck.stuck;
      server.kill("SIGTERM");
      const [served, asked] = await Promise.all([end(server), end(client)]);
      expect([served.code, served.stderr]).toEqual([0, ""]);
      expect(existsSync(socket)).toBe(false);
      expect(asked.code).not.toBe(0);
    },
    LIMIT,
  );
});

describe("a server that does not answer", () => {
  const servers = (): [string, string][] => [
    ["a socket", silentAddress],
    ["a program", "sleep 1000"],
  ];
  test.each([0, 1])(
    "--timeout, SIGINT and SIGTERM end what waits for it (%d)",
    async (index) => {
      const [, address = ""] = servers()[index] ?? [];
      for (const args of [["tokens"], ["objects"], ["sign", "--id", "01", letter]]) {
        const { code, stderr } = await end(start(["--server", address, ...args, "--timeout", "0.5"]));
        expect([code, stderr]).toEqual([1, expect.stringMatching(TIMEOUT)]);
      }
      for (const [signal, expected] of [
        ["SIGINT", 130],
        ["SIGTERM", 143],
      ] as const) {
        const child = start(["--server", address, "tokens", "--trace"]);
        if (index === 0) await once(silent, "connection");
        else await childOf(child);
        child.kill(signal);
        expect((await end(child)).code).toBe(expected);
      }
    },
    LIMIT,
  );

  test(
    "a program behind --server ends with the command",
    async () => {
      const child = start(["--server", "sleep 1000", "tokens"]);
      const server = await childOf(child);
      child.kill("SIGTERM");
      await end(child);
      await until(() => !existsSync(`/proc/${server}`));
    },
    LIMIT,
  );
});

describe("an input that does not come", () => {
  const args = (): readonly [string, readonly string[]][] => [
    ["a FIFO as PIN source", ["--virtual", folder.card, "objects", "--login", "--pin-source", `file:${fifo}`]],
    ["a FIFO as PIN source of a URI", ["--virtual", folder.card, "sign", `pkcs11:?pin-source=file:${fifo}`, letter]],
    ["standard input as PIN source", ["--virtual", folder.card, "objects", "--login", "--pin-source", "-"]],
    ["a descriptor as PIN source", ["--virtual", folder.card, "objects", "--login", "--pin-source", "fd:0"]],
    ["a FIFO to sign", ["--virtual", folder.card, "sign", "--id", "01", fifo]],
    ["standard input to sign", ["--virtual", folder.card, "sign", "--id", "01"]],
    ["standard input of APDUs", ["--virtual", folder.card, "apdu", "send"]],
    ["standard input to explain", ["apdu", "explain"]],
    ["a FIFO as signature", ["--virtual", folder.card, "verify", "--id", "01", letter, "--signature", fifo]],
    ["a FIFO as key", ["verify", "--key", fifo, letter, "--signature", letter]],
    ["a FIFO to import", ["--virtual", folder.card, "import", "--so", "--id", "01", fifo]],
    ["a FIFO to write to", ["--virtual", folder.card, "read", "--id", "01", "--output", fifo]],
    ["a FIFO to record to", ["--virtual", folder.card, "tokens", "--record", fifo]],
    ["a watch", ["--virtual", folder.card, "readers", "--watch"]],
  ];

  test.each(Array.from({ length: 14 }, (_, index) => index))(
    "--timeout and SIGTERM end it (%d)",
    async (index) => {
      const [what, line] = args()[index] ?? ["", []];
      const [late, killed] = await Promise.all(
        ["0.5", "600"].map(async (seconds) => {
          const child = start([...line, "--timeout", seconds]);
          if (seconds === "0.5") return end(child);
          const ended = end(child);
          await idle(child);
          child.kill("SIGTERM");
          return ended;
        }),
      );
      expect([what, late?.code, late?.stderr]).toEqual([what, 1, expect.stringMatching(TIMEOUT)]);
      expect([what, killed?.code, killed?.signal]).toEqual([what, what === "a watch" ? 0 : 143, null]);
    },
    LIMIT,
  );

  test.each([
    ["/dev/zero", 1, /holds no virtual card.*\n.*not a regular file/u],
    ["fifo", 1, /holds no virtual card.*\n.*not a regular file/u],
    ["folder", 1, /holds no virtual card.*\n.*not a regular file/u],
    ["sparse", 1, /holds no virtual card.*\n.*more than 4194304 bytes/u],
  ])(
    "--virtual %s is refused",
    async (name, expected, message) => {
      const files: Record<string, string> = { fifo, folder: folder.path, sparse: folder.file("sparse") };
      if (name === "sparse") truncateSync(folder.file("sparse", ""), 2 ** 40);
      const { code, stderr } = await end(start(["--virtual", files[name] ?? name, "tokens"]));
      expect([code, stderr]).toEqual([expected, expect.stringMatching(message)]);
    },
    LIMIT,
  );

  test(
    "a file without end is refused at its limit, and a message without end at the end of the time",
    async () => {
      const verify = ["verify", "--key", "/dev/zero", letter, "--signature", letter];
      const { code, stderr } = await end(start(verify));
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/\/dev\/zero is longer than the limit of 1048576 bytes/u),
      ]);
      const endless = await end(
        start(["--virtual", folder.card, "sign", "--id", "01", "/dev/zero", "--timeout", "0.5"], {
          CRYPTOKI_PIN: "123456",
        }),
      );
      expect([endless.code, endless.stderr]).toEqual([1, expect.stringMatching(/not finished after 0\.5 s/u)]);
    },
    LIMIT,
  );

  test(
    "a FIFO with a writer is a file like another",
    async () => {
      const child = start(["--virtual", folder.card, "sign", fifo, "--pin-source", "env:MY_PIN"], { MY_PIN: "123456" });
      execFileSync("sh", ["-c", `cat "${letter}" > "${fifo}"`]);
      const { code, stderr } = await end(child);
      expect([code, stderr]).toEqual([0, ""]);
    },
    LIMIT,
  );
});

describe("a key that takes long to make", () => {
  test(
    "ends with the command",
    async () => {
      const keys = ["9a", "9c", "9d", "9e"].flatMap((slot) => ["--key", `${slot}=rsa-4096`]);
      const file = folder.file("slow");
      let ended: Ended | undefined;
      // On a busy machine the time may be over before the first key is begun: the program then ends by itself.
      for (let seconds = 0.5; ended === undefined || (ended.code === 1 && seconds <= 8); seconds *= 2)
        ended = await end(start(["virtual", "create", file, ...keys, "--timeout", String(seconds)]));
      // process.exit() would wait for the keys, so the program ends itself by a signal.
      const { code, signal } = ended;
      expect([code, signal, existsSync(file)]).toEqual([null, "SIGTERM", false]);
    },
    LIMIT,
  );
});

describe("output that is not read", () => {
  test(
    "--timeout ends a command whose output waits in a full pipe",
    async () => {
      const child = start(["apdu", "explain", "--json", "--timeout", "1.5"]);
      child.stdin?.end("9000\n".repeat(20_000));
      const [code] = (await once(child, "exit")) as [number];
      expect(code).toBe(1);
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
    LIMIT,
  );
});

async function firstOutput(child: ChildProcess): Promise<void> {
  if (child.stdout) await once(child.stdout, "data");
}

/** The process that the command started. */
async function childOf({ pid }: ChildProcess): Promise<string> {
  let found = "";
  await until(() => {
    [found = ""] = execFileSync("sh", ["-c", `pgrep -P ${pid} sleep || true`], { encoding: "utf8" }).split("\n");
    return found !== "";
  });
  return found;
}

/**
 * Whether the program handles signals by now: one that comes before would end it as any program. SIGHUP, number 1, is the last that it
 * takes, and one that Node itself leaves alone.
 */
function handlesSignals(pid: number | undefined): boolean {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/mu.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) & 1n) === 1n;
}

/** Until the program waits: it handles signals, and has used no time of a processor at so many looks. */
async function idle({ pid }: ChildProcess): Promise<void> {
  const used = (): string => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ").slice(13, 15).join();
  let [before, same] = ["", 0];
  await until(() => {
    const now = used();
    same = now === before && handlesSignals(pid) ? same + 1 : 0;
    before = now;
    return same === 30;
  });
}
