import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { Card, type CardObject, type CardToken, LoginRequiredError, UnsupportedError } from "../../src/card/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { readElements } from "../../src/pkcs15/syntax/directory.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { certificate, dataObject, odf, padded, pin, privateKey, tokenInfo } from "./directory-files.ts";
import { type CardFile, FileCard, insert, READER, RECORDING, withoutLe } from "./file-card.ts";

const CERTIFICATE = fromHex(RECORDING.files["50153400"]?.contents ?? "");
const OTHER = fromHex(RECORDING.files["50153401"]?.contents ?? "");
const LAST_UPDATE = "a511180f32303236303130313030303030305a";
/** FCI of a file of `size` bytes, with access rules in a coding of the card's own. */
const control = (size: number, rules = "ff00ff00ff000000"): string =>
  `6f158102${size.toString(16).padStart(4, "0")}82010183020000 8608${rules}`.replaceAll(" ", "");

/** A card that may be written to, its directories nearly full: the next entries need a larger file. */
function writableCard(): FileCard {
  const file = (contents: string, size = contents.length / 2): CardFile => ({
    control: control(size),
    contents: padded(contents, size),
  });
  const info = tokenInfo("T");
  const updated = `30${toHex(Uint8Array.of(info.length / 2 - 2 + LAST_UPDATE.length / 2))}${info.slice(4)}${LAST_UPDATE}`;
  const certificates = ["aa", "bb", "cc"].map((id) => certificate(`certificate ${id}`, id, `34${id}`));
  const card = new FileCard({
    aid: "a000000063504b43532d3135",
    files: {
      "50155031": file(odf({ a8: "4401", a0: "4402", a4: "4404", a7: "4406" }), 128),
      "50155032": file(updated),
      "50154401": file(pin({ label: "PIN", authId: "01", reference: "81" })),
      "50154402": file(privateKey({ label: "k", id: "aa", authId: "01" }), 128),
      "50154404": file(certificates.join(""), 320),
      "50154406": file(dataObject("note", "4301") + dataObject("hidden", "4302", "01"), 256),
      "50154301": file("a0a1"),
      "50154302": file("b0b1"),
      ...Object.fromEntries(["aa", "bb", "cc"].map((id) => [`501534${id}`, file(toHex(CERTIFICATE))])),
    },
  });
  card.script.set("002000810431323334", "9000");
  return card;
}

interface Opened {
  readonly readers: MemoryReaders;
  readonly token: CardToken;
}

