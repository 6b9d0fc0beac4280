import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardApplication, CardPrivateKey, CardToken } from "../../src/card/index.ts";
import { LoginRequiredError, UnsupportedError } from "../../src/card/index.ts";
import { CKU } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { READER, Rig } from "../cryptoki/rig.ts";
import { certificate, dataObject, odf, pin, privateKey, tokenInfo } from "./directory-files.ts";
import { FileCard, insert, type Quirks, RECORDING } from "./file-card.ts";

const AID = "a000000063504b43532d3135";

const PINS = [
  pin({ label: "PIN 1", authId: "01", reference: "81", puk: "11" }),
  pin({ label: "PIN 2", authId: "02", reference: "82", puk: "12", path: "3f005015" }),
  // unblockingPassword, and unblockingPassword with soPassword.
  pin({ label: "PUK 1", authId: "11", reference: "91", flags: "010a" }),
  pin({ label: "PUK 2", authId: "12", reference: "92", flags: "000b" }),
];

function twoPinCard(quirks: Quirks = {}): FileCard {
  return new FileCard({
    aid: AID,
    quirks,
    files: {
      "50155031": { contents: odf({ a8: "4401", a0: "4402", a4: "4404", a5: "4405", a7: "4406" }) },
      "50155032": { contents: tokenInfo("eID") },
      "50154401": { contents: PINS.join("") },
      "50154402": {
        contents: [
          privateKey({ label: "auth", id: "45", authId: "01", reference: "01", usage: "0224" }),
          privateKey({ label: "sign", id: "46", authId: "02", reference: "02", consent: 1 }),
        ].join(""),
      },
      "50154404": { contents: certificate("auth", "45", "3401") + certificate("sign", "46", "3402") },
      "50154405": { contents: certificate("root", "ca", "3403") },
      "50154406": { contents: dataObject("note", "4301") + dataObject("secret", "4302", "02") },
      "50153401": { contents: RECORDING.files["50153400"]?.contents ?? "" },
    },
  });
}

interface Opened {
  readonly card: FileCard;
  readonly application: CardApplication;
  readonly tokens: readonly CardToken[];
}

async function open(card = twoPinCard()): Promise<Opened> {
  const application = await pkcs15.claim(await insert(card), "thorough");
  if (!application) throw new Error("no application");
  return { card, application, tokens: application.tokens };
}

async function key(token: CardToken | undefined, label: string): Promise<CardPrivateKey> {
  const found = (await token?.objects())?.find((object) => object.class === "private-key" && object.label === label);
  if (found?.class !== "private-key") throw new Error(`no key ${label}`);
  return found;
}

