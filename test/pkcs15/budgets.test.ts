import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import type { CardProfile } from "../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CryptokiError, mechanismOf } from "../../src/cryptoki/index.ts";
import { cac, cacUnlisted, createPkcs15, piv, profiles } from "../../src/index.ts";
import type { PublicFileStore } from "../../src/pkcs15/index.ts";
import { decodeImage } from "../../src/virtual/iso7816/image.ts";
import type { VirtualPkcs15Card } from "../../src/virtual/index.ts";
import { first, READER, type Rig, rig, settled } from "../cryptoki/rig.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { FileCard, RECORDING, recordedCard, withoutLe } from "./file-card.ts";

/** What the recorded signature was made of. */
const INPUT = fromHex(RECORDING.exchanges["sign-rsa"]?.at(-1)?.command.slice(10, 112) ?? "");

/** C_GetSlotList and C_GetTokenInfo of the first token. */
async function list({ cryptoki }: Rig): Promise<void> {
  await cryptoki.C_GetTokenInfo(first(await cryptoki.C_GetSlotList(true)));
}

async function open({ cryptoki }: Rig): Promise<number> {
  return cryptoki.C_OpenSession(first(await cryptoki.C_GetSlotList(true)), CKF.SERIAL_SESSION);
}

/** All objects with class, label, id and type, without login. */
async function objects(made: Rig): Promise<void> {
  const session = await open(made);
  const found = await made.find(session, {});
  expect(found.length).toBeGreaterThan(4);
  for (const object of found) {
    for (const type of [CKA.CLASS, CKA.LABEL, CKA.ID, CKA.KEY_TYPE, CKA.CERTIFICATE_TYPE]) {
      await made.cryptoki.C_GetAttributeValue(session, object, [type]).catch((error: unknown) => {
        if (!(error instanceof CryptokiError)) throw error;
      });
    }
  }
}

/** Login, the private key by its CKA_ID, one signature. @returns What makes the next one. */
async function sign(made: Rig, id = 1, mechanism: CKM = CKM.RSA_PKCS): Promise<() => Promise<void>> {
  const session = await open(made);
  await made.cryptoki.C_Login(session, 1, "123456");
  const key = await made.privateKey(session, id);
  const next = async (): Promise<void> => {
    await made.cryptoki.C_SignInit(session, mechanismOf(mechanism), key);
    await made.cryptoki.C_Sign(session, INPUT);
  };
  await next();
  return next;
}

/** One certificate by its CKA_ID. */
async function read(made: Rig): Promise<void> {
  const session = await open(made);
  const certificate = await made.object(session, CKO.CERTIFICATE, 1);
  await made.cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]);
}

/** The values of the certificates of all tokens. @returns How many there are. */
async function certificates(made: Rig): Promise<number> {
  let count = 0;
  for (const slot of await made.cryptoki.C_GetSlotList(true)) {
    const session = await made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    for (const certificate of await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE })) {
      await made.cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]);
      count++;
    }
  }
  return count;
}

class MemoryStore implements PublicFileStore {
  readonly #copies = new Map<string, Uint8Array>();
  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#copies.get(key));
  }
  set(key: string, bytes: Uint8Array): Promise<void> {
    this.#copies.set(key, bytes);
    return Promise.resolve();
  }
}

/** Every profile of this package, the PKCS #15 one with a store. */
const storing = (store: PublicFileStore): readonly CardProfile[] => [piv, createPkcs15({ store }), cac, cacUnlisted];

describe("the recorded card, whose answer to reset tells nothing, asked by every profile", () => {
  test.each([
    ["list", list, 11],
    ["objects", objects, 26],
    ["sign", sign, 14],
    ["read", read, 14],
  ])("%s", async (_name, work, budget) => {
    await using made = await rig(recordedCard(), profiles);
    expect(await made.count(() => work(made))).toBeLessThanOrEqual(budget);
  });

  test("next", async () => {
    await using made = await rig(recordedCard(), profiles);
    const next = await sign(made);
    expect(await made.count(next)).toBe(1);
  });

  test("taken out and put in again, it is asked by its own profile at once", async () => {
    const card = recordedCard();
    await using made = await rig(card, profiles);
    const unknown = await made.count(() => list(made));
    made.readers.eject(READER);
    await settled();
    made.insert(card);
    await settled();
    expect(await made.count(() => list(made))).toBe(unknown - 1);
  });

  test.each([
    ["list", list, 4],
    ["objects", objects, 4],
    ["sign", sign, 6],
    ["read", read, 4],
  ])("%s, by a second process with a store of public files", async (_name, work, budget) => {
    const store = new MemoryStore();
    const seen = async (used: (made: Rig) => Promise<unknown>): Promise<number> => {
      await using made = await rig(numbered(), storing(store));
      return await made.count(() => used(made));
    };
    await seen(objects);
    await seen(certificates);
    expect(await seen(work)).toBeLessThanOrEqual(budget);
  });
});

/** The recorded card with a serial number: without one, cards are not told apart. */
function numbered(): FileCard {
  const info = RECORDING.files["50155032"]?.contents ?? "";
  const files = { ...RECORDING.files, "50155032": { contents: info.replace("04020000", "0402cafe") } };
  const card = new FileCard({ ...RECORDING, files });
  for (const { command, answer } of Object.values(RECORDING.exchanges).flat())
    card.script.set(withoutLe(command), answer);
  return card;
}

