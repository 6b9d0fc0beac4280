import {
  constants,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  verify,
} from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { toHex, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKD, CKF_SESSION, CKK, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { pkcs15 } from "../../../src/pkcs15/index.ts";
import { HSM_CODE, HSM_PIN } from "../../pkcs15/smartcard-hsm-card.ts";
import { EC, labCard, RSA } from "../../pkcs15/smartcard-hsm-lab.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const MESSAGE = utf8("signed by both");
const CLASSES = [
  [CKO.PRIVATE_KEY, "Private Key Object"],
  [CKO.PUBLIC_KEY, "Public Key Object"],
  [CKO.CERTIFICATE, "Certificate Object"],
] as const;

/** Kinds, labels and identifiers that `pkcs11-tool --list-objects` prints: a kind stands in a line of its own. */
function parseList(text: string): string[] {
  const blocks = text.split(/^(?=\S)/mu).filter((block) => /^(Private Key|Public Key|Certificate) Object/u.test(block));
  return blocks.map((block) => {
    const field = (name: string): string => new RegExp(`^ +${name}: +(.*)$`, "mu").exec(block)?.[1]?.trim() ?? "";
    return `${block.slice(0, block.indexOf("Object") + "Object".length)} ${field("label")} ${field("ID")}`;
  });
}

describe("the model of a SmartCard-HSM, in a reader of pcscd", () => {
  const card = labCard();
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let session: number;
  let folder: string;

  beforeAll(async () => {
    requirePrograms("pkcs11-tool", "pkcs15-tool");
    plugged = await plugIn(card, "Virtual PCD");
    folder = await mkdtemp(path.join(os.tmpdir(), "smartcard-hsm-"));
    pcsc = new Pcscd();
    cryptoki = new Cryptoki({ pcsc, profiles: [pkcs15] });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
  });
  afterAll(async () => {
    await cryptoki[Symbol.asyncDispose]();
    await pcsc.close();
    await rm(folder, { recursive: true });
    await plugged[Symbol.asyncDispose]();
  });

  async function find(type: number, id?: number): Promise<readonly number[]> {
    await cryptoki.C_FindObjectsInit(session, {
      [CKA.CLASS]: type,
      ...(id !== undefined && { [CKA.ID]: Uint8Array.of(id) }),
    });
    const found = await cryptoki.C_FindObjects(session, 100);
    await cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  /** Every program selects the applet, which makes the card forget who logged in before. */
  async function login(): Promise<void> {
    await cryptoki.C_Logout(session).catch(() => undefined);
    await cryptoki.C_Login(session, CKU.USER, HSM_PIN);
  }

  const withPkcs11Tool = (...args: readonly string[]): Promise<string> =>
    plugged.succeed("pkcs11-tool", "--login", "--pin", HSM_PIN, ...args);

  test("is one for OpenSC, which names it as we do", async () => {
    expect(await plugged.succeed("opensc-tool", "--name")).toContain("SmartCard-HSM");
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const { label, serialNumber, manufacturerID } = await cryptoki.C_GetTokenInfo(slot);
    const theirs = await plugged.succeed("pkcs15-tool", "--list-info");
    expect(theirs).toContain(label);
    expect(theirs).toContain(manufacturerID);
    expect(new RegExp(`Serial number *: *${serialNumber}$`, "mu").test(theirs)).toBe(true);
  });

  test("has the objects that OpenSC lists", async () => {
    const theirs = parseList(await withPkcs11Tool("--list-objects"));
    await login();
    const ours: string[] = [];
    for (const [type, name] of CLASSES) {
      for (const object of await find(type)) {
        const found = await cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL, CKA.ID]);
        ours.push(`${name} ${found[CKA.LABEL]} ${toHex(found[CKA.ID])}`);
      }
    }
    // OpenSC shows the public key of every certificate, also where there is no private one.
    expect([...ours, "Public Key Object Lab CA aa00"].sort()).toEqual(theirs.sort());
  });

  test.each([
    ["SHA256-RSA-PKCS", 1, CKM.SHA256_RSA_PKCS, createPublicKey(RSA)],
    ["ECDSA-SHA256", 2, CKM.ECDSA_SHA256, { key: createPublicKey(EC), dsaEncoding: "ieee-p1363" as const }],
  ])("signs for OpenSC and for us: %s", async (name, id, mechanism, key) => {
    const [input, output] = [path.join(folder, "in"), path.join(folder, "out")];
    await writeFile(input, MESSAGE);
    await withPkcs11Tool("--sign", "--mechanism", name, "--id", `0${id}`, "-i", input, "-o", output);
    expect(verify("sha256", MESSAGE, key, await readFile(output))).toBe(true);
    await login();
    const [privateKey = -1] = await find(CKO.PRIVATE_KEY, id);
    await cryptoki.C_SignInit(session, { mechanism }, privateKey);
    expect(verify("sha256", MESSAGE, key, await cryptoki.C_Sign(session, MESSAGE))).toBe(true);
  });

  test("takes a hash for ECDSA from OpenSC as from us", async () => {
    const [input, output] = [path.join(folder, "in"), path.join(folder, "out")];
    const hash = createHash("sha256").update(MESSAGE).digest();
    await writeFile(input, hash);
    await withPkcs11Tool("--sign", "--mechanism", "ECDSA", "--id", "02", "-i", input, "-o", output);
    const key = { key: createPublicKey(EC), dsaEncoding: "ieee-p1363" as const };
    expect(verify("sha256", MESSAGE, key, await readFile(output))).toBe(true);
    const sign = card.commands.findLast((command) => command.startsWith("8068"));
    expect(sign?.slice(0, 8)).toBe("80680270");
    expect(sign).toContain(hash.toString("hex"));
  });

  test("deciphers for OpenSC and for us", async () => {
    const secret = publicEncrypt({ key: createPublicKey(RSA), padding: constants.RSA_PKCS1_PADDING }, MESSAGE);
    const [input, output] = [path.join(folder, "in"), path.join(folder, "out")];
    await writeFile(input, secret);
    await withPkcs11Tool("--decrypt", "--mechanism", "RSA-PKCS", "--id", "01", "-i", input, "-o", output);
    expect(new Uint8Array(await readFile(output))).toEqual(MESSAGE);
    await login();
    const [privateKey = -1] = await find(CKO.PRIVATE_KEY, 1);
    await cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, privateKey);
    expect(await cryptoki.C_Decrypt(session, new Uint8Array(secret))).toEqual(MESSAGE);
  });

  test("agrees on a secret with OpenSC and with us", async () => {
    const peer = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const spki = peer.publicKey.export({ format: "der", type: "spki" });
    // The point is the end of it (RFC 5480 section 2.2).
    const point = new Uint8Array(spki.subarray(-65));
    const [input, output] = [path.join(folder, "in"), path.join(folder, "out")];
    await writeFile(input, spki);
    await withPkcs11Tool("--derive", "--mechanism", "ECDH1-DERIVE", "--id", "02", "-i", input, "-o", output);
    const secret = diffieHellman({ privateKey: peer.privateKey, publicKey: createPublicKey(EC) });
    expect(await readFile(output)).toEqual(secret);
    const theirs = card.commands.findLast((command) => command.startsWith("8062"));
    await login();
    const [privateKey = -1] = await find(CKO.PRIVATE_KEY, 2);
    const parameter = { kdf: CKD.NULL, pPublicData: point };
    const key = await cryptoki.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, privateKey, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.SENSITIVE]: false,
      [CKA.EXTRACTABLE]: true,
    });
    const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, key, [CKA.VALUE]);
    expect(value).toEqual(new Uint8Array(secret));
    const ours = card.commands.findLast((command) => command.startsWith("8062"));
    expect(theirs).toContain(toHex(point));
    expect(theirs?.slice(0, 8)).toBe(ours?.slice(0, 8));
    expect(ours).toContain(toHex(point));
  });

  test("has its PIN changed and set by OpenSC as by us", async () => {
    const sent = (ins: string): string => {
      // Lengths are written short by us, and as OpenSC likes by OpenSC.
      const command = card.commands.findLast((each) => each.startsWith(ins)) ?? "";
      return command.slice(0, 8) + command.slice(10);
    };
    const slotSession = async (): Promise<number> => {
      const [slot = -1] = await cryptoki.C_GetSlotList(true);
      return cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    };
    await plugged.succeed("pkcs11-tool", "--login", "--pin", HSM_PIN, "--change-pin", "--new-pin", "another1");
    const theirChange = sent("0024");
    const set = ["--login", "--login-type", "so", "--so-pin", HSM_CODE, "--init-pin", "--new-pin", HSM_PIN];
    await plugged.succeed("pkcs11-tool", ...set);
    const theirUnlock = sent("002c");
    const writing = await slotSession();
    await cryptoki.C_Logout(session).catch(() => undefined);
    await cryptoki.C_SetPIN(writing, HSM_PIN, "another1");
    expect(sent("0024")).toBe(theirChange);
    await cryptoki.C_UnlockPIN(writing, HSM_CODE, HSM_PIN);
    expect(sent("002c")).toBe(theirUnlock);
  });

  test("lists in fewer exchanges than OpenSC", async () => {
    card.commands.length = 0;
    await plugged.succeed("pkcs11-tool", "--list-objects");
    const theirs = card.commands.length;
    // Alone with the card, as that program was.
    await cryptoki.C_Finalize();
    await using own = new Cryptoki({ pcsc, profiles: [pkcs15] });
    await own.C_Initialize();
    card.commands.length = 0;
    const [slot = -1] = await own.C_GetSlotList(true);
    const other = await own.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await own.C_FindObjectsInit(other, {});
    await own.C_FindObjects(other, 100);
    // SELECT, the list, two keys, the files of their certificates, the entries of an authority and of two data objects.
    expect(card.commands).toHaveLength(9);
    expect(theirs).toBeGreaterThan(9);
  });

  test.each([
    ["rsa:2048", 0x21, CKM.SHA256_RSA_PKCS],
    ["EC:prime256v1", 0x22, CKM.ECDSA_SHA256],
    ["EC:secp384r1", 0x23, CKM.ECDSA_SHA384],
  ])("a key that OpenSC made, %s, signs for us, and its public half verifies", async (type, id, mechanism) => {
    const made = ["--key-type", type, "--id", id.toString(16), "--label", `made ${type}`, "--usage-sign"];
    await withPkcs11Tool("--keypairgen", ...made);
    await using own = new Cryptoki({ pcsc, profiles: [pkcs15] });
    await own.C_Initialize();
    const [slot = -1] = await own.C_GetSlotList(true);
    const other = await own.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await own.C_Login(other, CKU.USER, HSM_PIN);
    const findOne = async (objectClass: number): Promise<number> => {
      await own.C_FindObjectsInit(other, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(id) });
      const [found = -1] = await own.C_FindObjects(other, 2);
      await own.C_FindObjectsFinal(other);
      return found;
    };
    const privateKey = await findOne(CKO.PRIVATE_KEY);
    const publicKey = await findOne(CKO.PUBLIC_KEY);
    const { [CKA.LABEL]: label } = await own.C_GetAttributeValue(other, privateKey, [CKA.LABEL]);
    expect(label).toBe(`made ${type}`);
    await own.C_SignInit(other, { mechanism }, privateKey);
    const signature = await own.C_Sign(other, MESSAGE);
    await own.C_VerifyInit(other, { mechanism }, publicKey);
    await own.C_Verify(other, MESSAGE, signature);
  });

  test("certificates and data that OpenSC wrote are read", async () => {
    const [der, value] = [path.join(folder, "der"), path.join(folder, "value")];
    await writeFile(der, card.files.get("ca00") ?? "");
    await writeFile(value, MESSAGE);
    await withPkcs11Tool("--write-object", der, "--type", "cert", "--id", "77", "--label", "written CA");
    await withPkcs11Tool("--write-object", value, "--type", "data", "--label", "written", "--application-label", "lab");
    await withPkcs11Tool("--write-object", value, "--type", "data", "--label", "hidden", "--private");
    await using own = new Cryptoki({ pcsc, profiles: [pkcs15] });
    await own.C_Initialize();
    const [slot = -1] = await own.C_GetSlotList(true);
    const other = await own.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await own.C_Login(other, CKU.USER, HSM_PIN);
    for (const [label, wanted] of [
      ["written CA", card.files.get("ca00")],
      ["written", MESSAGE],
      ["hidden", MESSAGE],
    ] as const) {
      await own.C_FindObjectsInit(other, { [CKA.LABEL]: label });
      const [object = -1] = await own.C_FindObjects(other, 2);
      await own.C_FindObjectsFinal(other);
      expect((await own.C_GetAttributeValue(other, object, [CKA.VALUE]))[CKA.VALUE]).toEqual(wanted);
    }
  });
});