async function open(card: FileCard, login = true): Promise<Opened> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  card.reset();
  readers.insert(READER, card);
  const connection = await readers.client({ patience: 200 }).connect(READER);
  const [token] = (await pkcs15.claim(new Card(connection), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  if (login) await token.login("user", utf8("1234"));
  return { readers, token };
}

async function find(token: CardToken, label: string): Promise<CardObject> {
  const object = (await token.objects()).find((candidate) => candidate.label === label);
  if (!object) throw new Error(`no ${label}`);
  return object;
}

const valueOf = async (object: CardObject): Promise<string> => ("value" in object ? toHex(await object.value()) : "");

/** All that a fresh look at the card finds: labels, and that every value can be read. */
async function contents(card: FileCard): Promise<Record<string, string>> {
  card.before = undefined;
  const { token } = await open(card, false);
  const found: [string, string][] = [];
  for (const object of await token.objects()) {
    if (object.class !== "private-key") found.push([object.label, await valueOf(object)]);
  }
  return Object.fromEntries(found);
}

type Operation = (token: CardToken) => Promise<unknown>;

const newCertificate = { class: "certificate", label: "new", id: fromHex("dd"), private: false, value: OTHER } as const;
const longLabel = "a label so long that the entries behind it move out of the reach of one exchange ".repeat(2);
const OPERATIONS: readonly [string, Operation][] = [
  ["a certificate is stored", (token) => token.createObject?.(newCertificate) ?? Promise.resolve()],
  [
    "a private data object is stored",
    (token) =>
      token.createObject?.({
        class: "data",
        label: "new",
        private: true,
        application: "a",
        value: fromHex("c0c1c2"),
      }) ?? Promise.resolve(),
  ],
  ["a certificate is deleted", async (token) => token.destroyObject?.(await find(token, "certificate aa"))],
  [
    "a label is changed",
    async (token) => token.setAttributes?.(await find(token, "certificate aa"), { label: longLabel }),
  ],
  [
    "a value is changed",
    async (token) => token.setAttributes?.(await find(token, "note"), { value: fromHex("dddddd") }),
  ],
];

describe("writing", () => {
  test("what is stored is there for the next one who looks", async () => {
    const card = writableCard();
    const { token } = await open(card);
    const made = await token.createObject?.(newCertificate);
    expect(made).toMatchObject({ class: "certificate", label: "new", id: fromHex("dd"), modifiable: true });
    expect((await contents(card))["new"]).toBe(toHex(OTHER));
  });

  test("private objects take the access rules of private objects", async () => {
    const card = writableCard();
    card.files.set("50154302", { control: control(2, "ffffffffff9090ff"), contents: "b0b1" });
    const { token } = await open(card);
    await token.createObject?.({ class: "data", label: "new", private: true, application: "a", value: fromHex("c0") });
    expect(card.files.get("50156c00")?.control).toContain("8608ffffffffff9090ff");
  });

  test("labels, identifiers and values are changed, and nothing else", async () => {
    const card = writableCard();
    const before = await contents(card);
    const { token } = await open(card);
    await token.setAttributes?.(await find(token, "certificate bb"), { label: "mine", id: fromHex("0102") });
    await token.setAttributes?.(await find(token, "note"), { value: fromHex("0a0b0c") });
    const { "certificate bb": value, ...rest } = before;
    expect(await contents(card)).toEqual({ ...rest, mine: value, note: "0a0b0c" });
    expect((await find((await open(card)).token, "mine")).id).toEqual(fromHex("0102"));
  });

  test("an object keeps its reference when its value, its identifier or its neighbours change", async () => {
    const card = writableCard();
    const twice = certificate("certificate bb", "aa", "34bb");
    card.files.set("50154404", {
      control: control(320),
      contents: padded(certificate("certificate aa", "aa", "34aa") + twice, 320),
    });
    const { token } = await open(card);
    const { reference } = await find(token, "note");
    const changed = await token.setAttributes?.(await find(token, "note"), { value: fromHex("dddddd") });
    expect([changed?.reference, (await find(token, "note")).reference]).toEqual([reference, reference]);
    const second = await find(token, "certificate bb");
    const first = await token.setAttributes?.(await find(token, "certificate aa"), { id: fromHex("77") });
    expect([first?.reference, first && toHex(first.id)]).toEqual(["certificate.aa", "77"]);
    expect((await find(token, "certificate bb")).reference).toBe(second.reference);
    if (first) await token.destroyObject?.(first);
    expect((await find(token, "certificate bb")).reference).toBe(second.reference);
  });

  test("what is deleted is gone, and its file with it if this driver made it", async () => {
    const card = writableCard();
    const { token } = await open(card);
    await token.createObject?.(newCertificate);
    const files = card.files.size;
    await token.destroyObject?.(await find(token, "new"));
    expect(card.files.size).toBe(files - 1);
    expect(Object.keys(await contents(card))).not.toContain("new");
  });

  test("the time of the last update goes on", async () => {
    const card = writableCard();
    const { token } = await open(card);
    const before = card.files.get("50155032")?.contents;
    await token.createObject?.(newCertificate);
    const after = card.files.get("50155032")?.contents ?? "";
    expect(after > (before ?? "")).toBe(true);
    await token.destroyObject?.(await find(token, "new"));
    expect((card.files.get("50155032")?.contents ?? "") > after).toBe(true);
  });

  test("the time of the last update goes on in the file that TokenInfo names for it", async () => {
    const card = writableCard();
    const info = tokenInfo("T");
    const named = "a508300604043f004200";
    const contents = `30${toHex(Uint8Array.of(info.length / 2 - 2 + named.length / 2))}${info.slice(4)}${named}`;
    card.files.set("50155032", { control: control(contents.length / 2), contents });
    card.files.set("4200", { control: control(17), contents: LAST_UPDATE.slice(4) });
    const { token } = await open(card);
    const count = await token.updateCount?.();
    await token.createObject?.(newCertificate);
    expect(card.files.get("50155032")?.contents).toBe(contents);
    expect((card.files.get("4200")?.contents ?? "") > LAST_UPDATE.slice(4)).toBe(true);
    expect(await token.updateCount?.()).not.toEqual(count);
  });

  test("takes its turn where several are under way at once, and no caller waits for ever", async () => {
    const card = writableCard();
    const { token } = await open(card);
    await Promise.all([
      token.createObject?.(newCertificate),
      token.createObject?.({ ...newCertificate, label: "second", id: fromHex("ee") }),
      token.destroyObject?.(await find(token, "certificate aa")),
      token.objects(),
    ]);
    const labels = Object.keys(await contents(card));
    expect(labels.slice(0, 4)).toEqual(["certificate bb", "certificate cc", "new", "second"]);
  });

  test("of two programs at once leaves what both wrote", async () => {
    const card = writableCard();
    const { readers, token } = await open(card);
    const [other] = (await pkcs15.claim(new Card(await readers.client().connect(READER)), "thorough"))?.tokens ?? [];
    await other?.login("user", utf8("1234"));
    const note = { class: "data", private: false, application: "a" } as const;
    await Promise.all([
      token.createObject?.({ ...note, label: "ours", value: fromHex("0101") }),
      other?.createObject?.({ ...note, label: "theirs", value: fromHex("0202") }),
    ]);
    expect(await contents(card)).toMatchObject({ ours: "0101", theirs: "0202" });
  });

  test("wants the login", async () => {
    const { token } = await open(writableCard(), false);
    await expect(token.createObject?.(newCertificate)).rejects.toThrow(LoginRequiredError);
  });

  test("wants no login anew of whose PIN the card has, and which is not the one that it wants", async () => {
    const [, token] = (await pkcs15.claim(await insert(await testPkcs15Card()), "thorough"))?.tokens ?? [];
    await token?.login("user", utf8("654321"));
    await expect(token?.createObject?.(newCertificate)).rejects.toThrow(UnsupportedError);
    await token?.logout();
    await expect(token?.createObject?.(newCertificate)).rejects.toThrow(LoginRequiredError);
  });

  test("leaves alone what is not modifiable", async () => {
    const card = writableCard();
    const cdf = card.files.get("50154404")?.contents ?? "";
    card.files.set("50154404", { control: control(cdf.length / 2), contents: cdf.replaceAll("03020640", "03020600") });
    const { token } = await open(card);
    await expect(token.destroyObject?.(await find(token, "certificate aa"))).rejects.toThrow(UnsupportedError);
  });

  test("leaves a broken directory alone", async () => {
    const card = writableCard();
    const cdf = card.files.get("50154404")?.contents ?? "";
    card.files.set("50154404", {
      control: control(cdf.length / 2),
      contents: `${cdf.slice(0, -20)}30830100000000000000`.slice(0, cdf.length),
    });
    const { token } = await open(card);
    const before = card.files.get("50154404");
    await expect(token.createObject?.({ ...newCertificate })).rejects.toThrow(UnsupportedError);
    expect(card.files.get("50154404")).toEqual(before);
  });
});

describe.each(OPERATIONS)("the card is pulled while %s", (_, operation) => {
  test("at any exchange, and is whole: as it was before, or as it is afterwards", async () => {
    const reference = writableCard();
    const before = await contents(reference);
    const { token } = await open(reference);
    reference.commands.length = 0;
    await operation(token);
    const exchanges = reference.commands.length;
    const after = await contents(reference);
    expect(after).not.toEqual(before);

    for (let at = 0; at < exchanges; at++) {
      const card = writableCard();
      const { readers, token: pulled } = await open(card);
      let left = at;
      card.before = () => {
        if (left-- > 0) return undefined;
        readers.eject(READER);
        return "pull";
      };
      await expect(operation(pulled)).rejects.toThrow();
      const found = await contents(card);
      expect([before, after]).toContainEqual(found);

      // The next write mends what was left: no file of this driver's is without an entry.
      const { token: again } = await open(card);
      await again.createObject?.({ ...newCertificate, label: "mending", id: fromHex("ee") });
      const leftover = await leftovers(card);
      expect(leftover).toEqual([]);
    }
  });
});

/** Files in the range of this driver that no directory names. */
async function leftovers(card: FileCard): Promise<string[]> {
  const { token } = await open(card, false);
  await token.objects();
  const named = [...card.files].map(([, { contents: bytes }]) => bytes).join(" ");
  return [...card.files.keys()].filter(
    (path) =>
      path.startsWith("50156c") && !named.includes(`0402${path.slice(4)}`) && !named.includes(`04063f00${path}`),
  );
}

/** The recorded card, which knows the commands that make its keys; its directories have no room to spare if `full`. */
function keyMakingCard(full = false): FileCard {
  const trimmed = ([path, file]: [string, CardFile]): [string, CardFile] => {
    const last = readElements(fromHex(file.contents), path).elements.at(-1);
    const contents = file.contents.slice(0, 2 * ((last?.offset ?? 0) + (last?.length ?? 0)));
    return [
      path,
      {
        contents,
        control: (file.control ?? "").replace(
          /8102..../u,
          `8102${(contents.length / 2).toString(16).padStart(4, "0")}`,
        ),
      },
    ];
  };
  const files = Object.entries(RECORDING.files).map((entry) =>
    full && entry[0].startsWith("50154") ? trimmed(entry) : entry,
  );
  const card = new FileCard({ ...RECORDING, files: Object.fromEntries(files) });
  for (const { command, answer } of RECORDING.exchanges["generate-rsa"] ?? [])
    card.script.set(withoutLe(command), answer);
  for (const number of ["00", "01", "02", "03"]) {
    card.script.set(`00224100068001f38401${number}`, "9000");
    card.script.set(`00224100068001ec8401${number}`, "9000");
  }
  return card;
}

async function openRecorded(card: FileCard): Promise<CardToken> {
  const { token } = await open(card, false);
  await token.login("user", utf8("123456"));
  return token;
}

const PAIR = {
  type: { type: "rsa", modulusBits: 2048 },
  id: fromHex("0a"),
  label: "w5rsa",
  usage: { sign: true, decrypt: true, derive: false },
} as const;

describe("making keys", () => {
  test.each([false, true])(
    "is done by the recorded commands, and lists the pair; directories full: %s",
    async (full) => {
      const card = keyMakingCard(full);
      const token = await openRecorded(card);
      const made = await token.generateKeyPair?.(PAIR);
      expect(card.commands).toContain("00224100068001f3840103");
      expect(made?.privateKey).toMatchObject({ label: "w5rsa", id: fromHex("0a"), local: true, private: true });
      const spki = (await made?.publicKey.publicKey()) ?? new Uint8Array();
      expect(createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }).asymmetricKeyType).toBe("rsa");
      const labels = (await token.objects()).map(({ label }) => label);
      expect(labels.filter((label) => label === "w5rsa")).toHaveLength(2);
      expect(labels).toHaveLength(10);
    },
  );

  test("leaves everything that was there, wherever the card is pulled, also where directories move", async () => {
    const whole = keyMakingCard(true);
    const before = Object.keys(await contents(whole)).sort();
    const token = await openRecorded(whole);
    await token.objects();
    whole.commands.length = 0;
    await token.generateKeyPair?.(PAIR);
    const exchanges = whole.commands.length;
    for (let at = 0; at < exchanges; at++) {
      const card = keyMakingCard(true);
      const { readers, token: pulled } = await open(card, false);
      await pulled.login("user", utf8("123456"));
      await pulled.objects();
      let left = at;
      card.before = () => {
        if (left-- > 0) return undefined;
        readers.eject(READER);
        return "pull";
      };
      await expect(pulled.generateKeyPair?.(PAIR)).rejects.toThrow();
      const found = Object.keys(await contents(card)).sort();
      expect([before, [...before, "w5rsa"].sort()]).toContainEqual(found);
    }
  });

  test("is refused under a CKA_ID that a key has already", async () => {
    const token = await openRecorded(keyMakingCard());
    await expect(token.generateKeyPair?.({ ...PAIR, id: fromHex("01") })).rejects.toThrow(UnsupportedError);
  });

  test("is refused for types that the card does not make", async () => {
    const token = await openRecorded(keyMakingCard());
    await expect(token.generateKeyPair?.({ ...PAIR, type: { type: "rsa", modulusBits: 1024 } })).rejects.toThrow(
      UnsupportedError,
    );
    await expect(token.generateKeyPair?.({ ...PAIR, type: { type: "ec", curve: "P-521" } })).rejects.toThrow(
      UnsupportedError,
    );
  });
});

