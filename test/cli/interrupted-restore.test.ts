/**
 * A SmartCard-HSM is pulled out at each exchange of its initialisation and of `card restore`, before the card has done it and after. Then the
 * same work completes, nothing is written twice, and no try is spent. Of a restoration an eighth by chance; SWEEP=all does all of it.
 */
import { generateKeyPairSync, randomBytes, randomInt, webcrypto } from "node:crypto";
import "reflect-metadata";
import { X509CertificateGenerator } from "@peculiar/x509";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { Card, type CardToken } from "../../src/card/index.ts";
import { backUp, type CardBackup, restore, type Restored } from "../../src/cli/input/card-backup.ts";
import { type InProcessCard, MemoryReaders, PcscError } from "../../src/pcsc/index.ts";
import { newDkekShare, pkcs15 } from "../../src/pkcs15/index.ts";
import { VirtualSmartCardHsm } from "../../src/virtual/index.ts";
import { randomFrom } from "../sweep/random.ts";
import { decodeImage } from "../../src/virtual/smartcard-hsm/image.ts";

const SO_PIN = "3537363231383830";
const PIN = "648219";
const SHARE = newDkekShare();
const NEVER = new AbortController().signal;
const LABEL = "Lab";
const seed = Number(process.env["SWEEP_SEED"] ?? randomInt(2 ** 31));

type When = "before" | "after";

/** A card that is pulled out at one exchange. */
class PulledCard implements InProcessCard {
  readonly atr: Uint8Array;
  readonly #card: VirtualSmartCardHsm;
  readonly #at: number;
  readonly #when: When;
  exchanges = 0;

  constructor(card: VirtualSmartCardHsm, at = Infinity, when: When = "before") {
    this.atr = card.atr;
    this.#card = card;
    this.#at = at;
    this.#when = when;
  }

