import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardToken, UnsupportedError } from "../../src/card/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { certificate, dataObject, odf, padded, pin, privateKey, tlv } from "./directory-files.ts";
import { type CardFile, FileCard, insert, RECORDING } from "./file-card.ts";

const CERTIFICATE = RECORDING.files["50153400"]?.contents ?? "";
const hex = (value: number): string => value.toString(16).padStart(4, "0");
/** FCP of records of any size, which tells how many there are; and of `size`, which does not. */
const variable = (count: number): string => `62078205044100ff${toHex(Uint8Array.of(count))}`;
const ofSize = (size: number): string => `620682040241${hex(size)}`;
const records = (...all: string[]): CardFile => ({ control: variable(all.length), contents: "", records: all });
const fixed = (size: number, ...all: string[]): CardFile => ({
  control: ofSize(size),
  contents: "",
  records: all.map((record) => padded(record, size)),
});
const template = tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", "3f005015"));
const KEYS = ["01", "02"].map((id) => privateKey({ label: `k${id}`, id, authId: "01" }));
const CERTIFICATES = ["01", "02"].map((id) => certificate(`c${id}`, id, `34${id}`));

/** Every directory of it a file of records. */
function recordCard(files: Readonly<Record<string, CardFile>> = {}): FileCard {
  const card = new FileCard({
    files: {
      "2f00": records(tlv("61", tlv("4f", "a000000003")), template),
      "50155031": records(...[odf({ a8: "4401" }), odf({ a0: "4402" }), odf({ a4: "4404" }), odf({ a7: "4406" })]),
      "50154401": records(pin({ label: "PIN", authId: "01", reference: "81" })),
      "50154402": records(...KEYS),
      "50154404": records(...CERTIFICATES),
      // Room for one more.
      "50154406": fixed(64, dataObject("note", "4301"), ""),
      "50153401": { contents: CERTIFICATE },
      "50153402": { contents: CERTIFICATE },
      "50154301": records("a0a1", "b0b1b2", "c0"),
      ...files,
    },
  });
  card.script.set("002000810431323334", "9000");
  return card;
}

async function open(card: FileCard): Promise<CardToken> {
  card.reset();
  const [token] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  return token;
}

async function labels(card: FileCard): Promise<readonly string[]> {
  return (await (await open(card)).objects()).map(({ label }) => label);
}

async function note(token: CardToken): Promise<string> {
  const object = (await token.objects(["data"]))[0];
  return object?.class === "data" ? toHex(await object.value()) : "";
}

const NEW = { class: "data", label: "new", private: false, application: "a", value: fromHex("0102") } as const;

describe("directories in files of records", () => {
  test("are read, record by record, and no further than they go", async () => {
    const card = recordCard();
    expect(await labels(card)).toEqual(["k01", "k02", "c01", "c02", "note"]);
    const read = card.commands.filter((command) => command.startsWith("00b2"));
    // Two of EF.DIR, four of the ODF, one PIN, two keys, two certificates, two of data and the one that is not there.
    expect(read).toHaveLength(14);
  });

  test("of which the card tells nothing are found out by its refusal", async () => {
    const card = recordCard();
    for (const [path, one] of card.files) {
      card.files.set(path, { contents: one.contents, ...(one.records && { records: one.records }) });
    }
    expect(await labels(card)).toEqual(["k01", "k02", "c01", "c02", "note"]);
  });

  test("a path that has a number names one record of its file", async () => {
    const second = tlv("30", tlv("04", "4301"), "020102", "800100");
    const entry = tlv("30", tlv("30", tlv("0c", "6e")), tlv("30", tlv("0c", "61")), tlv("a1", second));
    expect(await note(await open(recordCard({ "50154406": records(entry) })))).toBe("b0b1b2");
    expect(await note(await open(recordCard()))).toBe("a0a1b0b1b2c0");
  });
});

describe("writing to a directory of records", () => {
  async function writable(files: Readonly<Record<string, CardFile>> = {}): Promise<[FileCard, CardToken]> {
    const card = recordCard(files);
    const token = await open(card);
    await token.login("user", utf8("1234"));
    return [card, token];
  }

  test("takes the record that is free, and adds one where none is", async () => {
    const [card, token] = await writable();
    await token.createObject?.(NEW);
    expect(card.files.get("50154406")?.records).toHaveLength(2);
    await token.createObject?.({ ...NEW, label: "newer" });
    expect(card.files.get("50154406")?.records?.map((record) => record.length / 2)).toEqual([64, 64, 64]);
    expect((await labels(card)).slice(-3)).toEqual(["note", "new", "newer"]);
  });

  test("changes one record, and empties that of what is deleted", async () => {
    const [card, token] = await writable();
    const [data] = await token.objects(["data"]);
    if (!data) throw new Error("no data object");
    const mine = await token.setAttributes?.(data, { label: "mine" });
    expect((await token.objects()).at(-1)?.label).toBe("mine");
    if (mine) await token.destroyObject?.(mine);
    expect(card.files.get("50154406")?.records).toEqual(["00".repeat(64), "00".repeat(64)]);
    expect(await labels(card)).toEqual(["k01", "k02", "c01", "c02"]);
  });

  test("refuses what does not fit into a record, and leaves no entry behind", async () => {
    const [card, token] = await writable();
    const long = "a label that is longer than the records of this directory have room for";
    await expect(token.createObject?.({ ...NEW, label: long })).rejects.toThrow(UnsupportedError);
    expect((await labels(card)).at(-1)).toBe("note");
  });

  test("does not begin a directory in an ODF of records", async () => {
    const [card, token] = await writable({ "50155031": records(odf({ a8: "4401" }), odf({ a4: "4404" })) });
    await expect(token.createObject?.(NEW)).rejects.toThrow(UnsupportedError);
    expect((await labels(card)).at(-1)).toBe("c02");
  });

  test.each(["store", "rename", "delete"])("is whole at every exchange of a %s", async (what) => {
    const work = async (token: CardToken): Promise<unknown> => {
      const [data] = await token.objects(["data"]);
      if (what === "store" || !data) return token.createObject?.(NEW);
      return what === "rename" ? token.setAttributes?.(data, { label: "mine" }) : token.destroyObject?.(data);
    };
    const [reference, token] = await writable();
    const before = await labels(reference);
    await token.login("user", utf8("1234"));
    reference.commands.length = 0;
    await work(token);
    const exchanges = reference.commands.length;
    const after = await labels(reference);
    expect(after).not.toEqual(before);
    for (let at = 0; at < exchanges; at++) {
      const [card, pulled] = await writable();
      let left = at;
      card.before = () => {
        if (left-- > 0) return undefined;
        throw new Error("the card is gone");
      };
      await expect(work(pulled)).rejects.toThrow();
      card.before = undefined;
      expect([before, after]).toContainEqual(await labels(card));
    }
  });
});
