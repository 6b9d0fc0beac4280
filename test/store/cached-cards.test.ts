import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardProfile, PublicStore } from "../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CryptokiError, mechanismOf } from "../../src/cryptoki/index.ts";
import { createProfiles } from "../../src/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { first, type Rig, rig } from "../cryptoki/rig.ts";
import { AID, certificate as cacCertificate, listedApplets, pkiBuffers } from "../cac/cards.ts";
import { AppletCard } from "../cac/applet-card.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";

class MemoryStore implements PublicStore {
  readonly copies = new Map<string, Uint8Array>();
  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.copies.get(key));
  }
  set(key: string, bytes: Uint8Array): Promise<void> {
    this.copies.set(key, bytes);
    return Promise.resolve();
  }
}

const GUID = fromHex("00112233445566778899aabbccddeeff");
type Keys = NonNullable<Parameters<typeof testCard>[0]>["keys"];

/** PIV cards with the same CHUID, as one card is before and after a change. */
const pivCard = (keys: Keys = {}, options: Parameters<typeof testCard>[0] = {}): ReturnType<typeof testCard> =>
  testCard({ guid: GUID, extended: false, ...options, keys });

const DATA = utf8("data to be signed");

/** What one process does with a card, and how many exchanges it takes; the logout counts nowhere. */
async function process<T>(
  card: InProcessCard,
  store: PublicStore,
  work: (made: Rig) => Promise<T>,
): Promise<{ result: T; exchanges: number }> {
  card.reset();
  const profiles: readonly CardProfile[] = createProfiles({ store });
  await using made = await rig(card, profiles);
  const result = await work(made);
  return { result, exchanges: made.commands.length };
}

async function open({ cryptoki }: Rig): Promise<number> {
  return cryptoki.C_OpenSession(first(await cryptoki.C_GetSlotList(true)), CKF.SERIAL_SESSION);
}

async function list({ cryptoki }: Rig): Promise<string> {
  return (await cryptoki.C_GetTokenInfo(first(await cryptoki.C_GetSlotList(true)))).label;
}

/** Class, CKA_ID and type of every object without a login, in order. */
async function objects(made: Rig): Promise<string[]> {
  const session = await open(made);
  const seen: string[] = [];
  for (const object of await made.find(session, {})) {
    const known = await made.cryptoki.C_GetAttributeValue(session, object, [CKA.CLASS, CKA.LABEL]);
    const isKey = known[CKA.CLASS] === CKO.PUBLIC_KEY || known[CKA.CLASS] === CKO.PRIVATE_KEY;
    const type = isKey ? (await made.cryptoki.C_GetAttributeValue(session, object, [CKA.KEY_TYPE]))[CKA.KEY_TYPE] : "";
    seen.push(`${known[CKA.CLASS]} ${known[CKA.LABEL]} ${type}`);
  }
  return seen;
}

const signWith =
  (id: number, mechanism: CKM = CKM.SHA256_RSA_PKCS) =>
  async (made: Rig): Promise<Uint8Array> => {
    const session = await open(made);
    await made.cryptoki.C_Login(session, 1, "123456");
    const key = await made.privateKey(session, id);
    await made.cryptoki.C_SignInit(session, mechanismOf(mechanism), key);
    return made.cryptoki.C_Sign(session, DATA);
  };
const sign = signWith(1);

const certificateOf =
  (id: number) =>
  async (made: Rig): Promise<X509Certificate> => {
    const session = await open(made);
    const object = await made.object(session, CKO.CERTIFICATE, id);
    return new X509Certificate((await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE]);
  };

const isBy = (key: ReturnType<typeof testKey>, signature: Uint8Array): boolean =>
  verify("sha256", DATA, createPublicKey(key), signature);

