import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { CardFarm, type FarmUse, FarmWorker, type FarmWorkerEvent } from "../../../src/farm/index.ts";
import { MemoryReaders } from "../../../src/pcsc/index.ts";
import { profiles } from "../../../src/profiles.ts";
import { openTokens, type Key, type TokenError, type TokenSource } from "../../../src/tokens/index.ts";
import { saveCard, VirtualPivCard } from "../../../src/virtual/index.ts";
import { NatsServer, WorkerProcess } from "./rig.ts";

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
  return FarmWorker.start({ nats: { servers: server.url }, pcsc: readers.client(), profiles, pin: pin(), ...options });
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

  test("a PIN that a card refuses is tried once, and its keys are not offered", async () => {
    const events: FarmWorkerEvent[] = [];
    const others = new MemoryReaders();
    others.plug("Other");
    const other = await VirtualPivCard.create();
    others.insert("Other", other);
    const mistaken = await startWorker({
      pcsc: others.client(),
      pin: pin("000000"),
      onEvent: (event) => events.push(event),
    });
    await mistaken[Symbol.asyncDispose]();
    const refused = events.filter(({ type }) => type === "pin-refused");
    expect(refused).toEqual([expect.objectContaining({ type: "pin-refused", triesLeft: 2 })]);
  });
});

test("the work of a worker that is killed goes to another card, and a full queue refuses", async () => {
  const file = path.join(await mkdtemp(path.join(tmpdir(), "farm-cards-")), "card.json");
  await saveCard(card, file);
  await using client = new CardFarm({ servers: server.url, seconds: 25, onUse: (use) => uses.push(use) });
  const hanging = await WorkerProcess.start(server.url, file, { HANG: "1" });
  await client.C_Initialize();
  const source = await openTokens({ cryptoki: client });
  const key = await keyLike("PIV AUTH", () => Promise.resolve(source));
  const signing = key.sign(data);
  await hanging.line("asked");
  const other = await WorkerProcess.start(server.url, file);
  await hanging.kill();
  expect(await (await key.publicKey()).verify(data, await signing)).toBe(true);
  expect(uses.at(-1)?.attempt).toBe(2);

  await using small = new CardFarm({ servers: server.url, seconds: 1, queue: 2 });
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
