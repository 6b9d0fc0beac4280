import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { Card, type CardPrivateKey, type CardToken, isKeyResult } from "../../src/card/index.ts";
import { digestInfo } from "../../src/crypto/index.ts";
import { type CardConnection, MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { FileCard, insert, READER, RECORDING, recordedCard, withoutLe } from "./file-card.ts";
import { rebuiltCard } from "./rebuilt-card.ts";
import { WatchedCard } from "./watched-card.ts";

const PIN = utf8("123456");
const DIGEST = fromHex(RECORDING.exchanges["sign-rsa"]?.at(-1)?.command.slice(48, 112) ?? "");
const INPUT = digestInfo("sha256", DIGEST);

/** What the commands are that a use of the key is made of. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ["00a4", "SELECT"],
  ["00b0", "READ"],
  ["0020", "VERIFY"],
  ["0022", "MSE"],
  ["002a", "PSO"],
]);
const kinds = (card: FileCard): (string | undefined)[] =>
  card.commands.map((command) => (command.startsWith("00a404") ? "SELECT by name" : KINDS.get(command.slice(0, 4))));

interface Rig {
  readonly card: FileCard;
  readonly readers: MemoryReaders;
  readonly connected: Card;
  readonly token: CardToken;
  readonly key: CardPrivateKey;
  readonly other: () => Promise<CardConnection>;
}

async function rig(card = recordedCard()): Promise<Rig> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const connected = new Card(await readers.client({ patience: 200 }).connect(READER));
  const [token] = (await pkcs15.claim(connected, "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  const key = (await token.objects()).find((object) => object.class === "private-key" && object.label === "RSA cert");
  if (key?.class !== "private-key") throw new Error("no key");
  await token.login("user", PIN);
  await token.use(key, "rsa-pkcs1", INPUT);
  card.commands.length = 0;
  return { card, readers, connected, token, key, other: () => readers.client({ patience: 200 }).connect(READER) };
}

describe("the cached card state", () => {
  test("is trusted while no other program is connected", async () => {
    const { card, token, key } = await rig();
    await token.use(key, "rsa-pkcs1", INPUT);
    expect(kinds(card)).toEqual(["PSO"]);
  });

  test("is queried and set anew while another program is connected, and no PIN is dropped for it", async () => {
    const { card, token, key, other } = await rig();
    const connection = await other();
    await token.use(key, "rsa-pkcs1", INPUT);
    await connection.disconnect();
    expect(kinds(card)).toEqual(["SELECT", "MSE", "PSO"]);
  });

  test("is asked by its path on a card that was found by its name, which may drop a PIN", async () => {
    const card = new WatchedCard(await testPkcs15Card());
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, card);
    const connect = (): Promise<CardConnection> => readers.client({ patience: 200 }).connect(READER);
    const [token] = (await pkcs15.claim(new Card(await connect()), "thorough"))?.tokens ?? [];
    const key = (await token?.objects(["private-key"]))?.[0];
    if (!token || key?.class !== "private-key") throw new Error("no key");
    await token.login("user", PIN);
    const other = await connect();
    card.commands.length = 0;
    await token.use(key, "rsa-pkcs1", INPUT);
    await other.disconnect();
    expect(card.commands.map((command) => command.slice(0, 6))).toEqual(["00a408", "002241", "002a9e"]);
  });

  test("is confirmed and set anew in a later transaction, if the public key is not known", async () => {
    const { card, token, key, connected } = await rig();
    await connected.release();
    await token.use(key, "rsa-pkcs1", INPUT);
    expect(kinds(card)).toEqual(["SELECT", "MSE", "PSO"]);
  });

  test("is tried in a later transaction if the public key is known, and the result checked", async () => {
    const { card, token, key, connected } = await rig();
    const publicKey = await key.publicKey();
    await token.use(key, "rsa-pkcs1", INPUT);
    await connected.release();
    card.commands.length = 0;
    expect(await isKeyResult(publicKey, "rsa-pkcs1", INPUT, await token.use(key, "rsa-pkcs1", INPUT))).toBe(true);
    expect(kinds(card)).toEqual(["PSO"]);
  });

  test("is set anew where the result was another key's", async () => {
    const { card, token, key, connected } = await rig();
    const publicKey = await key.publicKey();
    await token.use(key, "rsa-pkcs1", INPUT);
    await connected.release();
    card.commands.length = 0;
    // What the card has computed with an environment that another program set.
    const pso = [...card.script.keys()].find((command) => command.startsWith("002a9e9a33")) ?? "";
    const right = card.script.get(pso) ?? "";
    card.script.set(pso, `${"5a".repeat(256)}9000`);
    card.before = (command) => {
      if (command.startsWith("0022")) card.script.set(pso, right);
      return undefined;
    };
    expect(await isKeyResult(publicKey, "rsa-pkcs1", INPUT, await token.use(key, "rsa-pkcs1", INPUT))).toBe(true);
    expect(kinds(card)).toEqual(["PSO", "SELECT", "MSE", "PSO"]);
  });

  test("is found again where another program selected another application", async () => {
    const { card, token, key, other } = await rig();
    await using connection = await other();
    // The other application takes the applet's place: it knows none of its files.
    card.script.set("00a4040005a000000003", "9000");
    await connection.transmit(fromHex("00a4040005a000000003"));
    card.deselect();
    card.commands.length = 0;
    await token.use(key, "rsa-pkcs1", INPUT);
    expect(kinds(card)).toEqual(["SELECT", "SELECT by name", "SELECT", "MSE", "PSO"]);
  });

  test("is all gone after a reset, and the login with it", async () => {
    const { card, token, key, other } = await rig();
    const connection = await other();
    await connection.reconnect(1);
    await connection.disconnect();
    await expect(token.use(key, "rsa-pkcs1", INPUT)).rejects.toMatchObject({ name: "LoginRequiredError" });
    card.commands.length = 0;
    await token.login("user", PIN);
    await token.use(key, "rsa-pkcs1", INPUT);
    expect(card.commands.map(withoutLe).filter((command) => command.startsWith("0022"))).toHaveLength(1);
  });

  test("a refused use leaves no environment to be believed in", async () => {
    const { card, token, key } = await rig();
    const pso = [...card.script.keys()].find((command) => command.startsWith("002a9e9a33")) ?? "";
    const answer = card.script.get(pso) ?? "";
    card.script.set(pso, "6982");
    await expect(token.use(key, "rsa-pkcs1", INPUT)).rejects.toMatchObject({ name: "UseRefusedError" });
    card.script.set(pso, answer);
    card.commands.length = 0;
    await token.use(key, "rsa-pkcs1", INPUT);
    expect(kinds(card)).toEqual(["MSE", "PSO"]);
  });
});

/** The recorded card's files, on a card of an unknown make. */
function cardOfNoMake(): FileCard {
  const card = new FileCard({ files: RECORDING.files });
  for (const command of ["0020000110313233343536", "00224", "002a"]) {
    for (const [known, answer] of recordedCard().script) if (known.startsWith(command)) card.script.set(known, answer);
  }
  // The environment names a key by its number, and no algorithm.
  for (const [known, answer] of [...card.script]) {
    if (known.startsWith("002241b6")) card.script.set("002241b607810250158401" + known.slice(-2), answer);
  }
  return card;
}

describe("a logout", () => {
  test("makes the card forget, by a command where it knows one", async () => {
    const card = cardOfNoMake();
    card.script.set("0020ff01", "9000");
    const { token } = await rig(card);
    const { resets } = card;
    await token.logout();
    expect(card.commands.map(withoutLe)).toEqual(["0020ff01"]);
    await token.login("user", PIN);
    card.commands.length = 0;
    await token.logout();
    expect(card.commands.map(withoutLe)).toEqual(["0020ff01"]);
    expect(card.resets).toBe(resets);
  });

  test.each(["6a86", "6d00", "6a81"])(
    "is a reset where it answers %s, and the command is not sent again",
    async (sw) => {
      const card = cardOfNoMake();
      card.script.set("0020ff01", sw);
      const { token } = await rig(card);
      const { resets } = card;
      await token.logout();
      expect([card.commands.map(withoutLe), card.resets]).toEqual([["0020ff01"], resets + 1]);
      await token.login("user", PIN);
      card.commands.length = 0;
      await token.logout();
      expect([card.commands, card.resets]).toEqual([[], resets + 2]);
    },
  );

  test("that failed by accident is sent the next time", async () => {
    const card = cardOfNoMake();
    card.script.set("0020ff01", "6f00");
    const { token } = await rig(card);
    await token.logout();
    await token.login("user", PIN);
    card.commands.length = 0;
    await token.logout();
    expect(card.commands.map(withoutLe)).toEqual(["0020ff01"]);
  });

  test("is the selection of the applet on IsoApplet, which knows no other way", async () => {
    const card = new WatchedCard(rebuiltCard());
    const [token] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
    await token?.login("user", PIN);
    card.commands.length = 0;
    await token?.logout();
    expect(card.commands.map(withoutLe)).toEqual(["00a404000cf276a288bcfba69d34f31001"]);
    const key = (await token?.objects(["private-key"]))?.[0];
    if (key?.class !== "private-key") throw new Error("no key");
    await expect(token?.use(key, "rsa-pkcs1", INPUT)).rejects.toMatchObject({ name: "LoginRequiredError" });
    await token?.login("user", PIN);
    expect(await token?.use(key, "rsa-pkcs1", INPUT)).toHaveLength(256);
  });

  test("is MyEID's own command on MyEID, and drops no other PIN", async () => {
    const card = new WatchedCard(await testPkcs15Card());
    const [one, two] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
    await one?.login("user", PIN);
    await two?.login("user", utf8("654321"));
    card.commands.length = 0;
    await one?.logout();
    expect(card.commands).toEqual(["002e0001"]);
    expect(await one?.pinStatus("user")).toMatchObject({ verified: false });
    expect(await two?.pinStatus("user")).toMatchObject({ verified: true });
  });

  test("follows a change of a PIN without a login: the card may take the new one for verified", async () => {
    const card = new WatchedCard(await testPkcs15Card());
    const [token] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
    await token?.changePin?.("user", PIN, utf8("234567"));
    card.commands.length = 0;
    await token?.logout();
    expect(card.commands).toEqual(["002e0001"]);
    await token?.logout();
    expect(card.commands).toHaveLength(1);
  });
});
