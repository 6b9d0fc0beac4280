import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createProfiles, directoryStore } from "../../src/index.ts";
import { openTokens } from "../../src/tokens/index.ts";
import { cryptoki } from "../cli/program.ts";
import { CardFolder } from "../cli/card.ts";
import { rig } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";

const TOP = mkdtempSync(path.join(tmpdir(), "store-"));
afterAll(() => {
  rmSync(TOP, { recursive: true, force: true });
});
let folder = "";
let count = 0;
beforeEach(() => {
  folder = path.join(TOP, `cards-${++count}`);
});

const VALUE = Uint8Array.of(1, 2, 3);

/** The only file of the folder. */
function onlyFile(): string {
  const [name = "", ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  return path.join(folder, name);
}

const modeOf = (file: string): number => statSync(file).mode & 0o777;

describe("a store in a folder", () => {
  test("makes the folder and its files for this user alone, and names no card in them", async () => {
    const store = directoryStore(folder);
    await store.set("piv 1234", VALUE);
    expect(Uint8Array.from((await store.get("piv 1234")) ?? [])).toEqual(VALUE);
    expect(await store.get("piv 1235")).toBeUndefined();
    expect([modeOf(folder), modeOf(onlyFile())]).toEqual([0o700, 0o600]);
    expect(path.basename(onlyFile())).toMatch(/^[0-9a-f]{64}$/u);
  });

  test("reads nothing from a folder that others can enter, and writes nothing there", async () => {
    mkdirSync(folder, { mode: 0o755 });
    const store = directoryStore(folder);
    await store.set("key", VALUE);
    expect(readdirSync(folder)).toEqual([]);
    chmodSync(folder, 0o700);
    await store.set("key", VALUE);
    chmodSync(folder, 0o750);
    expect(await store.get("key")).toBeUndefined();
  });

  test("follows no link, neither of the folder nor of a file", async () => {
    await directoryStore(folder).set("key", VALUE);
    const link = `${folder}-link`;
    symlinkSync(folder, link);
    expect(await directoryStore(link).get("key")).toBeUndefined();
    const file = onlyFile();
    const elsewhere = `${folder}-file`;
    writeFileSync(elsewhere, VALUE, { mode: 0o600 });
    rmSync(file);
    symlinkSync(elsewhere, file);
    expect(await directoryStore(folder).get("key")).toBeUndefined();
  });

  test("reads no file that others can read", async () => {
    const store = directoryStore(folder);
    await store.set("key", VALUE);
    chmodSync(onlyFile(), 0o644);
    expect(await store.get("key")).toBeUndefined();
  });

  test("removes what is oldest when there is too much", async () => {
    mkdirSync(folder, { mode: 0o700 });
    for (let number = 0; number < 520; number++) writeFileSync(path.join(folder, `old ${number}`), "");
    await directoryStore(folder).set("key", VALUE);
    expect(readdirSync(folder).length).toBeLessThanOrEqual(260);
    expect(await directoryStore(folder).get("key")).toBeDefined();
  });
});

/** What a process sees of a card through a store in the folder, and how many exchanges that takes. */
async function look(card: Awaited<ReturnType<typeof testCard>>): Promise<{ seen: number; exchanges: number }> {
  card.reset();
  await using made = await rig(card, createProfiles({ store: directoryStore(folder) }));
  const seen = (await made.find(await made.session(0), {})).length;
  return { seen, exchanges: made.commands.length };
}

describe("a spoilt copy costs exchanges and nothing else", () => {
  test.each([
    [
      "cut off",
      (file: string) => {
        writeFileSync(file, VALUE, { mode: 0o600 });
      },
    ],
    [
      "empty",
      (file: string) => {
        writeFileSync(file, "", { mode: 0o600 });
      },
    ],
    [
      "of something else",
      (file: string) => {
        writeFileSync(file, Buffer.alloc(4096, 7), { mode: 0o600 });
      },
    ],
    [
      "open to others",
      (file: string) => {
        chmodSync(file, 0o666);
      },
    ],
    [
      "lost",
      (file: string) => {
        rmSync(file);
      },
    ],
    [
      "a link",
      (file: string) => {
        writeFileSync(`${folder}-copy`, "", { mode: 0o600 });
        rmSync(file);
        symlinkSync(`${folder}-copy`, file);
      },
    ],
    [
      "a folder",
      (file: string) => {
        rmSync(file);
        mkdirSync(file, { mode: 0o700 });
      },
    ],
  ])("%s", async (_what, spoil) => {
    const card = await testCard({ extended: false });
    const cold = await look(card);
    const warm = await look(card);
    expect(warm.seen).toBe(cold.seen);
    expect(warm.exchanges).toBeLessThan(cold.exchanges);
    spoil(onlyFile());
    const after = await look(card);
    expect(after.seen).toBe(cold.seen);
    expect(after.exchanges).toBeGreaterThan(warm.exchanges);
    expect(after.exchanges).toBeLessThanOrEqual(cold.exchanges + 1);
  });
});

describe("the ways to it", () => {
  test("openTokens takes the folder", async () => {
    await using tokens = await openTokens({ cards: [await testCard()], cache: folder });
    const token = await tokens.token();
    await (await token.keys.get({ reference: "9a" })).publicKey();
    expect(readdirSync(folder).length).toBeGreaterThan(0);
  });

  test("--cache keeps copies in the user's cache folder, which a second command uses", async () => {
    using cards = await CardFolder.create({ extended: false });
    const cacheHome = path.join(TOP, "home-cache");
    const recording = cards.file("recording");
    const exchanges = async (...options: string[]): Promise<number> => {
      const args = ["--virtual", cards.card, "--record", recording, "--force", ...options, "objects"];
      const outcome = await cryptoki(args, { env: { XDG_CACHE_HOME: cacheHome } });
      expect(outcome.code).toBe(0);
      return readFileSync(recording, "utf8").split('"kind":"transmit"').length - 1;
    };
    const without = await exchanges();
    await exchanges("--cache");
    expect(await exchanges("--cache")).toBeLessThan(without);
    expect(modeOf(path.join(cacheHome, "cryptoki", "cards"))).toBe(0o700);
    expect(await exchanges()).toBe(without);
  });

  test("--cache is no option for the tokens of a server", async () => {
    expect(await cryptoki(["--server", "unix:path=/nowhere", "--cache", "tokens"])).toMatchObject({ code: 2 });
  });
});
