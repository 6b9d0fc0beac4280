import {
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  verify,
  X509Certificate,
} from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { PivSession, type PivSlot } from "../../src/piv/index.ts";
import type { PivCardOptions } from "../../src/virtual/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";

const PIN = "123456";
const PUK = "12345678";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const DATA = Buffer.from("a letter to be signed");

/** A session with a card, and the instruction of each command. */
async function opened(
  options: PivCardOptions = { yubico: true },
): Promise<{ readonly piv: PivSession; readonly sent: string[] } & AsyncDisposable> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  const card = await testCard({
    ...options,
    keys: { "9d": { privateKey: testKey("p-256", "9d") }, ...options.keys },
  });
  const sent: string[] = [];
  readers.insert("Reader", {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: (command) => {
      sent.push(Buffer.from(command.subarray(1, 2)).toString("hex"));
      return card.transmit(command);
    },
  });
  const pcsc = readers.client();
  const piv = await PivSession.open({ pcsc });
  const end = async (): Promise<void> => {
    await piv[Symbol.asyncDispose]();
    await pcsc.close();
  };
  return { piv, sent, [Symbol.asyncDispose]: end };
}

const keyOf = (der: Uint8Array): ReturnType<typeof createPublicKey> =>
  createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });

describe("a session with a PIV card", () => {
  test("tells what the device is, and how the PIN stands", async () => {
    await using rig = await opened();
    expect(rig.piv.version?.major).toBeGreaterThanOrEqual(5);
    expect(rig.piv.serial).toBeGreaterThan(0);
    expect(await rig.piv.pinTries()).toBe(3);
    await expect(rig.piv.verifyPin("000000")).rejects.toMatchObject({ name: "PinError", triesLeft: 2 });
    await rig.piv.verifyPin(PIN);
    await using other = await opened({});
    expect(other.piv.version).toBeUndefined();
  });

  test("reads certificates, signs with them, and gives 9C its PIN directly before", async () => {
    await using rig = await opened({});
    for (const [slot, options] of [
      ["9a", { pin: PIN, padding: "pss" }],
      ["9c", { pin: PIN, encoding: "der" }],
      ["9e", { encoding: "der" }],
    ] as const) {
      const { publicKey } = new X509Certificate(await rig.piv.getCertificate(slot));
      rig.sent.length = 0;
      const signature = await rig.piv.sign(slot, DATA, options);
      if (slot === "9c") expect(rig.sent.slice(-2)).toEqual(["20", "87"]);
      const key = slot === "9a" ? { key: publicKey, padding: 6, saltLength: 32 } : publicKey;
      expect(verify("sha256", DATA, key, signature)).toBe(true);
    }
    // Its PIN served one use.
    await expect(rig.piv.sign("9c", DATA)).rejects.toMatchObject({ name: "LoginRequiredError" });
    await expect(rig.piv.getCertificate("82")).rejects.toMatchObject({ name: "ObjectGoneError" });
    await expect(rig.piv.getCertificate("99" as PivSlot)).rejects.toMatchObject({ name: "DataError" });
  });

  test("decrypts and agrees on secrets", async () => {
    await using rig = await opened({});
    const { publicKey } = new X509Certificate(await rig.piv.getCertificate("9a"));
    const box = publicEncrypt({ key: publicKey, oaepHash: "sha256" }, Buffer.from("meet me at noon"));
    expect(Buffer.from(await rig.piv.decrypt("9a", box, { pin: PIN })).toString()).toBe("meet me at noon");
    const peer = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const secret = await rig.piv.deriveSecret("9d", peer.publicKey.export({ format: "der", type: "spki" }), {
      pin: PIN,
    });
    const own = new X509Certificate(await rig.piv.getCertificate("9d")).publicKey;
    expect(Buffer.from(secret)).toEqual(diffieHellman({ privateKey: peer.privateKey, publicKey: own }));
    await expect(rig.piv.decrypt("9d", box, { pin: PIN })).rejects.toMatchObject({ name: "UnsupportedError" });
  });

  test("makes, attests, moves, imports and deletes keys, and writes objects, with the management key only", async () => {
    await using rig = await opened();
    const { piv } = rig;
    await expect(piv.generate("84", { type: "rsa", modulusBits: 2048 })).rejects.toMatchObject({ name: "StatusError" });
    await expect(piv.authenticate("ff".repeat(24))).rejects.toMatchObject({ name: "PinError" });
    await piv.authenticate(MANAGEMENT_KEY);
    const made = await piv.generate("9e", { type: "ec", curve: "P-256" }, { pin: "never", touch: "never" });
    expect(await piv.metadata("9e")).toEqual({ pin: "never", touch: "never", origin: "generated", publicKey: made });
    const signature = await piv.sign("9e", DATA, { encoding: "der" });
    expect(verify("sha256", DATA, keyOf(made), signature)).toBe(true);
    const attestation = new X509Certificate(await piv.attest("9e"));
    expect(attestation.verify(new X509Certificate(await piv.getCertificate("f9")).publicKey)).toBe(true);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pkcs8 = privateKey.export({ format: "der", type: "pkcs8" });
    const brought = await piv.importKey("84", pkcs8, { pin: "never" });
    expect(Buffer.from(brought)).toEqual(publicKey.export({ format: "der", type: "spki" }));
    await piv.moveKey("84", "85");
    expect((await piv.metadata("85")).origin).toBe("imported");
    await piv.deleteKey("85");
    await expect(piv.metadata("85")).rejects.toMatchObject({ name: "ObjectGoneError" });
    const certificate = await piv.getCertificate("9a");
    await piv.putCertificate("82", certificate);
    expect(await piv.getCertificate("82")).toEqual(certificate);
    await piv.deleteCertificate("82");
    await expect(piv.getCertificate("82")).rejects.toMatchObject({ name: "ObjectGoneError" });
    await piv.putObject(0x5fff10, DATA);
    expect(Buffer.from(await piv.getObject(0x5fff10))).toEqual(DATA);
    await expect(
      piv.generate("9e", { type: "ec", curve: "P-256" }, { pin: "sometimes" as "once" }),
    ).rejects.toMatchObject({
      name: "DataError",
    });
  });

  test("changes PIN, PUK and management key, unblocks, and resets", async () => {
    await using rig = await opened();
    const { piv } = rig;
    await piv.changePin({ old: PIN, new: "654321" });
    await piv.changePuk({ old: PUK, new: "87654321" });
    await piv.unblockPin({ puk: "87654321", new: PIN });
    await piv.verifyPin(PIN);
    await piv.authenticate(MANAGEMENT_KEY);
    await piv.setManagementKey("aa".repeat(32));
    await expect(piv.authenticate(MANAGEMENT_KEY)).rejects.toMatchObject({ name: "PinError" });
    await piv.authenticate("aa".repeat(32));
    await piv.reset();
    await expect(piv.getCertificate("9a")).rejects.toMatchObject({ name: "ObjectGoneError" });
    await piv.authenticate(MANAGEMENT_KEY);
  });

  test("a transaction keeps others out, and secrets stay the caller's", async () => {
    await using rig = await opened();
    const pin = new TextEncoder().encode(PIN);
    const order: string[] = [];
    const held = rig.piv.transaction(async (piv) => {
      await piv.verifyPin(pin);
      order.push("verified");
      await piv.sign("9a", DATA);
      order.push("signed");
    });
    const other = rig.piv.pinTries().then(() => order.push("asked"));
    await Promise.all([held, other]);
    expect(order.indexOf("signed")).toBe(order.indexOf("verified") + 1);
    expect(Buffer.from(pin).toString()).toBe(PIN);
  });

  test("no card, and several, are errors that say what to do", async () => {
    const readers = new MemoryReaders();
    const pcsc = readers.client();
    await expect(PivSession.open({ pcsc })).rejects.toThrow("no smart-card reader; plug one in");
    readers.plug("One");
    await expect(PivSession.open({ pcsc })).rejects.toThrow("no card in a reader");
    readers.plug("Two");
    for (const name of ["One", "Two"]) readers.insert(name, await testCard());
    await expect(PivSession.open({ pcsc })).rejects.toThrow("name the reader, one of One, Two");
    await using piv = await PivSession.open({ pcsc, reader: "Two" });
    expect((await piv.getCertificate("9a")).length).toBeGreaterThan(0);
    await pcsc.close();
  });
});