describe("a PIV card that was seen before", () => {
  test.each([
    ["list", list, 3],
    ["objects", objects, 3],
    ["sign", sign, 6],
    ["read", certificateOf(1), 3],
  ] as const)("%s", async (_name, work, budget) => {
    const store = new MemoryStore();
    const card = await pivCard();
    const { result: before } = await process(card, store, async (made) => [
      await objects(made),
      toHex(await sign(made)),
    ]);
    expect((await process<unknown>(card, store, work)).exchanges).toBeLessThanOrEqual(budget);
    const after = await process(card, store, async (made) => [await objects(made), toHex(await sign(made))]);
    expect(after.result).toEqual(before);
  });

  test("another card shows nothing of it, whatever it has in common besides its CHUID", async () => {
    const store = new MemoryStore();
    await process(await pivCard(), store, objects);
    const other = await pivCard(
      { "9a": { privateKey: testKey("rsa-2048", "another") } },
      { guid: fromHex("ff".repeat(16)) },
    );
    const { result, exchanges } = await process(other, store, certificateOf(1));
    expect(result.publicKey.equals(createPublicKey(testKey("rsa-2048", "another")))).toBe(true);
    expect(exchanges).toBeGreaterThan(4);
  });

  test("a card without a number of its own is never taken from a copy", async () => {
    const store = new MemoryStore();
    const objectsOf = new Map([[0x5fc102, null]]);
    await process(await pivCard({}, { objects: objectsOf }), store, objects);
    expect([...store.copies.keys()].filter((key) => key.startsWith("piv"))).toEqual([]);
  });

  test("another certificate and key in a slot: the value is the card's, and a signature the new key's", async () => {
    const store = new MemoryStore();
    await process(await pivCard(), store, objects);
    const renewed = testKey("rsa-2048", "renewed");
    const { result: certificate } = await process(
      await pivCard({ "9a": { privateKey: renewed } }),
      store,
      certificateOf(1),
    );
    expect(certificate.publicKey.equals(createPublicKey(renewed))).toBe(true);

    const stale = new MemoryStore();
    await process(await pivCard(), stale, objects);
    const signed = await process(await pivCard({ "9a": { privateKey: renewed } }), stale, sign);
    expect(isBy(renewed, signed.result)).toBe(true);
    // What it found out is kept.
    const again = await process(await pivCard({ "9a": { privateKey: renewed } }), stale, sign);
    expect(isBy(renewed, again.result)).toBe(true);
    expect(again.exchanges).toBeLessThanOrEqual(6);
  });

  test("another EC key, which wants its PIN for each use, is found before it is used", async () => {
    const store = new MemoryStore();
    await process(await pivCard(), store, objects);
    const renewed = testKey("p-256", "renewed");
    const { result } = await process(await pivCard({ "9c": { privateKey: renewed } }), store, async (made) => {
      const session = await open(made);
      await made.cryptoki.C_Login(session, 1, "123456");
      const key = await made.privateKey(session, 2);
      await made.cryptoki.C_SignInit(session, mechanismOf(CKM.ECDSA_SHA256), key);
      await made.cryptoki.C_Login(session, 2, "123456");
      return made.cryptoki.C_Sign(session, DATA);
    });
    const key = { key: createPublicKey(renewed), dsaEncoding: "ieee-p1363" } as const;
    expect(verify("sha256", DATA, key, result)).toBe(true);
  });

  test("a public key is not used to verify before the card has confirmed it", async () => {
    const store = new MemoryStore();
    const old = await process(await pivCard(), store, async (made) => [await objects(made), await sign(made)] as const);
    const renewed = await pivCard({ "9a": { privateKey: testKey("rsa-2048", "renewed") } });
    const verifying = process(renewed, store, async (made) => {
      const session = await open(made);
      const key = await made.publicKey(session, 1);
      await made.cryptoki.C_VerifyInit(session, mechanismOf(CKM.SHA256_RSA_PKCS), key);
      await made.cryptoki.C_Verify(session, DATA, old.result[1]);
    });
    await expect(verifying).rejects.toMatchObject({ code: "CKR_SIGNATURE_INVALID" });
  });

  test("a key of another type: the old one is not used, and the next process knows the new one", async () => {
    const store = new MemoryStore();
    await process(await pivCard(), store, objects);
    const renewed = testKey("p-256", "renewed");
    const make = (): ReturnType<typeof pivCard> => pivCard({ "9a": { privateKey: renewed } });
    await expect(process(await make(), store, sign)).rejects.toBeInstanceOf(CryptokiError);
    const { result } = await process(await make(), store, signWith(1, CKM.ECDSA_SHA256));
    const key = { key: createPublicKey(renewed), dsaEncoding: "ieee-p1363" } as const;
    expect(verify("sha256", DATA, key, result)).toBe(true);
  });

  test("a deleted certificate: it is listed, and its value is not found", async () => {
    const store = new MemoryStore();
    await process(await pivCard(), store, objects);
    const reading = process(await pivCard({ "9d": null }), store, certificateOf(3));
    await expect(reading).rejects.toBeInstanceOf(CryptokiError);
    const { result } = await process(await pivCard({ "9d": null }), store, objects);
    expect(result.filter((object) => object.includes("Key Management"))).toEqual([]);
  });

  test("a certificate in an empty slot is listed at once", async () => {
    const store = new MemoryStore();
    const before = await process(await pivCard({ "9d": null }), store, objects);
    const after = await process(await pivCard(), store, objects);
    expect(after.result).toHaveLength(before.result.length + 2);
  });

  test("another key history: the list is made from the card", async () => {
    const store = new MemoryStore();
    await process(await pivCard(), store, objects);
    const renewed = testKey("rsa-2048", "renewed");
    const history = fromHex("c10101c20100fe00");
    const changed = await pivCard(
      { "9a": { privateKey: renewed }, "82": { privateKey: testKey("rsa-2048", "retired") } },
      { objects: new Map([[0x5fc10c, history]]) },
    );
    const { result, exchanges } = await process(changed, store, objects);
    expect(result.some((object) => object.includes("Retired"))).toBe(true);
    expect(exchanges).toBeGreaterThan(10);
  });
});