  reset(): void {
    this.#card.reset();
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    this.exchanges++;
    if (this.exchanges !== this.#at) return this.#card.transmit(command);
    if (this.#when === "after") await this.#card.transmit(command);
    throw new PcscError("SCARD_W_REMOVED_CARD");
  }
}

/** One run of a command, with a connection of its own. */
async function withToken<T>(card: InProcessCard, work: (claim: () => Promise<CardToken>) => Promise<T>): Promise<T> {
  card.reset();
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  await using connected = new Card(await readers.client().connect("Reader"));
  return await work(async () => {
    const [token] = (await pkcs15.claim(connected, "thorough"))?.tokens ?? [];
    if (!token) throw new Error("no token");
    return token;
  });
}

const initialise = (card: InProcessCard): Promise<void> =>
  withToken(card, async (claim) => {
    const variables = new Map([
      ["pin", PIN],
      ["dkek-shares", "1"],
    ]);
    await (await claim()).initToken?.(utf8(SO_PIN), LABEL, variables);
  });

/** As `dkek import`: a card that has its share is left alone. */
const importShare = (card: InProcessCard): Promise<void> =>
  withToken(card, async (claim) => {
    const { keyWrapping } = await claim();
    if ((await keyWrapping?.state())?.outstanding === 1) await keyWrapping?.importShare(SHARE);
  });

const restoreOn = (card: InProcessCard, backup: CardBackup): Promise<Restored> =>
  withToken(card, async (claim) => {
    const token = await claim();
    await token.login("user", utf8(PIN));
    return restore(token, backup, NEVER);
  });

const copyOf = (image: string): VirtualSmartCardHsm => new VirtualSmartCardHsm(decodeImage(image));

function expectNoTrySpent(card: VirtualSmartCardHsm): void {
  const { security } = decodeImage(card.image());
  expect([security?.pin.tries, security?.code.tries]).toEqual([3, 15]);
}

/**
 * Pulls the card out at each exchange of `work`, or at one in `oneIn` by chance, puts it back and does `work` again.
 * @returns How many exchanges there are.
 */
async function pullEverywhere(
  image: string,
  when: When,
  work: (card: InProcessCard) => Promise<unknown>,
  check: (card: VirtualSmartCardHsm) => Promise<void>,
  oneIn = 1,
): Promise<number> {
  const whole = new PulledCard(copyOf(image));
  await work(whole);
  const random = randomFrom(`${seed} ${when}`);
  for (let at = 1; at <= whole.exchanges; at++) {
    if (random(oneIn) !== 0) continue;
    const card = copyOf(image);
    await work(new PulledCard(card, at, when)).catch(() => undefined);
    try {
      await work(card);
      await check(card);
    } catch (cause) {
      const where = `SWEEP_SEED=${seed}, exchange ${at} of ${whole.exchanges}, ${when}`;
      throw new Error(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
  return whole.exchanges;
}

/** An authority's certificate for a key of P-256, longer than what one command writes. */
async function issue(spki: Uint8Array, name: string): Promise<Uint8Array> {
  const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const authority = await webcrypto.subtle.generateKey(ecdsa, false, ["sign", "verify"]);
  const made = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: "CN=Authority",
    publicKey: await webcrypto.subtle.importKey("spki", spki.slice(), ecdsa, true, ["verify"]),
    signingKey: authority.privateKey,
    signingAlgorithm: ecdsa,
  });
  return new Uint8Array(made.rawData);
}

let blank: string;
let empty: string;
let backup: CardBackup;
beforeAll(async () => {
  const card = await VirtualSmartCardHsm.create();
  blank = card.image();
  await initialise(card);
  await importShare(card);
  empty = card.image();
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const other = await issue(new Uint8Array(publicKey.export({ format: "der", type: "spki" })), "Other");
  backup = await withToken(card, async (claim) => {
    const token = await claim();
    await token.login("user", utf8(PIN));
    const ids = [Uint8Array.of(7), Uint8Array.of(8)] as const;
    const type = { type: "ec", curve: "P-256" } as const;
    const made = [];
    for (const id of ids) made.push(await token.generateKeyPair?.({ type, id, label: `key ${toHex(id)}` }));
    const spki = (await made[0]?.publicKey.publicKey()) ?? new Uint8Array();
    const own = { class: "certificate", label: "key 07", private: false } as const;
    await token.createObject?.({ ...own, id: ids[0], value: await issue(spki, "Own") });
    await token.createObject?.({ ...own, id: Uint8Array.of(9), label: "other", value: other });
    const data = { class: "data", label: "note", application: "test" } as const;
    await token.createObject?.({ ...data, private: false, value: new Uint8Array(randomBytes(700)) });
    await token.createObject?.({ ...data, label: "hidden", private: true, value: new Uint8Array(randomBytes(300)) });
    return backUp(token, NEVER);
  });
});

describe.each<When>(["before", "after"])("pulled out %s each exchange", (when) => {
  test("of its initialisation, a SmartCard-HSM is initialised by the same call", async () => {
    const times = await pullEverywhere(blank, when, initialise, async (card) => {
      await importShare(card);
      expectNoTrySpent(card);
      await withToken(card, async (claim) => {
        const token = await claim();
        expect((await token.info()).label).toBe(LABEL);
        await token.login("user", utf8(PIN));
      });
    });
    expect(times).toBeGreaterThan(4);
  });

  test("of the import of its share: the state is asked for first, and the share counts once", async () => {
    const card = copyOf(blank);
    await initialise(card);
    const times = await pullEverywhere(card.image(), when, importShare, async (torn) => {
      expect(await withToken(torn, async (claim) => (await claim()).keyWrapping?.state())).toMatchObject({
        outstanding: 0,
      });
      const state = await withToken(copyOf(empty), async (claim) => (await claim()).keyWrapping?.state());
      expect(await withToken(torn, async (claim) => (await claim()).keyWrapping?.state())).toEqual(state);
    });
    expect(times).toBeGreaterThan(2);
  });

  test("of a restoration, the same call completes it, and everything is there once", async () => {
    const times = await pullEverywhere(
      empty,
      when,
      (card) => restoreOn(card, backup),
      async (card) => {
        expectNoTrySpent(card);
        expect(await restoreOn(card, backup)).toEqual({ written: 0, present: 6 });
        const again = await withToken(card, async (claim) => {
          const token = await claim();
          await token.login("user", utf8(PIN));
          return backUp(token, NEVER);
        });
        const names = (of: CardBackup): unknown => [
          of.keys.map(({ id, label, publicKey }) => [id, label, publicKey]),
          of.certificates,
          of.data,
          of.left,
        ];
        expect(names(again)).toEqual(names(backup));
      },
      process.env["SWEEP"] === "all" ? 1 : 8,
    );
    expect(times).toBeGreaterThan(40);
  });
});

test("a file that is no beginning of the backup's is not written over", async () => {
  const card = copyOf(empty);
  await restoreOn(card, backup);
  const contents = decodeImage(card.image());
  contents.files.set("ce01", Uint8Array.of(0x30, 0x81));
  await expect(restoreOn(new VirtualSmartCardHsm(contents), backup)).rejects.toThrow(
    "a key with this CKA_ID is on the card already",
  );
});
