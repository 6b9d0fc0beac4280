import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { CardFarm, type FarmUse, FarmWorker, type FarmWorkerEvent } from "../../../src/farm/index.ts";
import { type InProcessCard, MemoryReaders } from "../../../src/pcsc/index.ts";
import { profiles } from "../../../src/profiles.ts";
import { openTokens, type Key, type TokenError, type TokenSource } from "../../../src/tokens/index.ts";
import { loadCard, saveCard, VirtualPivCard } from "../../../src/virtual/index.ts";
import { cryptoki } from "../../cli/program.ts";
import { requireLibrary } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { NatsServer, OtherMachine, WorkerProcess } from "./rig.ts";

const client = requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");

jest.setTimeout(60_000);

const pin =
  (text = "123456") =>
  (): Promise<Uint8Array> =>
    Promise.resolve(new TextEncoder().encode(text));
const data = new TextEncoder().encode("a document");

let server: NatsServer;
let card: VirtualPivCard;
let readers: MemoryReaders;
let farm: CardFarm;
let tokens: TokenSource;
const uses: FarmUse[] = [];

async function startWorker(options: Partial<Parameters<typeof FarmWorker.start>[0]> = {}): Promise<FarmWorker> {
  return FarmWorker.start({
    nats: { servers: server.url },
    pcsc: readers.client(),
    profiles,
    pin: pin(),
    acknowledgeWithin: 2000,
    ...options,
  });
}

/** What a worker said. */
class Events {
  readonly all: FarmWorkerEvent[] = [];
  #wake: () => void = () => undefined;

  readonly add = (event: FarmWorkerEvent): void => {
    this.all.push(event);
    this.#wake();
  };