describe("a PKCS #15 card that was seen before", () => {
  test.each([
    ["list", list, 3],
    ["objects", objects, 3],
    ["sign", sign, 6],
  ] as const)("%s", async (_name, work, budget) => {
    const store = new MemoryStore();
    const card = await testPkcs15Card({ serial: fromHex("0102030405060708") });
    const all = async (made: Rig): Promise<unknown> => [await objects(made), toHex(await sign(made))];
    const { result: before } = await process(card, store, all);
    await process(card, store, all);
    expect((await process<unknown>(card, store, work)).exchanges).toBeLessThanOrEqual(budget);
    expect((await process(card, store, all)).result).toEqual(before);
  });
});

/** The certificate of a CAC's first key. */
async function firstCertificate(made: Rig): Promise<X509Certificate> {
  const session = await open(made);
  const object = first(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE }));
  return new X509Certificate((await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE]);
}

describe("a CAC that was seen before", () => {
  const cards = (changed?: Uint8Array): AppletCard => {
    const applets = listedApplets();
    if (changed) applets[AID.PKI[0]] = { objects: { "0100": pkiBuffers(changed) } };
    return new AppletCard(applets, { maxRead: 128 });
  };

  test("gives its certificates in fewer exchanges", async () => {
    const store = new MemoryStore();
    const { result: before, exchanges: first } = await process(cards(), store, firstCertificate);
    const { result: after, exchanges } = await process(cards(), store, firstCertificate);
    expect(after.raw).toEqual(before.raw);
    expect(exchanges).toBeLessThan(first);
  });

  test("another certificate in its place is read from the card", async () => {
    const store = new MemoryStore();
    await process(cards(), store, firstCertificate);
    const { result } = await process(cards(cacCertificate(3)), store, firstCertificate);
    expect(result.raw).toEqual(Buffer.from(cacCertificate(3)));
  });
});