describe("bringing keys to a card", () => {
  const imported = (privateKey: Uint8Array): Parameters<NonNullable<CardToken["createObject"]>>[0] => ({
    class: "private-key",
    label: "brought",
    id: fromHex("0b"),
    private: true,
    usage: { sign: true, decrypt: false, derive: false },
    alwaysAuthenticate: true,
    privateKey,
  });

  test.each([
    ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }), "7f48"],
    ["EC", generateKeyPairSync("ec", { namedCurve: "P-256" }), "e081"],
  ] as const)("%s: its parts go to the card, and the pair into the directories", async (_, pair, head) => {
    const card = keyMakingCard();
    const token = await openRecorded(card);
    const key = await token.createObject?.(imported(pair.privateKey.export({ format: "der", type: "pkcs8" })));
    expect(key).toMatchObject({ class: "private-key", label: "brought", local: false, alwaysAuthenticate: true });
    expect(card.put.slice(0, 4)).toBe(head);
    const spki = key?.class === "private-key" ? await key.publicKey() : new Uint8Array();
    expect(toHex(spki)).toBe(pair.publicKey.export({ format: "der", type: "spki" }).toString("hex"));
  });

  test("other keys are refused before anything is sent to the card", async () => {
    const card = keyMakingCard();
    const token = await openRecorded(card);
    card.commands.length = 0;
    const { privateKey } = generateKeyPairSync("ed25519");
    await expect(token.createObject?.(imported(privateKey.export({ format: "der", type: "pkcs8" })))).rejects.toThrow(
      UnsupportedError,
    );
    expect(card.commands).toEqual([]);
  });
});
