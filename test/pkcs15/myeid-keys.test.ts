import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { beforeEach, describe, expect, jest, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKK, CKM, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import { decodeImage } from "../../src/virtual/iso7816/image.ts";
import { testKey, testPkcs15Card } from "../virtual/keys.ts";

jest.setTimeout(120_000);

const READER = "Reader";
const MESSAGE = utf8("message");
const P256 = Buffer.from("06082a8648ce3d030107", "hex");
const P521 = Buffer.from("06052b81040023", "hex");

type Kind = "rsa" | "ec";
const SIGNATURE = { rsa: CKM.SHA256_RSA_PKCS, ec: CKM.ECDSA_SHA256 } as const;
const TYPE = { rsa: CKK.RSA, ec: CKK.EC } as const;

/** The first token of a card; default: logged in. */
class Rig implements AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly session: number;

  private constructor(cryptoki: Cryptoki, session: number) {
    this.cryptoki = cryptoki;
    this.session = session;
  }

  static async open(card: VirtualFileCard, login = true): Promise<Rig> {
    card.reset();
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, card);
    const cryptoki = new Cryptoki({ pcsc: readers.client({ patience: 50 }), profiles: [pkcs15] });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    if (login) await cryptoki.C_Login(session, CKU.USER, "123456");
    return new Rig(cryptoki, session);
  }

  async generate(kind: Kind, more: { public?: Template; private?: Template } = {}): Promise<number> {
    const size = kind === "rsa" ? { [CKA.MODULUS_BITS]: 2048 } : { [CKA.EC_PARAMS]: P256 };
    const pair = await this.cryptoki.C_GenerateKeyPair(
      this.session,
      { mechanism: kind === "rsa" ? CKM.RSA_PKCS_KEY_PAIR_GEN : CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.VERIFY]: true, ...size, ...more.public },
      { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.SIGN]: true, [CKA.LABEL]: `made ${kind}`, ...more.private },
    );
    return pair.privateKey;
  }

  import(key: KeyObject, more: Template = {}): Promise<number> {
    const jwk = key.export({ format: "jwk" });
    const field = (name: "n" | "e" | "d" | "p" | "q" | "dp" | "dq" | "qi"): Buffer =>
      Buffer.from(jwk[name] ?? "", "base64url");
    const common = {
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.TOKEN]: true,
      [CKA.PRIVATE]: true,
      [CKA.SENSITIVE]: true,
      [CKA.SIGN]: true,
      [CKA.LABEL]: "brought",
    };
    const parts =
      jwk.kty === "RSA"
        ? {
            [CKA.KEY_TYPE]: CKK.RSA,
            [CKA.MODULUS]: field("n"),
            [CKA.PUBLIC_EXPONENT]: field("e"),
            [CKA.PRIVATE_EXPONENT]: field("d"),
            [CKA.PRIME_1]: field("p"),
            [CKA.PRIME_2]: field("q"),
            [CKA.EXPONENT_1]: field("dp"),
            [CKA.EXPONENT_2]: field("dq"),
            [CKA.COEFFICIENT]: field("qi"),
          }
        : { [CKA.KEY_TYPE]: CKK.EC, [CKA.EC_PARAMS]: P256, [CKA.VALUE]: field("d") };
    return this.cryptoki.C_CreateObject(this.session, { ...common, ...parts, ...more });
  }

  async find(template: Template): Promise<readonly number[]> {
    await this.cryptoki.C_FindObjectsInit(this.session, template);
    const found = await this.cryptoki.C_FindObjects(this.session, 100);
    await this.cryptoki.C_FindObjectsFinal(this.session);
    return found;
  }

  async idOf(handle: number): Promise<Uint8Array> {
    return (await this.cryptoki.C_GetAttributeValue(this.session, handle, [CKA.ID]))[CKA.ID];
  }

  /** The public half of the key with this CKA_ID, as the card lists it. */
  async publicKey(id: Uint8Array): Promise<KeyObject> {
    const [handle = 0] = await this.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
    const { [CKA.PUBLIC_KEY_INFO]: key } = await this.cryptoki.C_GetAttributeValue(this.session, handle, [
      CKA.PUBLIC_KEY_INFO,
    ]);
    return createPublicKey({ key: Buffer.from(key), format: "der", type: "spki" });
  }

  async sign(handle: number, kind: Kind): Promise<Uint8Array> {
    await this.cryptoki.C_SignInit(this.session, { mechanism: SIGNATURE[kind] }, handle);
    return this.cryptoki.C_Sign(this.session, MESSAGE);
  }

  async destroyPair(id: Uint8Array): Promise<void> {
    for (const objectClass of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) {
      for (const handle of await this.find({ [CKA.CLASS]: objectClass, [CKA.ID]: id })) {
        await this.cryptoki.C_DestroyObject(this.session, handle);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A card that was torn out answers none of the last words.
    await Promise.race([this.cryptoki.C_Finalize(), silence()]);
  }
}

/** A card that was torn out answers nothing, which no event tells. */
// eslint-disable-next-line no-restricted-syntax
const silence = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 150));

