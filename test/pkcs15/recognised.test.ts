import { describe, expect, test } from "@jest/globals";
import { utf8, toHex } from "../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import type { CardApplication } from "../../src/card/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { certificate, dataObject, odf, path, pin, privateKey, text, tlv, tokenInfo } from "./directory-files.ts";
import { FileCard, insert, READER, RECORDING } from "./file-card.ts";

const PIN = pin({ label: "PIN", authId: "01", reference: "81" });
const URL_VALUE = "http://ca.example/c.cer";
const HEAD = (label: string): string => tlv("30", text(label), "03020640");

const files = (given: Readonly<Record<string, string>>): FileCard => {
  const all = Object.entries({ "50155032": tokenInfo("T"), ...given });
  return new FileCard({ files: Object.fromEntries(all.map(([id, contents]) => [id, { contents }])) });
};

const claim = async (card: FileCard): Promise<CardApplication> => {
  const application = await pkcs15.claim(await insert(card), "thorough");
  if (!application) throw new Error("no application");
  return application;
};

/** Runs `work` in a session with the card's first token, its user logged in. */
async function withSession<T>(card: FileCard, work: (cryptoki: Cryptoki, session: number) => Promise<T>): Promise<T> {
  card.script.set("002000810431323334", "9000");
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  await using cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [pkcs15] });
  await cryptoki.C_Initialize();
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, "1234");
  return await work(cryptoki, session);
}

async function find(cryptoki: Cryptoki, session: number, template: Template): Promise<readonly number[]> {
  await cryptoki.C_FindObjectsInit(session, template);
  const found = await cryptoki.C_FindObjects(session, 100);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}

describe("values that are somewhere else", () => {
  const at = (value: string): string => tlv("30", HEAD("far"), tlv("30", tlv("04", "07")), tlv("a1", tlv("30", value)));
  const plain = tlv("16", toHex(utf8(URL_VALUE)));
  const digested = tlv("a3", tlv("30", plain, tlv("30", tlv("30", "06052b0e03021a"), tlv("04", "00".repeat(20)))));

  test.each([
    ["at a URL", plain],
    ["at a URL, with a digest", digested],
  ])("a certificate %s is shown with CKA_URL and an empty CKA_VALUE", async (_, value) => {
    const card = files({ "50155031": odf({ a8: "4401", a4: "4404" }), "50154401": PIN, "50154404": at(value) });
    await withSession(card, async (cryptoki, session) => {
      const [object = 0] = await find(cryptoki, session, { [CKA.CLASS]: CKO.CERTIFICATE });
      const wanted = [CKA.LABEL, CKA.URL, CKA.VALUE, CKA.SUBJECT] as const;
      expect(await cryptoki.C_GetAttributeValue(session, object, wanted)).toMatchObject({
        [CKA.LABEL]: "far",
        [CKA.URL]: URL_VALUE,
        [CKA.VALUE]: new Uint8Array(),
        [CKA.SUBJECT]: new Uint8Array(),
      });
      await expect(cryptoki.C_GetAttributeValue(session, object, [CKA.START_DATE])).rejects.toThrow(/CKR_ATTRIBUTE/u);
    });
  });

  test("a data object at a URL, and an enveloped one, are reported and skipped", async () => {
    const data = tlv("30", HEAD("far"), tlv("30", text("a")), tlv("a1", plain));
    const card = files({
      "50155031": odf({ a8: "4401", a4: "4404", a7: "4406" }),
      "50154401": PIN,
      "50154404":
        at(tlv("a2", "020100")) + tlv("a1", HEAD("pgp"), tlv("30", tlv("04", "08")), tlv("a1", tlv("30", plain))),
      "50154406": data + dataObject("note", "4301"),
      "50154301": "a0",
    });
    const found = await claim(card);
    expect((await found.tokens[0]?.objects())?.map(({ label }) => label)).toEqual(["note"]);
    expect(found.findings?.()).toMatchObject([
      { where: "certificate far", problem: expect.stringContaining("enveloped") as unknown },
      { where: "certificate pgp", problem: "is not X.509" },
      { where: "data object far", problem: expect.stringContaining(URL_VALUE) as unknown },
    ]);
  });
});