  /** Waits until `count` events of a type were seen. */
  async seen(type: FarmWorkerEvent["type"], count: number): Promise<void> {
    while (this.all.filter((event) => event.type === type).length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function savedCard(): Promise<string> {
  const file = path.join(await mkdtemp(path.join(tmpdir(), "farm-cards-")), "card.json");
  await saveCard(card, file);
  return file;
}

/** Runs `cryptoki serve --farm` while something uses it. */
async function withServer<T>(socket: string, use: (address: string) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  let listening!: () => void;
  const ready = new Promise<void>((resolve) => (listening = resolve));
  const args = ["serve", "--farm", server.url, "--socket", socket, "--foreground"];
  const serving = cryptoki(args, { signal: stop.signal, onOutput: listening });
  try {
    await Promise.race([ready, serving.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
    return await use(`unix:path=${socket}`);
  } finally {
    stop.abort();
    await serving;
  }
}

beforeAll(async () => {
  server = await NatsServer.start();
  card = await VirtualPivCard.create();
  readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function keyLike(label: string, open: () => Promise<TokenSource> = () => Promise.resolve(tokens)): Promise<Key> {
  const labels: string[] = [];
  for await (const token of (await open()).tokens()) {
    for await (const key of token.keys.find()) {
      if (key.label.includes(label)) return key;
      labels.push(key.label);
    }
  }
  throw new Error(`no key ${label} among ${labels.join(", ")}`);
}

describe("a farm", () => {
  let worker: FarmWorker;
  beforeAll(async () => {
    worker = await startWorker();
    farm = new CardFarm({ servers: server.url, seconds: 20, onUse: (use) => uses.push(use) });
    await farm.C_Initialize();
    tokens = await openTokens({ cryptoki: farm });
  });
  afterAll(async () => {
    await tokens.close();
    await farm[Symbol.asyncDispose]();
    await worker[Symbol.asyncDispose]();
  });

  test("signs with each kind of key, and says which card made it", async () => {
    for (const label of ["PIV AUTH", "SIGN"]) {
      const key = await keyLike(label);
      const signature = await key.sign(data);
      expect(await (await key.publicKey()).verify(data, signature)).toBe(true);
    }
    expect(uses.map(({ attempt }) => attempt)).toEqual([1, 1]);
    expect(uses[0]?.serial).toMatch(/^[0-9a-f]{32}$/u);
  });

  test("decrypts: the plaintext comes back", async () => {
    const key = await keyLike("KEY MAN");
    const box = await (await key.publicKey()).encrypt(data);
    expect(await key.decrypt(box)).toEqual(data);
  });

  test("a PIN that a card refuses is tried once, also when the card comes again, and its keys are not offered", async () => {
    const events = new Events();
    const others = new MemoryReaders();
    others.plug("Other");
    let tries = 0;
    const inserted = (): InProcessCard => ({
      atr: other.atr,
      reset: () => {
        other.reset();
      },
      transmit: (command) => {
        if (command[1] === 0x20 && command.length > 5) tries++;
        return other.transmit(command);
      },
    });
    const other = await VirtualPivCard.create();
    others.insert("Other", inserted());
    const mistaken = await startWorker({ pcsc: others.client(), pin: pin("000000"), onEvent: events.add });
    for (let round = 1; round <= 2; round++) {
      others.eject("Other");
      await events.seen("removed", round);
      others.insert("Other", inserted());
      await events.seen("ready", round + 1);
    }
    await mistaken[Symbol.asyncDispose]();
    const refused = events.all.filter(({ type }) => type === "pin-refused");
    expect(refused).toEqual([expect.objectContaining({ type: "pin-refused", triesLeft: 2 })]);
    expect(tries).toBe(1);
  });

  test("a signature is made although the server is stopped and started meanwhile", async () => {
    const key = await keyLike("PIV AUTH");
    await server.stop();
    const signing = key.sign(data);
    await server.start();
    expect(await (await key.publicKey()).verify(data, await signing)).toBe(true);
  });

  test("pkcs11-tool signs through p11-kit-client.so with a key of the farm", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "farm-serve-"));
    const outcome = await withServer(path.join(folder, "socket"), (address) => {
      const script = `exec 2>&1
        pkcs11-tool --module "$CLIENT" --token-label "$TOKEN" --read-object --type pubkey --id 01 --output-file key.der
        printf "a document" > document
        pkcs11-tool --module "$CLIENT" --token-label "$TOKEN" --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file document --output-file signature
        openssl dgst -sha256 -verify key.der -keyform DER -signature signature document`;
      const env = { P11_KIT_SERVER_ADDRESS: address, CLIENT: client, TOKEN: "PIV AUTH key" };
      return run("bash", ["-euo", "pipefail", "-c", script], { cwd: folder, env });
    });
    expect(outcome.stdout).toContain("Verified OK");
  });
});

test("a client of a server without a farm is told to start a worker, and one without the password sees none in the error", async () => {
  await using empty = await NatsServer.start();
  const wrong = empty.url.replace("of-this-test", "guessed");
  const refusal = `no NATS server at nats://127.0.0.1:${empty.port}: Authorization Violation`;
  await expect(new CardFarm({ servers: wrong }).connect()).rejects.toThrow(new RegExp(`^${refusal}`, "u"));
  await using lonely = new CardFarm({ servers: empty.url });
  await expect(lonely.connect()).rejects.toMatchObject({ code: "NO_STREAM" });
});

test("a card that is pulled at work leaves its request to another card", async () => {
  const others = new MemoryReaders();
  const copy = await loadCard(await savedCard(), () => undefined);
  let isPulled = false;
  for (const [name, one] of [
    ["A", card],
    ["B", copy],
  ] as const) {
    others.plug(name);
    others.insert(name, {
      atr: one.atr,
      reset: () => {
        one.reset();
      },
      transmit: (command) => {
        if (!isPulled && command[1] === 0x87) {
          isPulled = true;
          others.eject(name);
        }
        return one.transmit(command);
      },
    });
  }
  await using worker = await startWorker({ pcsc: others.client() });
  expect(worker.keys.length).toBeGreaterThan(0);
  await using puller = new CardFarm({ servers: server.url, seconds: 20, onUse: (use) => uses.push(use) });
  await puller.C_Initialize();
  const source = await openTokens({ cryptoki: puller });
  const key = await keyLike("PIV AUTH", () => Promise.resolve(source));
  expect(await (await key.publicKey()).verify(data, await key.sign(data))).toBe(true);
  expect(isPulled).toBe(true);
  expect(uses.at(-1)?.attempt).toBe(2);
  await source.close();
});

test("the work of a worker that is killed goes to another card, and a full queue refuses", async () => {
  const file = await savedCard();
  await using elsewhere = await OtherMachine.start();
  await using client = new CardFarm({ servers: server.url, seconds: 25, onUse: (use) => uses.push(use) });
  const hanging = await WorkerProcess.start(server.url, file, { HANG: "1" });
  await client.C_Initialize();
  const source = await openTokens({ cryptoki: client });
  const key = await keyLike("PIV AUTH", () => Promise.resolve(source));
  const signing = key.sign(data);
  await hanging.line("asked");
  // In another network namespace where this user may make one, else only in another process.
  const url = elsewhere ? server.urlAt(elsewhere.host) : server.url;
  const other = await WorkerProcess.start(url, file, {}, elsewhere?.before);
  await hanging.kill();
  expect(await (await key.publicKey()).verify(data, await signing)).toBe(true);
  expect(uses.at(-1)?.attempt).toBe(2);

  // A worker decides how many requests may wait.
  await (await startWorker({ pcsc: new MemoryReaders().client(), queue: 2 }))[Symbol.asyncDispose]();
  await using small = new CardFarm({ servers: server.url, seconds: 1 });
  await small.C_Initialize();
  const few = await openTokens({ cryptoki: small });
  const waiting = await keyLike("PIV AUTH", () => Promise.resolve(few));
  await other.kill();
  const ends = await Promise.allSettled([1, 2, 3].map(() => waiting.sign(data)));
  const codes = ends.map((end) => (end.status === "rejected" ? (end.reason as TokenError).code : "signed"));
  expect(codes.sort()).toEqual(["CKR_DEVICE_ERROR", "CKR_DEVICE_ERROR", "CKR_DEVICE_MEMORY"]);
  await few.close();
  await source.close();
});
