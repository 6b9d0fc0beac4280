import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { CardError } from "../../src/card/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { odf, privateKey } from "./directory-files.ts";
import { type CardFile, FileCard, insert, RECORDING } from "./file-card.ts";
import { WatchedCard } from "./watched-card.ts";
import { shareOf } from "../seeded-random.ts";

/**
 * No card is asked more than this, whatever its files say: each of the recorded card's twelve files is 3 exchanges at most, and as
 * many again if it does not parse, because it may have been broken on its way.
 */
const MAX_EXCHANGES = 120;

/** Everything that can be asked of a card is asked; only the project's own errors may come of it. */
async function readEverything(card: InProcessCard): Promise<{ labels: string[]; findings: readonly unknown[] }> {
  const application = await pkcs15.claim(await insert(card), "thorough");
  const labels: string[] = [];
  for (const token of application?.tokens ?? []) {
    await token.info();
    for (const object of await token.objects()) {
      labels.push(object.label);
      try {
        await ("value" in object ? object.value() : object.publicKey());
      } catch (error) {
        if (!(error instanceof CardError || error instanceof DataError)) throw error;
      }
    }
  }
  return { labels, findings: application?.findings?.() ?? [] };
}

const cardWith = (files: Record<string, CardFile>): FileCard =>
  new FileCard({ files: { ...RECORDING.files, ...files } });

type Mutation = (bytes: Uint8Array) => Uint8Array;

const POSITION = fc.nat(400);
/** Bits turned over, bytes put in, taken out and cut off. */
const MUTATION: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(POSITION, fc.integer({ min: 1, max: 255 })).map(
    ([at, bits]): Mutation =>
      (bytes) =>
        bytes.map((octet, index) => (index === at % Math.max(1, bytes.length) ? octet ^ bits : octet)),
  ),
  fc.tuple(POSITION, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(
    ([at, more]): Mutation =>
      (bytes) =>
        concat(bytes.subarray(0, at), more, bytes.subarray(at)),
  ),
  fc.tuple(POSITION, fc.integer({ min: 1, max: 12 })).map(
    ([at, count]): Mutation =>
      (bytes) =>
        concat(bytes.subarray(0, at), bytes.subarray(at + count)),
  ),
  POSITION.map(
    (at): Mutation =>
      (bytes) =>
        bytes.subarray(0, at),
  ),
);

describe("a card that lies", () => {
  const names = Object.keys(RECORDING.files);

  test("in any byte of any file is read as far as it is in order, and no further", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.nat(), fc.nat(255), async (name, at, value) => {
        const file = RECORDING.files[name];
        const bytes = fromHex(file?.contents ?? "");
        bytes[at % Math.min(bytes.length, 200)] = value;
        const card = cardWith({ [name]: { control: file?.control ?? "", contents: toHex(bytes) } });
        await readEverything(card);
        expect(card.commands.length).toBeLessThan(MAX_EXCHANGES);
      }),
      { numRuns: shareOf(120) },
    );
  });

  test("in files with mutations of every kind", async () => {
    const mutations = fc.array(fc.tuple(fc.constantFrom(...names), MUTATION), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(mutations, async (chosen) => {
        const card = cardWith({});
        for (const [name, mutate] of chosen) {
          const file = card.files.get(name);
          // What SELECT tells of it is what it was.
          if (file) card.files.set(name, { ...file, contents: toHex(mutate(fromHex(file.contents))) });
        }
        await readEverything(card);
        expect(card.commands.length).toBeLessThan(MAX_EXCHANGES);
      }),
      { numRuns: shareOf(300) },
    );
  });

  test("in what SELECT tells of a file", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.uint8Array({ maxLength: 40 }), async (name, control) => {
        const card = cardWith({ [name]: { control: toHex(control), contents: RECORDING.files[name]?.contents ?? "" } });
        await readEverything(card);
        expect(card.commands.length).toBeLessThan(MAX_EXCHANGES);
      }),
      { numRuns: shareOf(100) },
    );
  });

  test("with any bytes for a file", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.uint8Array({ maxLength: 600 }), async (name, contents) => {
        const card = cardWith({ [name]: { contents: toHex(contents) } });
        await readEverything(card);
        expect(card.commands.length).toBeLessThan(MAX_EXCHANGES);
      }),
      { numRuns: shareOf(100) },
    );
  });

  test("cut off anywhere", async () => {
    for (const name of names) {
      const contents = RECORDING.files[name]?.contents ?? "";
      for (let length = 0; length < Math.min(contents.length, 400); length += 26) {
        await readEverything(cardWith({ [name]: { contents: contents.slice(0, length) } }));
      }
    }
  });
});

test("a key of an unknown PIN, of no type and with a path to nowhere does not hide the others", async () => {
  const keys = [
    privateKey({ label: "lost", id: "01", authId: "99", path: "3f00dead" }),
    privateKey({ label: "good", id: "02", authId: "ff" }),
  ];
  const card = cardWith({
    "50154402": { contents: keys.join("") },
    "50155031": { contents: odf({ a8: "4401", a0: "4402" }) },
  });
  const { labels } = await readEverything(card);
  expect(labels).toEqual(["lost", "good"]);
});

test("a directory that the ODF names a thousand times is read once", async () => {
  const card = cardWith({ "50155031": { contents: odf({ a8: "4401" }) + odf({ a0: "4402" }).repeat(1000) } });
  const { labels, findings } = await readEverything(card);
  expect(labels).toEqual(["RSA cert", "RSA decrypt", "EC cert"]);
  expect(findings).toHaveLength(1);
});

describe("a card that answers READ BINARY with 9000 and nothing", () => {
  test.each([0, 1, 16, 256])("from byte %i on is not asked without end", async (emptyFrom) => {
    for (const withControl of [true, false]) {
      const files = Object.entries(RECORDING.files).map(([path, file]): [string, CardFile] => [
        path,
        withControl ? file : { contents: file.contents },
      ]);
      const card = new FileCard({ ...RECORDING, files: Object.fromEntries(files), quirks: { emptyFrom } });
      await readEverything(card);
      expect(card.commands.length).toBeLessThan(MAX_EXCHANGES);
    }
  });

  test("at the end of its files gives all that it has", async () => {
    const card = new WatchedCard(await testPkcs15Card({ deviations: ["empty-end-of-file"] }));
    const usual = new WatchedCard(await testPkcs15Card());
    expect(await readEverything(card)).toEqual(await readEverything(usual));
    expect(card.commands.length).toBe(usual.commands.length);
  });
});
