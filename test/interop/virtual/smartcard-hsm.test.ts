import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../../src/bytes/index.ts";
import type { CardPrivateKey, CardToken, KeyWrapping } from "../../../src/card/index.ts";
import { Card } from "../../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { MemoryReaders, Pcscd } from "../../../src/pcsc/index.ts";
import { newDkekShare, pkcs15 } from "../../../src/pkcs15/index.ts";
import { VirtualSmartCardHsm } from "../../../src/virtual/index.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const SO_PIN = "3537363231383830";
const PIN = "648219";
const MESSAGE = utf8("message");
const P256 = fromHex("06082a8648ce3d030107");
const SHARES = [newDkekShare(), newDkekShare()] as const;
const CHECK_VALUE = createHash("sha256")
  .update(SHARES[0].map((octet, at) => octet ^ (SHARES[1][at] ?? 0)))
  .digest("hex")
  .slice(0, 16);

/** The token of a card in this process, with both shares, and its user logged in. */
async function secondCard(): Promise<CardToken> {
  const readers = new MemoryReaders();
  readers.plug("Second");
  readers.insert("Second", await VirtualSmartCardHsm.create());
  const card = new Card(await readers.client().connect("Second"));
  const initialised = async (): Promise<CardToken> => {
    const [token] = (await pkcs15.claim(card, "thorough"))?.tokens ?? [];
    if (!token) throw new Error("no token");
    return token;
  };
  const blank = await initialised();
  const variables = new Map([
    ["dkek-shares", "2"],
    ["pin", PIN],
  ]);
  await blank.initToken?.(utf8(SO_PIN), "Second", variables);
  const token = await initialised();
  for (const share of SHARES) await wrappingOf(token).importShare(share);
  await token.login("user", utf8(PIN));
  return token;
}

function wrappingOf({ keyWrapping }: CardToken): KeyWrapping {
  if (!keyWrapping) throw new Error("no key wrapping");
  return keyWrapping;
}

async function keyOf(token: CardToken, id: string): Promise<CardPrivateKey> {
  const found = (await token.objects()).find((object) => object.class === "private-key" && toHex(object.id) === id);
  if (found?.class !== "private-key") throw new Error(`no key ${id}`);
  return found;
}