const verifies = (key: KeyObject, signature: Uint8Array): boolean =>
  verify("sha256", MESSAGE, { key, dsaEncoding: "ieee-p1363" }, signature);

/** Identifiers of the card's files, directories' contents apart. */
function filesOf(card: VirtualFileCard): readonly string[] {
  return [...card.image().matchAll(/"([0-9a-f]{4})": \{\s+"kind"/gu)].map(([, id]) => id ?? "").sort();
}

/** All that is kept without power but the number of changes. */
const lasting = (card: VirtualFileCard): string => card.image().replace(/"changes": \d+/u, "");

/** With directories as pkcs15-init makes them: FF where nothing was written, and another PIN's to delete. */
function asMadeByOthers(given: VirtualFileCard): VirtualFileCard {
  const image = given
    .image()
    .replaceAll(
      /("440[2-7]": \{\s+"kind": "transparent",\s+"security": ")\w+(",\s+"shortId": 0,\s+"contents": "\w*?)(?:00)+"/gu,
      (_, head: string, contents: string) => `${head}013fff${contents}${"ff".repeat(900)}"`,
    );
  return new VirtualFileCard(decodeImage(image));
}

let card: VirtualFileCard;
beforeEach(async () => {
  card = await testPkcs15Card();
});

describe.each(["rsa", "ec"] as const)("%s keys on a MyEID", (kind) => {
  test("are made, listed and used, also by the next one who looks", async () => {
    const id = await (async () => {
      await using rig = await Rig.open(card);
      const key = await rig.generate(kind);
      const made = await rig.idOf(key);
      expect(verifies(await rig.publicKey(made), await rig.sign(key, kind))).toBe(true);
      return made;
    })();
    await using rig = await Rig.open(card);
    const [key = 0] = await rig.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: id });
    expect(
      await rig.cryptoki.C_GetAttributeValue(rig.session, key, [
        CKA.LABEL,
        CKA.KEY_TYPE,
        CKA.LOCAL,
        CKA.NEVER_EXTRACTABLE,
        CKA.DESTROYABLE,
      ]),
    ).toMatchObject({
      [CKA.LABEL]: `made ${kind}`,
      [CKA.KEY_TYPE]: TYPE[kind],
      [CKA.LOCAL]: true,
      [CKA.NEVER_EXTRACTABLE]: true,
      [CKA.DESTROYABLE]: true,
    });
    expect(verifies(await rig.publicKey(id), await rig.sign(key, kind))).toBe(true);
  });

  test("are brought to the card, and used there", async () => {
    const given = testKey(kind === "rsa" ? "rsa-2048" : "p-256", "brought");
    await using rig = await Rig.open(card);
    const key = await rig.import(given, { [CKA.ID]: Uint8Array.of(0x77) });
    expect(await rig.cryptoki.C_GetAttributeValue(rig.session, key, [CKA.LOCAL, CKA.NEVER_EXTRACTABLE])).toMatchObject({
      [CKA.LOCAL]: false,
      [CKA.NEVER_EXTRACTABLE]: false,
    });
    expect(verifies(createPublicKey(given), await rig.sign(key, kind))).toBe(true);
    expect((await rig.publicKey(Uint8Array.of(0x77))).equals(createPublicKey(given))).toBe(true);
  });

  test("leave nothing behind when they are deleted", async () => {
    const before = filesOf(card);
    await using rig = await Rig.open(card);
    const entries = (await rig.find({})).length;
    const made = await rig.idOf(await rig.generate(kind));
    const brought = await rig.idOf(await rig.import(testKey(kind === "rsa" ? "rsa-2048" : "p-256", "brought")));
    expect(toHex(brought)).not.toBe(toHex(made));
    expect(filesOf(card).length).toBeGreaterThan(before.length);
    await rig.destroyPair(made);
    await rig.destroyPair(brought);
    expect(await rig.find({})).toHaveLength(entries);
    // Directories that grew stand in new files, and theirs stay; no key and no value does.
    const rest = filesOf(card).filter((id) => !before.includes(id));
    expect(card.image().match(/"kind": "key"/gu)).toHaveLength(4);
    expect(rest.length).toBeLessThanOrEqual(2);
    expect(
      verifies(createPublicKey(testKey("rsa-2048", "authentication")), await rig.sign(await first(rig), "rsa")),
    ).toBe(true);
  });

  test("that want the PIN for each use are made so", async () => {
    await using rig = await Rig.open(card);
    const key = await rig.generate(kind, { private: { [CKA.ALWAYS_AUTHENTICATE]: true } });
    await rig.cryptoki.C_SignInit(rig.session, { mechanism: SIGNATURE[kind] }, key);
    await rig.cryptoki.C_Login(rig.session, CKU.CONTEXT_SPECIFIC, "123456");
    const signature = await rig.cryptoki.C_Sign(rig.session, MESSAGE);
    expect(verifies(await rig.publicKey(await rig.idOf(key)), signature)).toBe(true);
    expect(card.image().match(/"consent": true/gu)).toHaveLength(2);
  });

  test("torn out while one is brought, the card has all of the pair or no private key, and takes the next one", async () => {
    const given = testKey(kind === "rsa" ? "rsa-2048" : "p-256", "brought");
    for (let commands = 0; commands < 40; commands += 4) {
      const torn = await testPkcs15Card();
      await tear(torn, commands, (rig) => rig.import(given));
      await using rig = await Rig.open(torn);
      const found = await rig.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.LABEL]: "brought" });
      expect(found.length).toBeLessThanOrEqual(1);
      for (const key of found) expect(verifies(createPublicKey(given), await rig.sign(key, kind))).toBe(true);
      const next = await rig.import(given, { [CKA.LABEL]: "next" });
      expect(verifies(createPublicKey(given), await rig.sign(next, kind))).toBe(true);
      // What the torn write left of its key went with this one.
      expect(torn.image().match(/"kind": "key"/gu)).toHaveLength(4 + found.length + 1);
    }
  });
});

