import { constants, createPublicKey, publicEncrypt, verify } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { toHex } from "../../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { pkcs15 } from "../../../src/pkcs15/index.ts";
import { REBUILT_KEYS, REBUILT_PIN, rebuiltCard } from "../../pkcs15/rebuilt-card.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const PIN = REBUILT_PIN;
const CLASSES: ReadonlyMap<number, string> = new Map([
  [CKO.PRIVATE_KEY, "Private Key Object"],
  [CKO.PUBLIC_KEY, "Public Key Object"],
  [CKO.CERTIFICATE, "Certificate Object"],
]);
const USES = [
  [CKA.DECRYPT, "decrypt"],
  [CKA.ENCRYPT, "encrypt"],
  [CKA.SIGN, "sign"],
  [CKA.VERIFY, "verify"],
] as const;

interface Listed {
  readonly type: string;
  readonly label: string;
  readonly id: string;
  readonly uses: readonly string[];
}

/** One order for both lists. */
const sorted = (objects: readonly Listed[]): readonly Listed[] =>
  [...objects].sort((a, b) => `${a.type}${a.id}`.localeCompare(`${b.type}${b.id}`));

/** What `pkcs11-tool --list-objects` prints: an object's kind in a line of its own, its fields indented below. */
function parseList(text: string): Listed[] {
  const blocks = text.split(/^(?=\S)/mu).filter((block) => /^(Private Key|Public Key|Certificate) Object/u.test(block));
  return blocks.map((block) => {
    const field = (name: string): string => new RegExp(`^ +${name}: +(.*)$`, "mu").exec(block)?.[1]?.trim() ?? "";
    const usage = field("Usage").split(", ");
    return {
      type: block.slice(0, block.indexOf("Object") + "Object".length),
      label: field("label"),
      id: field("ID").split(" ")[0] ?? "",
      uses: USES.map(([, name]) => name).filter((name) => usage.includes(name)),
    };
  });
}

