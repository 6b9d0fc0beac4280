import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardToken } from "../../src/card/index.ts";
import { createPkcs15, type PublicFileStore } from "../../src/pkcs15/index.ts";
import { FileCard, insert, RECORDING } from "./file-card.ts";

/** The recorded card with a serial number. */
function card(serial = "cafe", info = RECORDING.files["50155032"]?.contents ?? ""): FileCard {
  const files = { ...RECORDING.files, "50155032": { contents: info.replace("04020000", `0402${serial}`) } };
  return new FileCard({ ...RECORDING, files });
}

class MemoryStore implements PublicFileStore {
  readonly copies = new Map<string, Uint8Array>();
  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.copies.get(key));
  }
  set(key: string, bytes: Uint8Array): Promise<void> {
    this.copies.set(key, bytes);
    return Promise.resolve();
  }
}

/** All that a process reads of the card: label, objects, values of certificates, public keys. */
async function readAll(of: FileCard, store: PublicFileStore): Promise<string[]> {
  of.reset();
  of.commands.length = 0;
  const [token] = (await createPkcs15({ store }).claim(await insert(of), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  return [(await token.info()).label, ...(await objects(token))];
}

async function objects(token: CardToken): Promise<string[]> {
  const found: string[] = [];
  for (const object of await token.objects()) {
    found.push(object.class === "certificate" ? toHex(await object.value()) : object.reference);
  }
  return found;
}

describe("copies of public files", () => {
  test("let the second process ask the card for its state alone", async () => {
    const store = new MemoryStore();
    const known = card();
    const first = await readAll(known, store);
    expect(known.commands.length).toBeGreaterThan(20);
    expect(await readAll(known, store)).toEqual(first);
    expect(known.commands.length).toBeLessThanOrEqual(3);
  });

  test("are of one card, and one state of it", async () => {
    const store = new MemoryStore();
    await readAll(card(), store);
    const another = card("beef");
    await readAll(another, store);
    expect(another.commands.length).toBeGreaterThan(20);
    const changed = card(
      "cafe",
      (RECORDING.files["50155032"]?.contents ?? "").replace(toHex(utf8("2026")), toHex(utf8("2027"))),
    );
    await readAll(changed, store);
    expect(changed.commands.length).toBeGreaterThan(20);
  });

  test("are not kept of cards that do not say which one they are", async () => {
    const store = new MemoryStore();
    await readAll(card("0000"), store);
    // What remains is of all cards with this answer to reset: by which way their application was found.
    expect([...store.copies.keys()]).toEqual(["way 3b80800101"]);
  });

  test.each([
    ["other bytes", (): unknown => fromHex("3082ffff")],
    ["the first half", (bytes: Uint8Array): unknown => bytes.subarray(0, bytes.length / 2)],
    ["nothing", (): unknown => new Uint8Array()],
    ["null", (): unknown => null],
    ["text", (): unknown => "rubbish"],
  ])("are not trusted: the card is read where a copy is %s by now", async (_, spoilt) => {
    const store = new MemoryStore();
    const known = card();
    const first = await readAll(known, store);
    const copies = new Map<string, unknown>([...store.copies].map(([key, bytes]) => [key, spoilt(bytes)]));
    const get = (key: string): Promise<Uint8Array | undefined> => Promise.resolve(copies.get(key) as Uint8Array);
    expect(await readAll(known, { get, set: (key, bytes) => store.set(key, bytes) })).toEqual(first);
  });

  test.each([
    ["rejects", (): never => Promise.reject(new Error("gone")) as never],
    [
      "throws",
      (): never => {
        throw new Error("gone");
      },
    ],
  ])("of a store that %s do not matter", async (_, fail) => {
    expect(await readAll(card(), { get: fail, set: fail })).toContain("private-key.01");
  });
});
