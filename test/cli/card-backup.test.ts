import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { Card } from "../../src/card/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { newDkekShare, pkcs15 } from "../../src/pkcs15/index.ts";
import { CKU } from "../../src/cryptoki/index.ts";
import { loadCard, VirtualSmartCardHsm } from "../../src/virtual/index.ts";
import { decodeImage } from "../../src/virtual/smartcard-hsm/image.ts";
import type { CardToken } from "../../src/card/index.ts";
import { rig } from "../cryptoki/rig.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const SO_PIN = "3537363231383830";
const PIN = { env: { CRYPTOKI_PIN: "648219" } };
const SHARE = newDkekShare();

/** A card in service, with this DKEK; `fill` puts objects on it. */
async function hsm(share: Uint8Array | undefined, fill?: (token: CardToken) => Promise<void>): Promise<string> {
  const virtual = await VirtualSmartCardHsm.create();
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", virtual);
  await using card = new Card(await readers.client().connect("Reader"));
  const claimed = async (): Promise<CardToken> => {
    const [token] = (await pkcs15.claim(card, "thorough"))?.tokens ?? [];
    if (!token) throw new Error("no token");
    return token;
  };
  const variables = new Map([["pin", PIN.env.CRYPTOKI_PIN], ...(share ? [["dkek-shares", "1"] as const] : [])]);
  await (await claimed()).initToken?.(utf8(SO_PIN), "Lab", variables);
  const token = await claimed();
  if (share) await token.keyWrapping?.importShare(share);
  await token.login("user", utf8(PIN.env.CRYPTOKI_PIN));
  await fill?.(token);
  return virtual.image();
}

async function withObjects(token: CardToken): Promise<void> {
  await token.generateKeyPair?.({ type: { type: "ec", curve: "P-256" }, id: Uint8Array.of(7), label: "signer" });
  await token.generateKeyPair?.({ type: { type: "rsa", modulusBits: 2048 }, id: Uint8Array.of(8), label: "reader" });
  const data = { class: "data", label: "note", application: "test", value: utf8("a note") } as const;
  await token.createObject?.({ ...data, private: false });
  await token.createObject?.({ ...data, label: "hidden", private: true });
}

let images: { readonly full: string; readonly empty: string; readonly other: string; readonly closed: string };
let folder: string;
const file = (name: string): string => path.join(folder, name);
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "card-backup-"));
  images = {
    full: await hsm(SHARE, withObjects),
    empty: await hsm(SHARE),
    other: await hsm(newDkekShare()),
    closed: await hsm(undefined, withObjects),
  };
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  for (const [name, image] of Object.entries(images)) writeFileSync(file(name), image);
});

const on = (card: string, args: readonly string[], given: Given = PIN): Promise<Outcome> =>
  cryptoki(["--virtual", file(card), ...args, "--json"], given);
const backup = async (card: string): Promise<unknown> =>
  json(await on(card, ["card", "backup", file("backup.json"), "--force"]));

async function signs(card: string): Promise<void> {
  const [message, signature] = [file("message"), file("signature")];
  writeFileSync(message, "message");
  expect(await on(card, ["sign", "--id", "07", message, "--output", signature, "--force"])).toMatchObject({ code: 0 });
  expect(await on("full", ["verify", "--id", "07", message, "--signature", signature])).toMatchObject({ code: 0 });
}