/** Signs with a key of a token, and verifies with another's public half. */
async function expectSame(token: CardToken, id: string, publicKey: KeyObject): Promise<void> {
  const hash = createHash("sha256").update(MESSAGE).digest();
  const signature = await token.use(await keyOf(token, id), "ecdsa", hash);
  expect(verify("sha256", MESSAGE, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
}

describe("the virtual SmartCard-HSM, in a reader of pcscd", () => {
  let card: PluggedIn;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);

  beforeAll(async () => {
    requirePrograms("sc-hsm-tool", "pkcs15-tool", "pkcs11-tool", "pkcs15-init");
    folder = await mkdtemp(path.join(os.tmpdir(), "smartcard-hsm-"));
    card = await plugIn(await VirtualSmartCardHsm.create(), "Virtual PCD");
  });
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs `work` with our library, which is gone afterwards. */
  async function withOurs<T>(work: (cryptoki: Cryptoki, slot: number) => Promise<T>): Promise<T> {
    const pcsc = new Pcscd();
    try {
      await using cryptoki = new Cryptoki({ pcsc, profiles: [pkcs15] });
      await cryptoki.C_Initialize();
      const [slot = -1] = await cryptoki.C_GetSlotList(true);
      return await work(cryptoki, slot);
    } finally {
      await pcsc.close();
    }
  }

  async function withToken<T>(work: (token: CardToken) => Promise<T>): Promise<T> {
    const pcsc = new Pcscd();
    try {
      const [reader] = await pcsc.readers();
      await using connected = new Card(await pcsc.connect(reader?.name ?? ""));
      const [token] = (await pkcs15.claim(connected, "thorough"))?.tokens ?? [];
      if (!token) throw new Error("no token");
      await token.login("user", utf8(PIN));
      return await work(token);
    } finally {
      await pcsc.close();
    }
  }

  const publicKey = async (id: string): Promise<KeyObject> =>
    createPublicKey(await card.succeed("pkcs15-tool", "--read-public-key", id));
  const theirKey = (id: string): Promise<string> =>
    card.succeed(
      "pkcs11-tool",
      ...["--login", "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--id", id],
    );

  test("initialised by sc-hsm-tool for two shares, gets them from us, and the tool says the same check value", async () => {
    const made = ["--initialize", "--so-pin", SO_PIN, "--pin", PIN, "--dkek-shares", "2", "--label", "Theirs"];
    await card.succeed("sc-hsm-tool", ...made);
    await withToken(async (token) => {
      expect((await token.info()).label).toBe("Theirs");
      expect(await wrappingOf(token).state()).toMatchObject({ shares: 2, outstanding: 2 });
      for (const share of SHARES) await wrappingOf(token).importShare(share);
      await expect(wrappingOf(token).importShare(SHARES[0])).rejects.toThrow("has all its DKEK shares");
      expect(toHex((await wrappingOf(token).state())?.checkValue ?? new Uint8Array())).toBe(CHECK_VALUE);
    });
    const status = await card.succeed("sc-hsm-tool");
    expect(status).toContain(`DKEK key check value : ${CHECK_VALUE.toUpperCase()}`);
  });

  test("a key that sc-hsm-tool wrapped is unwrapped by us on another card, and signs there", async () => {
    await theirKey("11");
    await card.succeed("sc-hsm-tool", "--wrap-key", file("theirs"), "--key-reference", "1", "--pin", PIN);
    const token = await secondCard();
    await wrappingOf(token).unwrap(new Uint8Array(await readFile(file("theirs"))));
    await expectSame(token, "11", await publicKey("11"));
  });

  test("a key that we made and wrapped elsewhere is unwrapped by sc-hsm-tool, and signs for pkcs11-tool", async () => {
    const token = await secondCard();
    const type = { type: "ec", curve: "P-256" } as const;
    const pair = await token.generateKeyPair?.({ type, id: fromHex("12"), label: "ours" });
    const spki = (await pair?.publicKey.publicKey()) ?? new Uint8Array();
    await writeFile(file("ours"), await wrappingOf(token).wrap(await keyOf(token, "12")));
    await card.succeed("sc-hsm-tool", "--unwrap-key", file("ours"), "--key-reference", "5", "--pin", PIN);
    await writeFile(file("hash"), createHash("sha256").update(MESSAGE).digest());
    const sign = ["--login", "--pin", PIN, "--sign", "-m", "ECDSA", "--id", "12", "-i", file("hash")];
    await card.succeed("pkcs11-tool", ...sign, "-o", file("signature"));
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    const signature = await readFile(file("signature"));
    expect(verify("sha256", MESSAGE, { key, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
    expect((await publicKey("12")).equals(key)).toBe(true);
  });

  test("initialised by us, has its PINs changed and a key made and deleted by OpenSC, and we see it", async () => {
    await withOurs(async (cryptoki, slot) => {
      await cryptoki.C_InitToken(slot, SO_PIN, "Ours");
      const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
      await cryptoki.C_Login(session, CKU.SO, SO_PIN);
      await cryptoki.C_InitPIN(session, PIN);
    });
    expect(await card.succeed("pkcs15-tool", "--list-info")).toContain("Ours");
    await card.succeed("pkcs11-tool", "--login", "--pin", PIN, "--change-pin", "--new-pin", "another1");
    const officer = ["--login", "--login-type", "so", "--so-pin", SO_PIN];
    await card.succeed("pkcs11-tool", ...officer, "--init-pin", "--new-pin", PIN);
    await theirKey("21");
    const theirs = await publicKey("21");
    await withOurs(async (cryptoki, slot) => {
      const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
      await cryptoki.C_Login(session, CKU.USER, PIN);
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: fromHex("21") });
      const [key = -1] = await cryptoki.C_FindObjects(session, 2);
      await cryptoki.C_FindObjectsFinal(session);
      await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
      const signature = await cryptoki.C_Sign(session, MESSAGE);
      expect(verify("sha256", MESSAGE, { key: theirs, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
      const common = { [CKA.TOKEN]: true, [CKA.ID]: fromHex("22"), [CKA.LABEL]: "made here" };
      await cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        { ...common, [CKA.EC_PARAMS]: P256, [CKA.VERIFY]: true },
        { ...common, [CKA.PRIVATE]: true, [CKA.SIGN]: true },
      );
    });
    expect(await card.succeed("pkcs15-tool", "--list-keys")).toContain("[made here]");
    await card.succeed("pkcs11-tool", "--login", "--pin", PIN, "--delete-object", "--type", "privkey", "--id", "22");
    expect(await card.succeed("pkcs15-tool", "--list-keys")).not.toContain("[made here]");
    await withToken(async (token) => {
      await expect(keyOf(token, "22")).rejects.toThrow("no key 22");
      // It was initialised without shares.
      expect(await wrappingOf(token).state()).toBeUndefined();
      await expect(wrappingOf(token).wrap(await keyOf(token, "21"))).rejects.toThrow("its keys cannot leave it");
    });
  });
});