describe("a card with two PINs", () => {
  test("is two tokens, each with what its PIN guards", async () => {
    const { tokens } = await open();
    const contents = await Promise.all(
      tokens.map(async (token) => (await token.objects()).map(({ reference }) => reference)),
    );
    expect(contents).toEqual([
      ["private-key.45", "certificate.45", "certificate.ca", "data.4301"],
      ["private-key.46", "certificate.46", "data.4302"],
    ]);
    const infos = await Promise.all(tokens.map((token) => token.info()));
    expect(infos.map(({ label, pin: { label: name }, puk }) => [label, name, puk?.label])).toEqual([
      ["eID", "PIN 1", "PUK 1"],
      ["eID", "PIN 2", "PUK 2"],
    ]);
  });

  test("tells of flags that contradict each other", async () => {
    const { application } = await open();
    expect(application.findings?.()).toMatchObject([
      { where: "PUK 2", problem: expect.stringContaining("both") as unknown },
    ]);
  });

  test("a key that wants the user's consent is told as such", async () => {
    const { tokens } = await open();
    expect(await key(tokens[1], "sign")).toMatchObject({ alwaysAuthenticate: true, needsLogin: true });
    expect(await key(tokens[0], "auth")).toMatchObject({ alwaysAuthenticate: false });
  });

  test("each PIN opens its own token's keys", async () => {
    const { card, tokens } = await open();
    card.script.set("002000810431323334", "9000");
    await tokens[0]?.login("user", utf8("1234"));
    const [first, second] = [await key(tokens[0], "auth"), await key(tokens[1], "sign")];
    card.script.set("002241b60781025015840101", "9000");
    card.script.set(`002a9e9a14${"11".repeat(20)}`, `${"ab".repeat(256)}9000`);
    const digest = new Uint8Array(20).fill(0x11);
    expect(toHex((await tokens[0]?.use(first, "rsa-pkcs1", digest)) ?? new Uint8Array())).toBe("ab".repeat(256));
    await expect(tokens[1]?.use(second, "rsa-pkcs1", digest)).rejects.toThrow(LoginRequiredError);
  });

  test("a PIN is changed and unblocked by the references that the AODF names", async () => {
    const { card, tokens } = await open();
    card.script.set("0024008108" + "3132333435363738", "9000");
    await tokens[0]?.changePin?.("user", utf8("1234"), utf8("5678"));
    card.script.set("002c00820c" + "383838383838383834333231", "9000");
    await tokens[1]?.unlockPin?.(utf8("88888888"), utf8("4321"));
    card.script.set("002c00820c" + "373737373737373734333231", "63c2");
    await expect(tokens[1]?.unlockPin?.(utf8("77777777"), utf8("4321"))).rejects.toMatchObject({
      reason: "incorrect",
      triesLeft: 2,
      message: expect.stringContaining("PUK 2") as unknown,
    });
  });

  test("no PIN is sent to a card when the other one of a change cannot be", async () => {
    const { card, tokens } = await open();
    await tokens[0]?.objects();
    card.commands.length = 0;
    await expect(tokens[0]?.changePin?.("user", utf8("1234"), utf8("12"))).rejects.toMatchObject({ reason: "length" });
    await expect(tokens[0]?.unlockPin?.(utf8("1"), utf8("4321"))).rejects.toMatchObject({ reason: "length" });
    expect(card.commands).toEqual([]);
  });

  test.each([
    ["63c2", { triesLeft: 2, verified: false }],
    ["6983", { triesLeft: 0, verified: false }],
    ["9000", { triesLeft: undefined, verified: true }],
    ["6700", { triesLeft: undefined, verified: false }],
  ])("an empty VERIFY answered by %s", async (answer, expected) => {
    const { card, tokens } = await open();
    card.script.set("00200081", answer);
    expect(await tokens[0]?.pinStatus("user")).toMatchObject(expected);
  });

  test("a wrong PIN and a blocked one are told with the tries left", async () => {
    const { card, tokens } = await open();
    card.script.set("002000810431323334", "63c1");
    await expect(tokens[0]?.login("user", utf8("1234"))).rejects.toMatchObject({ reason: "incorrect", triesLeft: 1 });
    card.script.set("002000810431323334", "6983");
    await expect(tokens[0]?.login("user", utf8("1234"))).rejects.toMatchObject({ reason: "blocked", triesLeft: 0 });
  });

  test("has no security officer", async () => {
    const { tokens } = await open();
    await expect(tokens[0]?.login("so", utf8("1234"))).rejects.toThrow(UnsupportedError);
  });

  test("says so to C_Login: no such user type, and no PIN is sent", async () => {
    await using made = new Rig([pkcs15]);
    made.readers.plug(READER);
    made.insert(twoPinCard());
    await made.cryptoki.C_Initialize();
    const session = await made.session();
    const { commands } = made;
    await expect(made.cryptoki.C_Login(session, CKU.SO, "1234")).rejects.toMatchObject({
      code: "CKR_USER_TYPE_INVALID",
      message: expect.stringContaining(
        "the card has no PIN of a security officer for this token; log in as user",
      ) as unknown,
    });
    expect(commands.filter((command) => command.startsWith("0020"))).toEqual([]);
  });
});

test("a card without PINs is one token", async () => {
  const card = twoPinCard();
  card.files.set("50154401", { contents: "" });
  const { tokens } = await open(card);
  expect(tokens).toHaveLength(1);
  expect(await tokens[0]?.objects()).toHaveLength(7);
});

test("a card of another kind is left alone after a few questions", async () => {
  const card = new FileCard({ aid: "a000000003000000", files: {} });
  expect(await pkcs15.claim(await insert(card), "thorough")).toBeUndefined();
  expect(card.commands.length).toBeLessThanOrEqual(5);
});
