import { constants, createHash, createPublicKey, publicEncrypt, verify } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardPrivateKey, type CardToken, PinError } from "../../src/card/index.ts";
import { digestInfo } from "../../src/crypto/index.ts";
import { CKA, CKF_SESSION, CKM, CKO, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import { decodeImage } from "../../src/virtual/iso7816/image.ts";
import { insert, READER, RECORDING, withoutLe } from "./file-card.ts";
import { REBUILT_KEYS, REBUILT_PIN, rebuiltCard } from "./rebuilt-card.ts";
import { WatchedCard } from "./watched-card.ts";

const PIN = utf8(REBUILT_PIN);
/** What a recorded use of a key sent. */
const recorded = (name: string): string[] => (RECORDING.exchanges[name] ?? []).map(({ command }) => withoutLe(command));
/** The digest that was signed with RSA in the recording. */
const RECORDED_DIGEST = Buffer.from(RECORDING.exchanges["sign-rsa"]?.at(-1)?.command.slice(48, 112) ?? "", "hex");

let card: WatchedCard;
let token: CardToken;
beforeEach(async () => {
  card = new WatchedCard(rebuiltCard());
  const [first] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
  if (!first) throw new Error("no token");
  token = first;
});

async function keyOf(label: string): Promise<CardPrivateKey> {
  const key = (await token.objects()).find((object) => object.class === "private-key" && object.label === label);
  if (key?.class !== "private-key") throw new Error(`no key ${label}`);
  return key;
}

/** What a piece of work gives, and what it sent. */
async function watch<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly commands: readonly string[] }> {
  card.commands.length = 0;
  const value = await work();
  return { value, commands: card.commands.map(withoutLe) };
}

describe("the recorded card, as an image of the virtual one", () => {
  test("has the recorded objects, each readable", async () => {
    const objects = await token.objects();
    expect(objects.map(({ class: kind, label }) => `${kind} ${label}`)).toEqual([
      "private-key RSA cert",
      "private-key RSA decrypt",
      "private-key EC cert",
      "public-key RSA sign",
      "public-key RSA decrypt",
      "public-key EC sign",
      "certificate RSA cert",
      "certificate EC cert",
    ]);
    for (const object of objects) {
      if (object.class !== "public-key") continue;
      const own = Object.values(REBUILT_KEYS).find(({ id }) => id === toHex(object.id));
      expect(toHex(await object.publicKey())).toBe(
        own && createPublicKey(own.key()).export({ format: "der", type: "spki" }).toString("hex"),
      );
    }
  });

  test("signs with RSA by the commands that were recorded, and the signature is right", async () => {
    const key = await keyOf("RSA cert");
    const { commands } = await watch(async () => {
      await token.login("user", PIN);
      return token.use(key, "rsa-pkcs1", digestInfo("sha256", RECORDED_DIGEST));
    });
    expect(commands).toEqual(recorded("sign-rsa"));
    const message = utf8("rebuilt");
    const input = digestInfo("sha256", createHash("sha256").update(message).digest());
    const signature = await token.use(key, "rsa-pkcs1", input);
    expect(verify("sha256", message, createPublicKey(REBUILT_KEYS["RSA cert"].key()), signature)).toBe(true);
  });

  test("signs on the curve by the commands that were recorded, and the signature is right", async () => {
    const key = await keyOf("EC cert");
    const message = utf8("hello\n");
    const { value: signature, commands } = await watch(async () => {
      await token.login("user", PIN);
      return token.use(key, "ecdsa-sha1", message);
    });
    expect(commands).toEqual(recorded("sign-ec"));
    const spki = createPublicKey(REBUILT_KEYS["EC cert"].key());
    expect(verify("sha1", message, { key: spki, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  });

  test("deciphers what was enciphered for its key", async () => {
    const key = await keyOf("RSA decrypt");
    const own = createPublicKey(REBUILT_KEYS["RSA decrypt"].key());
    await token.login("user", PIN);
    const cryptogram = publicEncrypt({ key: own, padding: constants.RSA_PKCS1_PADDING }, utf8("secret"));
    expect(Buffer.from(await token.use(key, "rsa-pkcs1", cryptogram)).toString()).toBe("secret");
  });

  test.each([
    ["RSA-2048", { type: "rsa", modulusBits: 2048 }, "rsa-pkcs1"],
    ["P-256", { type: "ec", curve: "P-256" }, "ecdsa-sha1"],
    ["P-384", { type: "ec", curve: "P-384" }, "ecdsa-sha1"],
  ] as const)("makes a key pair, %s, that signs", async (_, type, primitive) => {
    await token.login("user", PIN);
    const usage = { sign: true, decrypt: false, derive: false };
    const made = await token.generateKeyPair?.({ type, id: Uint8Array.of(9), label: "made", usage });
    if (!made) throw new Error("it makes no keys");
    const message = utf8("by a new key");
    const isRsa = primitive === "rsa-pkcs1";
    const input = isRsa ? digestInfo("sha256", createHash("sha256").update(message).digest()) : message;
    const signature = await token.use(made.privateKey, primitive, input);
    const key = createPublicKey({ key: Buffer.from(await made.publicKey.publicKey()), format: "der", type: "spki" });
    expect(verify(isRsa ? "sha256" : "sha1", message, { key, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  });

  test("a wrong PIN costs one try, and the right one gives them back", async () => {
    await expect(token.login("user", utf8("999999"))).rejects.toThrow(PinError);
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 2 });
    await token.login("user", PIN);
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 3 });
  });

  test("signs through C_Sign with the default profiles", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, rebuiltCard());
    const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, REBUILT_PIN);
    const message = utf8("through the facade");
    for (const [label, mechanism, hash] of [
      ["RSA cert", CKM.SHA512_RSA_PKCS, "sha512"],
      ["EC cert", CKM.ECDSA_SHA1, "sha1"],
    ] as const) {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.LABEL]: label });
      const [key = 0] = await cryptoki.C_FindObjects(session, 1);
      await cryptoki.C_FindObjectsFinal(session);
      await cryptoki.C_SignInit(session, { mechanism }, key);
      const signature = await cryptoki.C_Sign(session, message);
      const half = createPublicKey(REBUILT_KEYS[label].key());
      expect(verify(hash, message, { key: half, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
    }
    await cryptoki.C_Finalize();
  });

  test("its image is a file that is read back as it was", () => {
    const image = rebuiltCard().image();
    const again = new VirtualFileCard(decodeImage(image));
    expect(again.image()).toBe(image);
    expect(toHex(again.atr)).toBe(RECORDING.atr);
  });
});