describe("the recorded card in a reader of pcscd", () => {
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let session: number;

  beforeAll(async () => {
    requirePrograms("pkcs11-tool", "pkcs15-tool");
    plugged = await plugIn(rebuiltCard(), "Virtual PCD");
    pcsc = new Pcscd();
    cryptoki = new Cryptoki({ pcsc, profiles: [pkcs15] });
    await cryptoki.C_Initialize();
    const [slot] = await cryptoki.C_GetSlotList(true);
    session = await cryptoki.C_OpenSession(slot ?? -1, CKF_SESSION.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
  });
  afterAll(async () => {
    await cryptoki.C_Finalize();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
  });

  async function listed(): Promise<Listed[]> {
    const found: Listed[] = [];
    for (const [objectClass, type] of CLASSES) {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass });
      for (const handle of await cryptoki.C_FindObjects(session, 100)) {
        const { [CKA.LABEL]: label, [CKA.ID]: id } = await cryptoki.C_GetAttributeValue(session, handle, [
          CKA.LABEL,
          CKA.ID,
        ]);
        const uses: string[] = [];
        for (const [attribute, name] of USES) {
          const values = await cryptoki.C_GetAttributeValue(session, handle, [attribute]).catch(() => ({}));
          if (Object.values(values).includes(true)) uses.push(name);
        }
        found.push({ type, label, id: toHex(id), uses });
      }
      await cryptoki.C_FindObjectsFinal(session);
    }
    return found;
  }

  test("is listed as OpenSC lists it", async () => {
    const theirs = parseList(await plugged.succeed("pkcs11-tool", "--login", "--pin", PIN, "--list-objects"));
    expect(theirs.length).toBeGreaterThan(4);
    expect(sorted(await listed())).toEqual(sorted(theirs));
  });

  test("names itself as OpenSC names it", async () => {
    const theirs = await plugged.succeed("pkcs15-tool", "--list-info");
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const info = await cryptoki.C_GetTokenInfo(slot);
    expect(theirs).toContain(info.label);
    expect(new RegExp(`Serial number *: *${info.serialNumber}$`, "mu").test(theirs)).toBe(true);
    expect(new RegExp(`Manufacturer ID *: *${info.manufacturerID}$`, "mu").test(theirs)).toBe(true);
  });

  test("certificates are those that OpenSC reads", async () => {
    for (const id of ["01", "03"]) {
      const pem = await plugged.succeed("pkcs15-tool", "--read-certificate", id);
      const theirs = Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/gu, ""), "base64");
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Buffer.from(id, "hex") });
      const [handle = 0] = await cryptoki.C_FindObjects(session, 1);
      await cryptoki.C_FindObjectsFinal(session);
      const { [CKA.VALUE]: ours } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.VALUE]);
      expect(toHex(ours)).toBe(toHex(theirs));
    }
  });

  describe("keys", () => {
    const MESSAGE = Buffer.from("signed by the rebuilt card\n");
    let folder: string;
    // Each program selects the applet anew, and with that the PIN is forgotten.
    beforeEach(async () => {
      await cryptoki.C_Logout(session).catch(() => undefined);
      await cryptoki.C_Login(session, CKU.USER, PIN);
    });
    beforeAll(async () => {
      folder = await mkdtemp(path.join(os.tmpdir(), "rebuilt-"));
      await writeFile(path.join(folder, "message"), MESSAGE);
    });
    afterAll(() => rm(folder, { recursive: true }));

    /** How OpenSC reads a file with a key. */
    async function byOpenSC(input: Uint8Array, ...args: readonly string[]): Promise<Uint8Array> {
      const [from, to] = [path.join(folder, "input"), path.join(folder, "output")];
      await writeFile(from, input);
      await plugged.succeed("pkcs11-tool", "--login", "--pin", PIN, ...args, "-i", from, "-o", to);
      return readFile(to);
    }

    async function privateKey(id: string): Promise<number> {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") });
      const [key = 0] = await cryptoki.C_FindObjects(session, 1);
      await cryptoki.C_FindObjectsFinal(session);
      return key;
    }

    test("an RSA signature is OpenSC's, byte for byte", async () => {
      await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await privateKey("01"));
      const ours = await cryptoki.C_Sign(session, MESSAGE);
      const theirs = await byOpenSC(MESSAGE, "--sign", "--id", "01", "--mechanism", "SHA256-RSA-PKCS");
      expect(toHex(ours)).toBe(toHex(theirs));
      expect(verify("sha256", MESSAGE, createPublicKey(REBUILT_KEYS["RSA cert"].key()), ours)).toBe(true);
    });

    test("signatures on the curve are right, ours and OpenSC's", async () => {
      const key = createPublicKey(REBUILT_KEYS["EC cert"].key());
      await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA1 }, await privateKey("03"));
      const ours = await cryptoki.C_Sign(session, MESSAGE);
      const theirs = await byOpenSC(MESSAGE, "--sign", "--id", "03", "--mechanism", "ECDSA-SHA1");
      for (const signature of [ours, theirs]) {
        expect(verify("sha1", MESSAGE, { key, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
      }
    });

    test("both decipher the same", async () => {
      const key = createPublicKey(REBUILT_KEYS["RSA decrypt"].key());
      const cryptogram = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, MESSAGE);
      await cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, await privateKey("02"));
      expect(Buffer.from(await cryptoki.C_Decrypt(session, cryptogram))).toEqual(MESSAGE);
      expect(await byOpenSC(cryptogram, "--decrypt", "--id", "02", "--mechanism", "RSA-PKCS")).toEqual(MESSAGE);
    });
  });

  test("a mechanism is offered for what the card can do", async () => {
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    expect(await cryptoki.C_GetMechanismList(slot)).toEqual(
      expect.arrayContaining([CKM.RSA_PKCS, CKM.SHA256_RSA_PKCS]),
    );
  });
});