test("torn out while one is deleted, the card lists a key that signs, or none", async () => {
  const given = testKey("p-256", "brought");
  for (let commands = 0; commands < 16; commands += 2) {
    const torn = await testPkcs15Card();
    {
      await using rig = await Rig.open(torn);
      await rig.import(given);
    }
    await tear(torn, commands, async (rig) => {
      const [key = 0] = await rig.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.LABEL]: "brought" });
      await rig.cryptoki.C_DestroyObject(rig.session, key);
    });
    await using rig = await Rig.open(torn);
    const found = await rig.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.LABEL]: "brought" });
    for (const key of found) expect(verifies(createPublicKey(given), await rig.sign(key, "ec"))).toBe(true);
  }
});

test("directories that pkcs15-init made take entries where they are, and what is deleted is gone", async () => {
  const other = asMadeByOthers(card);
  expect(other.image()).toContain("013fff");
  const before = filesOf(other);
  await using rig = await Rig.open(other);
  const made = await rig.idOf(await rig.generate("ec"));
  // A key file, and its public half.
  expect(filesOf(other).filter((id) => !before.includes(id))).toEqual(["6c00", "6c01"]);
  await rig.destroyPair(made);
  expect(filesOf(other)).toEqual(before);
});

test("a key found before its directory moved is deleted all the same", async () => {
  await using rig = await Rig.open(card);
  const keys: number[] = [];
  // Their entries do not fit into the directory that the card came with.
  for (let made = 0; made < 6; made++) keys.push(await rig.generate("ec"));
  for (const key of keys) await rig.cryptoki.C_DestroyObject(rig.session, key);
  expect(card.image().match(/"kind": "key"/gu)).toHaveLength(4);
});

test("two programs that write in turns do not take each other's keys for leftovers", async () => {
  await using one = await Rig.open(card);
  await using other = await Rig.open(card);
  for (const rig of [one, other]) await rig.find({});
  const first = await one.idOf(await one.generate("ec"));
  await other.cryptoki.C_Logout(other.session);
  await other.cryptoki.C_Login(other.session, CKU.USER, "123456");
  await other.generate("ec");
  await using later = await Rig.open(card);
  const [key = 0] = await later.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: first });
  expect(verifies(await later.publicKey(first), await later.sign(key, "ec"))).toBe(true);
  expect(card.image().match(/"kind": "key"/gu)).toHaveLength(6);
});

/** Does `work` on a card that answers so many commands more and then is gone. */
async function tear(torn: VirtualFileCard, commands: number, work: (rig: Rig) => Promise<unknown>): Promise<void> {
  await using rig = await Rig.open(torn);
  torn.tearAfter(commands);
  await Promise.race([work(rig).catch(() => undefined), silence()]);
}

async function first(rig: Rig): Promise<number> {
  const [key = 0] = await rig.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
  return key;
}

