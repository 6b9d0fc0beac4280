import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fromHex, utf8 } from "../../../src/bytes/index.ts";
import { Card, type CardObject, type CardToken, type NewCardObject } from "../../../src/card/index.ts";
import { MemoryReaders } from "../../../src/pcsc/index.ts";
import { pkcs15 } from "../../../src/pkcs15/index.ts";
import type { VirtualCard } from "../../../src/virtual/index.ts";
import { VirtualFileCard } from "../../../src/virtual/iso7816/card.ts";
import { decodeImage } from "../../../src/virtual/iso7816/image.ts";
import { READER } from "../../pkcs15/file-card.ts";
import { rebuiltCard } from "../../pkcs15/rebuilt-card.ts";
import { WatchedCard } from "../../pkcs15/watched-card.ts";
import { testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const PIN = "123456";

/** A reader's contents that change between two programs. */
class Exchangeable implements VirtualCard {
  current: VirtualFileCard = rebuiltCard();

  get atr(): Uint8Array {
    return this.current.atr;
  }

  reset(): void {
    this.current.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.current.transmit(command);
  }
}

const cardOf = (image: string): VirtualFileCard => new VirtualFileCard(decodeImage(image));

async function tokenOf(card: WatchedCard): Promise<{ readonly readers: MemoryReaders; readonly token: CardToken }> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const [token] =
    (await pkcs15.claim(new Card(await readers.client({ patience: 200 }).connect(READER)), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  return { readers, token };
}

function contentsOf(object: CardObject): Promise<Uint8Array> {
  return object.class === "certificate" || object.class === "data" ? object.value() : object.publicKey();
}
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** All objects of the card's first token, to one who knows its PIN, with what can be read of them. */
async function seenByUs(image: string): Promise<readonly string[]> {
  const { token } = await tokenOf(new WatchedCard(cardOf(image)));
  await token.login("user", utf8(PIN));
  const found: string[] = [];
  for (const object of await token.objects()) {
    const contents = await contentsOf(object);
    // A key that is made is another one each time.
    found.push(`${object.class} ${object.label}${object.class.endsWith("key") ? "" : ` ${md5(contents)}`}`);
  }
  return found.sort();
}

async function find(token: CardToken, kind: CardObject["class"], label: string): Promise<CardObject> {
  const found = (await token.objects([kind])).find((object) => object.label === label);
  if (!found) throw new Error(`no ${kind} ${label}`);
  return found;
}
const create = (token: CardToken, object: NewCardObject): Promise<unknown> =>
  token.createObject?.(object) ?? Promise.reject(new Error("it cannot"));
const privateKey = (kind: "rsa-2048" | "p-256", id: string, label = "brought"): NewCardObject => ({
  class: "private-key",
  label,
  private: true,
  id: fromHex(id),
  privateKey: testKey(kind, "brought").export({ format: "der", type: "pkcs8" }),
  usage: { sign: true, decrypt: kind === "rsa-2048", derive: false },
  alwaysAuthenticate: false,
});

type Work = (token: CardToken) => Promise<unknown>;

/** What every card is asked to do; `own` is a certificate that it has. */
const operations = (own: string): Readonly<Record<string, Work>> => ({
  "a certificate is stored": async (token) => {
    const value = await contentsOf(await find(token, "certificate", own));
    await create(token, { class: "certificate", label: "stored", id: fromHex("77"), private: false, value });
  },
  "a data object is stored": (token) =>
    create(token, {
      class: "data",
      label: "note",
      application: "",
      private: false,
      value: new Uint8Array(600).fill(7),
    }),
  "a certificate is deleted": async (token) => token.destroyObject?.(await find(token, "certificate", own)),
  "a label is changed": async (token) =>
    token.setAttributes?.(await find(token, "certificate", own), { label: "x".repeat(300) }),
  "a key pair is made": (token) => {
    const usage = { sign: true, decrypt: true, derive: false };
    const type = { type: "rsa", modulusBits: 2048 } as const;
    return token.generateKeyPair?.({ type, id: fromHex("0a"), label: "made", usage }) ?? Promise.reject(new Error());
  },
  "an RSA key is brought": (token) => create(token, privateKey("rsa-2048", "0b")),
  "an EC key is brought": (token) => create(token, privateKey("p-256", "0c")),
});

/** The next write, which clears what the one before left behind. */
const storeMore: Work = (token) =>
  create(token, { class: "data", label: "more", application: "", private: false, value: Uint8Array.of(1) });

/** The card of each make, and what only it is asked. */
const CARDS: Readonly<
  Record<string, { readonly make: () => Promise<VirtualFileCard>; readonly works: Readonly<Record<string, Work>> }>
> = {
  "the recorded card, rebuilt": { make: () => Promise.resolve(rebuiltCard()), works: operations("RSA cert") },
  "the card with two PINs": {
    make: async () => {
      // Those that a card is made with stay on it.
      const bring: Work = (token) => create(token, privateKey("p-256", "70", "for a while"));
      return cardOf((await perform((await testPkcs15Card()).image(), bring)).image);
    },
    works: {
      ...operations("Authentication EC"),
      "a private data object is stored": (token) =>
        create(token, {
          class: "data",
          label: "mine",
          application: "",
          private: true,
          value: new Uint8Array(300).fill(1),
        }),
      "a data object is changed": async (token) =>
        token.setAttributes?.(await find(token, "data", "Public note"), { value: new Uint8Array(700).fill(2) }),
      "a key is deleted": async (token) => token.destroyObject?.(await find(token, "private-key", "for a while")),
    },
  },
};

/** The works and the card's states around them, so far as they are the card's whole contents. */
interface Course {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const isPublicHalf = (line: string): boolean => /^public/iu.test(line);

/** As it was, or as it is afterwards. Of a key pair, the public half alone may be there: it does no harm. */
function expectWhole(found: readonly string[], { before, after }: Course): void {
  const withoutHalves = (lines: readonly string[]): readonly string[] => lines.filter((line) => !isPublicHalf(line));
  expect([withoutHalves(before), withoutHalves(after)]).toContainEqual(withoutHalves(found));
  const halves = found.filter(isPublicHalf);
  expect([...before, ...after]).toEqual(expect.arrayContaining(halves));
  expect(halves).toEqual(expect.arrayContaining(before.filter((line) => isPublicHalf(line) && after.includes(line))));
}

/** The card's image after a work that is pulled before its exchange number `at`, or runs to its end. */
async function perform(
  image: string,
  work: Work,
  at = Number.POSITIVE_INFINITY,
): Promise<WatchedCard & { image: string }> {
  const card = cardOf(image);
  const watched = new WatchedCard(card);
  const { readers, token } = await tokenOf(watched);
  await token.login("user", utf8(PIN));
  await token.objects();
  watched.commands.length = 0;
  watched.before = () => {
    if (watched.commands.length < at) return undefined;
    readers.eject(READER);
    return "pull";
  };
  if (at === Number.POSITIVE_INFINITY) await work(token);
  else await expect(work(token)).rejects.toThrow();
  return Object.assign(watched, { image: card.image() });
}

describe.each(Object.entries(CARDS))("%s, pulled at any exchange of a write", (_, { make, works }) => {
  const reader = new Exchangeable();
  let plugged: PluggedIn;
  let image: string;

  beforeAll(async () => {
    requirePrograms("pkcs15-tool");
    const card = await make();
    image = card.image();
    reader.current = card;
    plugged = await plugIn(reader, "Virtual PCD");
  });
  afterAll(async () => {
    await plugged[Symbol.asyncDispose]();
  });

  const seen = new Map<string, readonly string[]>();

  /** What OpenSC finds; it fails if OpenSC cannot read one of the directories. Asked once for each state of the card. */
  async function seenByOpenSC(state: string): Promise<readonly string[]> {
    const known = seen.get(state);
    if (known) return known;
    reader.current = cardOf(state);
    const text = await plugged.succeed("pkcs15-tool", "--dump");
    const found = [...text.matchAll(/^(X\.509 Certificate|(?:Private|Public) \w+ Key|Data object) \W(.*)\W$/gmu)]
      .map(([, kind = "", label = ""]) => `${kind} ${label}`)
      .sort();
    seen.set(state, found);
    return found;
  }

  test.each(Object.entries(works))("while %s", async (_name, work) => {
    const whole = await perform(image, work);
    const ours: Course = { before: await seenByUs(image), after: await seenByUs(whole.image) };
    const theirs: Course = { before: await seenByOpenSC(image), after: await seenByOpenSC(whole.image) };
    expect(ours.after).not.toEqual(ours.before);
    expect(theirs.before.length).toBeGreaterThanOrEqual(8);
    for (let at = 0; at < whole.commands.length; at++) {
      const torn = await perform(image, work, at);
      expectWhole(await seenByUs(torn.image), ours);
      expectWhole(await seenByOpenSC(torn.image), theirs);
      const mended = await perform(torn.image, storeMore);
      expectWhole(
        (await seenByUs(mended.image)).filter((line) => !line.startsWith("data more ")),
        ours,
      );
    }
  });
});