/** So much padding tells that a directory ends: a smaller gap is what a deleted object leaves, and another may follow. */
const PADDING = 64;

/** What the files of the virtual card cost at least: each is selected and read once, as far as anything is in it. */
class Floor {
  /** How much of each has to be read. */
  readonly #lengths = new Map<number, number>();
  readonly #part: number;

  constructor(card: VirtualPkcs15Card) {
    const { masterFile, traits } = decodeImage(card.image());
    this.#part = traits.extended ? 65_536 : 256;
    for (const application of masterFile.files) {
      if (application.kind !== "df") continue;
      for (const file of application.files) {
        if (file.kind === "transparent") this.#lengths.set(file.id, needed(file.contents));
      }
    }
  }

  of(...files: readonly number[]): number {
    return files.reduce((sum, id) => sum + 1 + Math.ceil((this.#lengths.get(id) ?? 0) / this.#part), 0);
  }

  /** The certificates, which have identifiers 43xx. */
  get certificates(): readonly number[] {
    return [...this.#lengths.keys()].filter((id) => id >> 8 === 0x43);
  }

  get longest(): number {
    return Math.max(...this.#lengths.values());
  }
}

function needed(contents: Uint8Array): number {
  const used = contents.findLastIndex((octet) => octet !== 0) + 1;
  return Math.min(used + PADDING, contents.length);
}

const FILE = { odf: 0x5031, tokenInfo: 0x5032, aodf: 0x4401, prkdf: 0x4402, pukdf: 0x4403, dodf: 0x4407 } as const;
const CDFS = [0x4404, 0x4405, 0x4406];
const SELECT = 1;

describe.each([
  ["short", false],
  ["extended", true],
])("the virtual card with %s APDUs costs what its contents ask for at least", (_form, extended) => {
  async function fresh(): Promise<{ readonly card: VirtualPkcs15Card; readonly floor: Floor }> {
    const card = await testPkcs15Card({ extended });
    return { card, floor: new Floor(card) };
  }

  test("list", async () => {
    const { card, floor } = await fresh();
    await using made = await rig(card, profiles);
    const PIN_STATUS = 1;
    const least = SELECT + floor.of(FILE.odf, FILE.aodf, FILE.tokenInfo) + PIN_STATUS;
    expect(await made.count(() => list(made))).toBeLessThanOrEqual(least);
  });

  test("objects: directories tell all that is asked", async () => {
    const { card, floor } = await fresh();
    await using made = await rig(card, profiles);
    const { odf, aodf, prkdf, pukdf, dodf } = FILE;
    const taken = await made.count(() => objects(made));
    expect(taken).toBeLessThanOrEqual(SELECT + floor.of(odf, aodf, prkdf, pukdf, dodf, ...CDFS));
  });

  test("the directory and all certificates of both tokens", async () => {
    const { card, floor } = await fresh();
    await using made = await rig(card, profiles);
    expect(floor.certificates.length).toBeGreaterThan(6);
    expect(floor.longest).toBeGreaterThan(4096);
    // Which of the tokens a certificate belongs to, its private key says.
    const least = SELECT + floor.of(FILE.odf, FILE.aodf, FILE.prkdf, ...CDFS, ...floor.certificates);
    let count = 0;
    const taken = await made.count(async () => (count = await certificates(made)));
    expect(count).toBe(floor.certificates.length);
    expect(taken).toBeLessThanOrEqual(least);
  });

  test("sign and next on a curve: which one it is, the key's own file tells for least", async () => {
    const { card, floor } = await fresh();
    await using made = await rig(card, profiles);
    const PUBLIC_KEY = 0x4502;
    const files = floor.of(FILE.odf, FILE.aodf, FILE.prkdf, FILE.pukdf, PUBLIC_KEY);
    const VERIFY_MSE_PSO = 3;
    let next: () => Promise<void> = () => Promise.reject(new Error("not yet"));
    const taken = await made.count(async () => (next = await sign(made, 2, CKM.ECDSA_SHA256)));
    expect(taken).toBeLessThanOrEqual(SELECT + files + VERIFY_MSE_PSO);
    expect(await made.count(next)).toBe(1);
  });

  test("sign and next", async () => {
    const { card, floor } = await fresh();
    await using made = await rig(card, profiles);
    const VERIFY_MSE_PSO = 3;
    let next: () => Promise<void> = () => Promise.reject(new Error("not yet"));
    const taken = await made.count(async () => (next = await sign(made)));
    expect(taken).toBeLessThanOrEqual(SELECT + floor.of(FILE.odf, FILE.aodf, FILE.prkdf) + VERIFY_MSE_PSO);
    expect(await made.count(next)).toBe(1);
  });

  test.each([
    ["list", list],
    ["objects", objects],
    ["sign", sign],
    ["read", read],
    ["all certificates", certificates],
  ])("%s, by a second process with a store of public files", async (_name, work) => {
    const store = new MemoryStore();
    const card = await testPkcs15Card({ extended });
    const seen = async (use: (made: Rig) => Promise<unknown>): Promise<number> => {
      card.reset();
      await using made = await rig(card, storing(store));
      return await made.count(() => use(made));
    };
    await seen(objects);
    await seen(certificates);
    expect(await seen(work)).toBeLessThanOrEqual(6);
  });
});