describe("a public key that is written after its private key", () => {
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const field = (name: "n" | "e"): Buffer =>
    Buffer.from(key.publicKey.export({ format: "jwk" })[name] ?? "", "base64url");
  const template = (more: Template): Template => ({
    [CKA.CLASS]: CKO.PUBLIC_KEY,
    [CKA.TOKEN]: true,
    [CKA.KEY_TYPE]: CKK.RSA,
    [CKA.MODULUS]: field("n"),
    [CKA.PUBLIC_EXPONENT]: field("e"),
    ...more,
  });

  test.each(["", "brought", "another name"])("is the one that the card lists, by its label (%j)", async (label) => {
    await using rig = await Rig.open(card);
    const id = await rig.idOf(await rig.import(key.privateKey));
    const made = await rig.cryptoki.C_CreateObject(
      rig.session,
      template({ [CKA.ID]: id, ...(label !== "" && { [CKA.LABEL]: label }) }),
    );
    expect(await rig.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id })).toEqual([made]);
    const { [CKA.LABEL]: shown } = await rig.cryptoki.C_GetAttributeValue(rig.session, made, [CKA.LABEL]);
    expect(shown).toBe(label || "brought");
    await using next = await Rig.open(card);
    const named = { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.LABEL]: label || "brought" };
    expect(await next.find(named)).toHaveLength(1);
  });

  test("and is no such key's is refused", async () => {
    await using rig = await Rig.open(card);
    const id = await rig.idOf(await rig.import(key.privateKey));
    for (const more of [{ [CKA.ID]: Uint8Array.of(0x77) }, { [CKA.ID]: id, [CKA.MODULUS]: field("n").fill(0xc1) }]) {
      await expect(rig.cryptoki.C_CreateObject(rig.session, template(more))).rejects.toMatchObject({
        code: "CKR_TEMPLATE_INCONSISTENT",
        message: expect.stringContaining("creates public keys with their private keys") as unknown,
      });
    }
  });
});

describe("what a MyEID does not do", () => {
  test.each([
    ["RSA of a size that it has not", (rig: Rig) => rig.generate("rsa", { public: { [CKA.MODULUS_BITS]: 2040 } })],
    [
      "an RSA key of such a size",
      (rig: Rig) => rig.import(generateKeyPairSync("rsa", { modulusLength: 1032 }).privateKey),
    ],
  ])("%s is refused, and the card is as it was", async (_, work) => {
    await using rig = await Rig.open(card);
    const before = lasting(card);
    await expect(work(rig)).rejects.toThrow(/CKR_/u);
    expect(lasting(card)).toBe(before);
  });

  test.each([{}, { [CKA.ID]: Uint8Array.of(9) }])(
    "a size that no MyEID has is refused by its value (%j)",
    async (id) => {
      await using rig = await Rig.open(await testPkcs15Card());
      const made = rig.generate("rsa", { public: { [CKA.MODULUS_BITS]: 1000, ...id }, private: id });
      await expect(made).rejects.toMatchObject({
        code: "CKR_ATTRIBUTE_VALUE_INVALID",
        message: expect.stringContaining("RSA keys of 512, 768, 1024") as unknown,
      });
    },
  );

  test("a key that the card refuses to make leaves no file behind", async () => {
    await using rig = await Rig.open(card);
    const before = filesOf(card);
    const transmit = card.transmit.bind(card);
    jest
      .spyOn(card, "transmit")
      .mockImplementation((command) =>
        toHex(command).startsWith("0046") ? Promise.resolve(fromHex("6a81")) : transmit(command),
      );
    await expect(rig.generate("ec", { public: { [CKA.EC_PARAMS]: P521 } })).rejects.toMatchObject({
      message: expect.stringContaining("the card does not allow this change"),
    });
    expect(filesOf(card)).toEqual(before);
  });

  test("nothing without a login", async () => {
    await using rig = await Rig.open(card, false);
    const before = lasting(card);
    await expect(rig.generate("ec")).rejects.toMatchObject({ code: "CKR_USER_NOT_LOGGED_IN" });
    await expect(rig.import(testKey("p-256", "brought"))).rejects.toMatchObject({ code: "CKR_USER_NOT_LOGGED_IN" });
    expect(lasting(card)).toBe(before);
  });

  test("a key whose rules say never is not deleted, and stays listed", async () => {
    await using rig = await Rig.open(card);
    const key = await first(rig);
    await expect(rig.cryptoki.C_DestroyObject(rig.session, key)).rejects.toMatchObject({
      code: "CKR_ACTION_PROHIBITED",
    });
    expect(verifies(createPublicKey(testKey("rsa-2048", "authentication")), await rig.sign(key, "rsa"))).toBe(true);
  });

  test("a second key under one CKA_ID", async () => {
    await using rig = await Rig.open(card);
    const before = filesOf(card);
    await expect(rig.generate("ec", { private: { [CKA.ID]: Uint8Array.of(1) } })).rejects.toThrow(/CKR_/u);
    expect(filesOf(card)).toEqual(before);
  });
});