describe("authentication objects that are no PINs", () => {
  // BiometricAttributes: flags, template identifier, biometric type; AuthKeyAttributes: derived key, key identifier.
  const biometric = tlv(
    "a0",
    HEAD("finger"),
    tlv("30", tlv("04", "0b")),
    tlv("a1", tlv("30", "03020780", "06032a0304", "0a0101")),
  );
  const authKey = tlv(
    "a1",
    HEAD("reader key"),
    tlv("30", tlv("04", "0c")),
    tlv("a1", tlv("30", "0101ff", tlv("04", "09"))),
  );
  const external = tlv("a2", HEAD("terminal"), tlv("30", tlv("04", "0d")), tlv("a1", tlv("30", tlv("04", "09"))));

  test("make no tokens, and no objects that they guard a riddle", async () => {
    const card = files({
      "50155031": odf({ a8: "4401", a0: "4402" }),
      "50154401": biometric + PIN + authKey + external,
      "50154402": [
        ["by PIN", "01"],
        ["by finger", "0b"],
        ["by key", "0c"],
        ["by terminal", "0d"],
      ]
        .map(([label = "", authId = ""], index) => privateKey({ label, authId, id: `0${index}` }))
        .join(""),
    });
    const found = await claim(card);
    expect(found.tokens).toHaveLength(1);
    expect((await found.tokens[0]?.info())?.pin.label).toBe("PIN");
    expect(await found.tokens[0]?.objects()).toHaveLength(4);
    expect(found.findings?.()).toEqual([]);
  });
});

describe("several applications on one card", () => {
  const application = (label: string, id: string, reference: string): Record<string, string> => ({
    [`${id}5031`]: odf({ a8: "4401", a0: "4402", a4: "4404" }),
    [`${id}5032`]: tokenInfo(label),
    [`${id}4401`]: pin({ label: `${label} PIN`, authId: "01", reference }),
    [`${id}4402`]: privateKey({ label: `${label} key`, id: "01", authId: "01", path: `3f00${id}` }),
    [`${id}4404`]: certificate(`${label} certificate`, "01", "3401"),
    [`${id}3401`]: RECORDING.files[`5015340${label === "one" ? 0 : 1}`]?.contents ?? "",
  });
  const template = (id: string): string => tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", `3f00${id}`));

  test("in EF.DIR are tokens of their own, each with its own files", async () => {
    const card = files({
      "2f00": template("4d01") + tlv("61", tlv("4f", "a000000003000000")) + template("4d02"),
      ...application("one", "4d01", "81"),
      ...application("two", "4d02", "82"),
    });
    const found = await claim(card);
    const seen: unknown[] = [];
    for (const token of found.tokens) {
      const {
        label,
        pin: { label: own },
      } = await token.info();
      const objects = await token.objects();
      const stored = objects.find((object) => object.class === "certificate");
      const value = stored?.class === "certificate" ? await stored.value() : undefined;
      seen.push([label, own, objects.map((object) => object.label), value?.length]);
    }
    const length = (file: string): number => (RECORDING.files[file]?.contents.length ?? 0) / 2;
    expect(seen).toEqual([
      ["one", "one PIN", ["one key", "one certificate"], length("50153400")],
      ["two", "two PIN", ["two key", "two certificate"], length("50153401")],
    ]);
    expect(found.findings?.()).toEqual([]);
  });

  test("one that is nowhere does not hide the other, and a wrong template is reported", async () => {
    const card = files({
      "2f00": template("dead") + tlv("61", "5103") + template("4d02"),
      ...application("two", "4d02", "82"),
    });
    const found = await claim(card);
    expect(found.tokens).toHaveLength(1);
    expect((await found.tokens[0]?.info())?.label).toBe("two");
    expect(found.findings?.()).toMatchObject([{ where: expect.stringMatching(/^EF.DIR, at \d+$/u) as unknown }]);
  });
});

describe("what a key's directory says of its past", () => {
  /** An RSA key with KeyAccessFlags: sensitive, extractable, alwaysSensitive, neverExtractable, local. */
  const key = (access: string): string =>
    tlv(
      "30",
      tlv("30", text("k"), "03020780", tlv("04", "01")),
      tlv("30", tlv("04", "01"), "03020520", access, "020101"),
      tlv("a1", tlv("30", path("3f005015"), "02020800")),
    );

  test.each([
    ["made on the card", "030203b8", { local: true, always: true, never: true }],
    ["brought, and never out since", "03020490", { local: false, always: false, never: true }],
    ["made by the card, which once showed it", "03020388", { local: true, always: false, never: false }],
    ["of which nothing is said", "", { local: false, always: false, never: false }],
  ])("%s", async (_, access, { local, always, never }) => {
    const card = files({ "50155031": odf({ a8: "4401", a0: "4402" }), "50154401": PIN, "50154402": key(access) });
    await withSession(card, async (cryptoki, session) => {
      const [object = 0] = await find(cryptoki, session, { [CKA.CLASS]: CKO.PRIVATE_KEY });
      const wanted = [CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.SENSITIVE, CKA.EXTRACTABLE] as const;
      expect(await cryptoki.C_GetAttributeValue(session, object, wanted)).toEqual({
        [CKA.LOCAL]: local,
        [CKA.ALWAYS_SENSITIVE]: always,
        [CKA.NEVER_EXTRACTABLE]: never,
        // What the card says of that, this driver keeps: no key leaves it here.
        [CKA.SENSITIVE]: true,
        [CKA.EXTRACTABLE]: false,
      });
    });
  });
});
