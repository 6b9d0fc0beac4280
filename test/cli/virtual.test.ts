import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { InterruptedError } from "../../src/cli/output/failures.ts";
import { CardFolder } from "./card.ts";
import { PIV_DEVIATIONS } from "../../src/virtual/index.ts";
import { cryptoki, json } from "./program.ts";

let folder: CardFolder;
beforeEach(() => {
  folder = new CardFolder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

describe("virtual create", () => {
  test("makes a card with the keys that are wanted, for its owner only", async () => {
    const keys = ["--key", "9a=p-384", "--key", "9d=none", "--key", "9c=p-256"];
    const created = await cryptoki(["virtual", "create", folder.card, ...keys, "--name", "Ada", "--json"]);
    expect(json(created)).toEqual({ file: folder.card, profile: "piv" });
    expect(statSync(folder.card).mode & 0o777).toBe(0o600);
    const { stdout } = await cryptoki(["--virtual", folder.card, "objects", "--type", "cert"]);
    expect(stdout).toMatch(/01 +certificate +P-384 .*CN=Ada/u);
    expect(stdout).not.toMatch(/^03/mu);
  });

  test("does not lose a card that is there already", async () => {
    folder.file("card.json", "precious");
    const { code, stderr } = await cryptoki(["virtual", "create", folder.card, "--key", "9a=none", "--key", "9d=none"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/exists already/u);
  });

  test.each([["9a"], ["9a=rsa"], ["77=p-256"], ["9a=p-256:twice"]])("--key %s is a usage error", async (key) => {
    expect((await cryptoki(["virtual", "create", folder.card, "--key", key])).code).toBe(2);
  });

  test("--deviation is kept in the card's file, and another name lists those that there are", async () => {
    const args = ["virtual", "create", folder.card, "--key", "9a=none", "--key", "9d=none"];
    await cryptoki([...args, "--deviation", "no-certificates", "--deviation", "no-key-history"]);
    const { deviations } = JSON.parse(readFileSync(folder.card, "utf8")) as { deviations: string[] };
    expect(deviations).toEqual(["no-certificates", "no-key-history"]);
    const { stdout } = await cryptoki(["--virtual", folder.card, "objects", "--type", "cert", "--json"]);
    expect(JSON.parse(stdout)).toEqual([]);
    const refused = await cryptoki(["virtual", "create", `${folder.card}.other`, "--deviation", "no-such"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/--deviation no-such.*\n[^]*no-certificates/u);
  });

  test("--key names the slot or the types that there are", async () => {
    const slot = await cryptoki(["virtual", "create", folder.card, "--key", "9f=p-256"]);
    expect(slot.stderr).toMatch(/PIV slot 9f: slots are 9a, 9c, 9d, 9e and 82 to 95/u);
    const type = await cryptoki(["virtual", "create", folder.card, "--key", "9a=p-257"]);
    expect(type.stderr).toMatch(/--key 9a=p-257: .*p-256, p-384, ed25519/u);
  });

  test("a folder that does not exist", async () => {
    const { code, stderr } = await cryptoki(["virtual", "create", folder.card, "--icam", "/nonexistent"]);
    expect(code).toBe(1);
    expect(stderr).toBe("error: cannot read /nonexistent: no such file or folder\n");
  });

  test("a folder without a file of an ICAM test card makes no card", async () => {
    folder.file("letter.txt", "no part of a card");
    const from = path.dirname(folder.card);
    const { code, stderr } = await cryptoki(["virtual", "create", folder.card, "--icam", from]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/does not hold a card\ncause: no file of an ICAM test card, such as "8 - CHUID Object"/u);
    expect(existsSync(folder.card)).toBe(false);
  });
});

test("virtual deviations lists them, with what each does", async () => {
  expect((await cryptoki(["virtual", "deviations"])).stdout).toMatch(/^piv +no-key-history +there is no key history/mu);
  const rows = json(await cryptoki(["virtual", "deviations", "--json"]));
  expect(rows).toContainEqual({ profile: "piv", name: "no-certificates", meaning: PIV_DEVIATIONS["no-certificates"] });
});

describe("a PKCS #15 card", () => {
  test("is a token for each PIN, and is kept in a file", async () => {
    const created = await cryptoki([
      "virtual",
      "create",
      folder.card,
      "--profile",
      "pkcs15",
      "--name",
      "Ada",
      "--json",
    ]);
    expect(json(created)).toEqual({ file: folder.card, profile: "pkcs15" });
    const { stdout } = await cryptoki(["--virtual", folder.card, "tokens"]);
    expect(stdout).toMatch(/Virtual eID \(PIN\)/u);
    expect(stdout).toMatch(/Virtual eID \(Signature PIN\)/u);
  }, 60_000);

  test("has none of PIV's options", async () => {
    const args = ["virtual", "create", folder.card, "--profile", "pkcs15", "--yubico"];
    expect((await cryptoki(args)).code).toBe(2);
  });
});

describe("virtual piv", () => {
  /** Asks for the card's answer to reset as vpcd does: a length of two bytes, then the code. */
  const GET_ATR = Buffer.of(0, 1, 4);

  async function reader(onCard: (socket: Socket) => void): Promise<Server & Disposable> {
    const server = createServer(onCard);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return Object.assign(server, { [Symbol.dispose]: () => void server.close() });
  }

  test("answers the virtual reader until it is interrupted", async () => {
    const controller = new AbortController();
    const answers: Buffer[] = [];
    using server = await reader((socket) => {
      socket.write(GET_ATR);
      socket.on("data", (data) => {
        answers.push(Buffer.from(data));
        controller.abort(new InterruptedError("by the test", 130));
      });
    });
    const address = server.address();
    const port = typeof address === "object" && address ? `${address.port}` : "";
    await cryptoki(["virtual", "create", folder.card, "--key", "9a=none", "--key", "9d=none"]);
    const args = ["virtual", "piv", "--port", port, "--file", folder.card, "--json"];
    const { code, stdout } = await cryptoki(args, { signal: controller.signal });
    expect(code).toBe(0);
    expect(JSON.parse(stdout.split("\n")[0] ?? "")).toMatchObject({ event: "plugged", port: Number(port) });
    expect(Buffer.concat(answers).subarray(2, 3)).toEqual(Buffer.of(0x3b));
  });

  test("tells when the reader does not look at the card: another one is in it", async () => {
    const controller = new AbortController();
    const connected: Socket[] = [];
    using server = await reader((socket) => connected.push(socket));
    const address = server.address();
    const port = typeof address === "object" && address ? `${address.port}` : "";
    const { code, stdout } = await cryptoki(["virtual", "pkcs15", "--port", port, "--json"], {
      signal: controller.signal,
      onOutput: (soFar) => {
        if (soFar.includes("unseen")) controller.abort(new InterruptedError("by the test", 130));
      },
    });
    const events = stdout.trim().split("\n");
    expect(events.slice(0, 2).map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
      "plugged",
      "unseen",
    ]);
    expect(code).toBe(0);
    for (const socket of connected) socket.destroy();
  }, 20_000);

  test("without a virtual reader: exit code 3, and what to start", async () => {
    using server = await reader(() => undefined);
    const address = server.address();
    const port = typeof address === "object" && address ? `${address.port}` : "";
    server.close();
    const { code, stderr } = await cryptoki(["virtual", "piv", "--port", port, "--key", "9a=none", "--key", "9d=none"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/vsmartcard-vpcd/u);
  });

  test.each(["0", "65536", "x"])("port %s is a usage error", async (port) => {
    expect((await cryptoki(["virtual", "piv", "--port", port])).code).toBe(2);
  });
});