describe("card backup and card restore", () => {
  test("make the same keys usable on a second card, with the data objects; the same once more writes nothing", async () => {
    expect(await backup("full")).toMatchObject({ keys: 2, data: 2, left: [] });
    expect(json(await on("empty", ["card", "restore", file("backup.json")]))).toEqual({ written: 4, present: 0 });
    await signs("empty");
    expect(json(await on("empty", ["card", "restore", file("backup.json")]))).toEqual({ written: 0, present: 4 });
    expect(decodeImage(readFileSync(file("empty"), "utf8")).keys.size).toBe(2);
  });

  test("complete a restoration that was interrupted after any change of the card", async () => {
    await backup("full");
    // What a card that was pulled out has: a part of the files and keys of the full one.
    expect(await on("empty", ["card", "restore", file("backup.json")])).toMatchObject({ code: 0 });
    const whole = decodeImage(readFileSync(file("empty"), "utf8"));
    const image = JSON.parse(readFileSync(file("empty"), "utf8")) as { files: object; keys: object };
    for (const missing of ["c401 cc01 ce01", "cc01 ce01", "ce01", "c901", "cf01 c901"]) {
      const gone = missing.split(" ");
      const files = Object.fromEntries(Object.entries(image.files).filter(([id]) => !gone.includes(id)));
      const keys = Object.fromEntries(Object.entries(image.keys).filter(([number]) => !gone.includes(`cc0${number}`)));
      writeFileSync(file("torn"), JSON.stringify({ ...image, files, keys }));
      expect(json(await on("torn", ["card", "restore", file("backup.json")]))).toMatchObject({ written: 1 });
      const { keys: present } = decodeImage(readFileSync(file("torn"), "utf8"));
      expect(present.size).toBe(whole.keys.size);
      await signs("torn");
    }
  });

  test("are refused for a card with another DKEK, and for one without any; no try of the PIN is spent", async () => {
    await backup("full");
    for (const [card, message] of [
      ["other", /another DKEK/u],
      ["closed", /another key with the CKA_ID 07/u],
    ] as const) {
      expect(jsonError(await on(card, ["card", "restore", file("backup.json")]))).toMatchObject({
        message: expect.stringMatching(message),
      });
      const { security } = decodeImage(readFileSync(file(card), "utf8"));
      expect(security?.pin.tries).toBe(3);
    }
  });

  test("say which keys stay on the card, and copy the rest", async () => {
    expect(await backup("closed")).toMatchObject({
      keys: 0,
      data: 2,
      left: [
        { class: "private-key", label: "signer", reason: expect.stringContaining("cannot leave it") },
        { class: "private-key", label: "reader" },
      ],
    });
    writeFileSync(file("eid"), (await testPkcs15Card()).image());
    const eid = await on(
      "eid",
      ["--token", "pkcs11:token=Virtual%20eID%20%28PIN%29", "card", "backup", file("eid.json")],
      {
        env: { CRYPTOKI_PIN: "123456" },
      },
    );
    expect(json(eid)).toMatchObject({
      keys: 0,
      left: [{ reason: expect.stringContaining("this make of card") }, { class: "private-key" }],
    });
  });

  test.each([
    ["{}", /not a backup/u],
    ["no JSON", /not JSON/u],
    ['{"format":"cryptoki-card-backup","version":2}', /version 2/u],
    [
      '{"format":"cryptoki-card-backup","version":1,"keys":[{}],"certificates":[],"data":[]}',
      /keys\[0\] has no text "id"/u,
    ],
  ])("take no file that is none: %s", async (text, message) => {
    writeFileSync(file("bad.json"), text);
    expect(jsonError(await on("empty", ["card", "restore", file("bad.json")]))).toMatchObject({
      message: expect.stringMatching(message),
    });
  });

  test("replace no file without --force", async () => {
    writeFileSync(file("kept.json"), "kept");
    expect(jsonError(await on("full", ["card", "backup", file("kept.json")]))).toMatchObject({
      message: expect.stringContaining("--force"),
    });
    expect(readFileSync(file("kept.json"), "utf8")).toBe("kept");
  });
});

describe("commands for a card's beginning and end", () => {
  test("dkek init initialises a SmartCard-HSM, and shares complete it", async () => {
    expect(await cryptoki(["virtual", "create", file("new"), "--profile", "smartcard-hsm"])).toMatchObject({ code: 0 });
    const env = { CRYPTOKI_SO_PIN: SO_PIN, CRYPTOKI_NEW_PIN: "648219" };
    const init = ["dkek", "init", "--shares", "2", "--label", "Backup", "--yes"];
    expect(json(await on("new", init, { env }))).toEqual({ label: "Backup", shares: 2 });
    expect(json(await on("new", ["dkek", "status"]))).toEqual({ shares: 2, missing: 2, checkValue: null });
    expect(decodeImage(readFileSync(file("new"), "utf8")).security?.pin.tries).toBe(3);
    rmSync(file("new"));
  });

  test.each([
    ["myeid", "87654321", "87654321"],
    ["iso-applet", "1234567890123456", "123456"],
  ])("token reset empties a %s with its PIN", async (profile, officer, eraser) => {
    expect(await cryptoki(["virtual", "create", file("new"), "--profile", profile])).toMatchObject({ code: 0 });
    const virtual = await loadCard(file("new"));
    await using made = await rig(virtual, [pkcs15]);
    await made.cryptoki.C_InitToken(await made.slot(), officer, "Mine");
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, officer);
    await made.cryptoki.C_InitPIN(session, "123456");
    await made.cryptoki.C_CloseSession(session);
    const wrong = await on("new", ["token", "reset", "--yes"], { env: { CRYPTOKI_PIN: "99999999" } });
    expect(jsonError(wrong)).toMatchObject({ exitCode: 4 });
    expect(json(await on("new", ["token", "reset", "--yes"], { env: { CRYPTOKI_PIN: eraser } }))).toEqual({
      token: "Mine",
      reset: true,
    });
    expect((json(await on("new", ["tokens"])) as [{ label: string }])[0]).toMatchObject({ label: "" });
    rmSync(file("new"));
  });
});

describe("dkek status", () => {
  test("shows the shares and the check value, which is the same on both cards", async () => {
    const [one, two] = [json(await on("full", ["dkek", "status"])), json(await on("empty", ["dkek", "status"]))];
    expect(one).toMatchObject({ shares: 1, missing: 0 });
    expect(one).toEqual(two);
    expect(jsonError(await on("closed", ["dkek", "status"]))).toMatchObject({
      message: expect.stringContaining("without DKEK shares"),
    });
  });

  test("dkek import says that no share is missing before it asks for a password, and dkek create wants both numbers", async () => {
    writeFileSync(file("share.pbe"), new Uint8Array(64));
    expect(jsonError(await on("full", ["dkek", "import", file("share.pbe")]))).toMatchObject({
      message: expect.stringContaining("has all its DKEK shares"),
    });
    expect(jsonError(await on("full", ["dkek", "create", file("new.pbe"), "--threshold", "2"]))).toMatchObject({
      message: expect.stringContaining("belong together"),
    });
    expect(
      jsonError(await on("full", ["dkek", "create", file("new.pbe"), "--threshold", "4", "--total", "3"])),
    ).toMatchObject({
      message: expect.stringContaining("can never be presented"),
    });
  });
});
