import { createHash, createPublicKey, verify, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd, profiles } from "../../../src/index.ts";
import { createBlankCard, type MakeName } from "../../../src/virtual/index.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const MESSAGE = utf8("message");
const HASH = createHash("sha1").update(MESSAGE).digest();
const PIN = "123456";

interface Made {
  readonly make: MakeName;
  /** What C_InitToken takes. */
  readonly officer: string;
  /** The identifier of the user's PIN, on a card that OpenSC made. */
  readonly theirPin: string;
  /** How pkcs15-init makes a token, step by step. */
  readonly create: readonly (readonly string[])[];
  /** The card hashes before it signs with ECDSA. */
  readonly hashes: boolean;
}

const MAKES: readonly Made[] = [
  {
    make: "iso-applet",
    officer: "1234567890123456",
    theirPin: "FF",
    create: [["--create-pkcs15", "--so-pin", PIN, "--so-puk", "1234567890123456", "--label", "Theirs"]],
    hashes: true,
  },
  {
    make: "myeid",
    officer: "87654321",
    theirPin: "01",
    create: [
      ["--create-pkcs15", "--so-pin", "87654321", "--so-puk", "11112222", "--label", "Theirs"],
      ["--store-pin", "--auth-id", "01", "--pin", PIN, "--puk", "22223333", "--label", "User", "--so-pin", "87654321"],
      ["--finalize"],
    ],
    hashes: false,
  },
];

/** Runs `work` with our library, which is gone afterwards: the programs have the card for themselves. */
async function withOurs<T>(work: (cryptoki: Cryptoki, slot: number) => Promise<T>): Promise<T> {
  const pcsc = new Pcscd();
  try {
    await using cryptoki = new Cryptoki({ pcsc, profiles });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    return await work(cryptoki, slot);
  } finally {
    await pcsc.close();
  }
}

const openSession = (cryptoki: Cryptoki, slot: number): Promise<number> =>
  cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);

async function findOne(cryptoki: Cryptoki, session: number, objectClass: number, id: string): Promise<number> {
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass, [CKA.ID]: fromHex(id) });
  const [found = -1] = await cryptoki.C_FindObjects(session, 2);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}

describe.each(MAKES)("a blank virtual card, $make", ({ make, officer, theirPin, create, hashes }) => {
  let card: PluggedIn;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);
  const dsa = { dsaEncoding: "ieee-p1363" as const };

  beforeAll(async () => {
    requirePrograms("pkcs15-init", "pkcs15-tool", "pkcs11-tool", "openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "initialising-"));
    await writeFile(file("message"), MESSAGE);
    await writeFile(file("hash"), HASH);
    card = await plugIn(createBlankCard(make), "Virtual PCD");
  });
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const sign = async (cryptoki: Cryptoki, session: number, id: string): Promise<Uint8Array> => {
    const key = await findOne(cryptoki, session, CKO.PRIVATE_KEY, id);
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA1 }, key);
    return cryptoki.C_Sign(session, MESSAGE);
  };

  test("is initialised by us: pkcs15-tool lists it, pkcs15-init makes a key and stores a certificate on it", async () => {
    await withOurs(async (cryptoki, slot) => {
      expect(((await cryptoki.C_GetTokenInfo(slot)).flags & CKF.TOKEN_INITIALIZED) === 0).toBe(true);
      await cryptoki.C_InitToken(slot, officer, "Ours");
      const session = await openSession(cryptoki, slot);
      await cryptoki.C_Login(session, CKU.SO, officer);
      await cryptoki.C_InitPIN(session, PIN);
    });
    const dump = await card.succeed("pkcs15-tool", "--dump");
    expect(dump).toContain("PKCS#15 Card [Ours]");
    expect(dump).toContain("PIN [PIN]");
    const login = ["--auth-id", "01", "--verify-pin", "--pin", PIN];
    await card.succeed("pkcs15-init", "--generate-key", "ec:prime256v1", "--id", "21", "--label", "theirs", ...login);
    const name = [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      "/CN=Card",
    ];
    await card.succeed("openssl", ...name, "-keyout", file("key.pem"), "-out", file("certificate.pem"));
    await card.succeed("pkcs15-init", "--store-certificate", file("certificate.pem"), "--id", "21", ...login);
    await withOurs(async (cryptoki, slot) => {
      const session = await openSession(cryptoki, slot);
      await cryptoki.C_Login(session, CKU.USER, PIN);
      const publicKey = createPublicKey(await readPublicKey(cryptoki, session, "21"));
      expect(verify("sha1", MESSAGE, { key: publicKey, ...dsa }, await sign(cryptoki, session, "21"))).toBe(true);
      const handle = await findOne(cryptoki, session, CKO.CERTIFICATE, "21");
      const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.VALUE]);
      expect(toHex(value)).toBe(toHex(new X509Certificate(await readFile(file("certificate.pem"))).raw));
      await makeKey(cryptoki, session, "31");
    });
  });

  async function readPublicKey(
    cryptoki: Cryptoki,
    session: number,
    id: string,
  ): Promise<{ readonly key: Buffer; readonly format: "der"; readonly type: "spki" }> {
    const handle = await findOne(cryptoki, session, CKO.PUBLIC_KEY, id);
    const { [CKA.PUBLIC_KEY_INFO]: key } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.PUBLIC_KEY_INFO]);
    return { key: Buffer.from(key), format: "der", type: "spki" };
  }

  async function makeKey(cryptoki: Cryptoki, session: number, id: string): Promise<void> {
    const common = { [CKA.TOKEN]: true, [CKA.ID]: fromHex(id), [CKA.LABEL]: "ours" };
    await cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { ...common, [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107"), [CKA.VERIFY]: true },
      { ...common, [CKA.PRIVATE]: true, [CKA.SIGN]: true },
    );
  }

  test("pkcs11-tool signs with the key that we made on it, and has its PIN changed and unblocked", async () => {
    const login = ["--login", "--pin", PIN, "--sign", "--id", "31", "-m", hashes ? "ECDSA-SHA1" : "ECDSA"];
    const input = file(hashes ? "message" : "hash");
    await card.succeed("pkcs11-tool", ...login, "-i", input, "-o", file("signature"));
    const publicKey = createPublicKey(await card.succeed("pkcs15-tool", "--read-public-key", "31"));
    expect(verify("sha1", MESSAGE, { key: publicKey, ...dsa }, await readFile(file("signature")))).toBe(true);
    await card.succeed("pkcs15-tool", "--change-pin", "--auth-id", "01", "--pin", PIN, "--new-pin", "654321");
    await card.succeed("pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--puk", officer, "--new-pin", PIN);
    await card.succeed("pkcs11-tool", ...login, "-i", input, "-o", file("signature"));
  });

  test("is erased and initialised by pkcs15-init, which we read, use and erase", async () => {
    // It asks a terminal for the SO PIN, unless the PIN is given by its identifier.
    if (make === "myeid") await card.succeed("pkcs15-init", "--erase-card", "--secret", `@FF=${officer}`);
    else {
      // OpenSC cannot erase an IsoApplet, and the applet keeps its PIN: a new one takes its place.
      await card[Symbol.asyncDispose]();
      card = await plugIn(createBlankCard(make), "Virtual PCD");
    }
    for (const step of create) await card.succeed("pkcs15-init", ...step);
    const soPin = make === "myeid" ? ["--so-pin", officer] : [];
    const key = ["--generate-key", "ec:prime256v1", "--id", "41", "--label", "theirs", "--auth-id", theirPin];
    await card.succeed("pkcs15-init", ...key, "--pin", PIN, ...soPin);
    await withOurs(async (cryptoki, slot) => {
      expect(await cryptoki.C_GetTokenInfo(slot)).toMatchObject({ label: "Theirs" });
      const session = await openSession(cryptoki, slot);
      await cryptoki.C_Login(session, CKU.USER, PIN);
      const publicKey = createPublicKey(await readPublicKey(cryptoki, session, "41"));
      expect(verify("sha1", MESSAGE, { key: publicKey, ...dsa }, await sign(cryptoki, session, "41"))).toBe(true);
      await makeKey(cryptoki, session, "42");
      await cryptoki.C_CloseSession(session);
      await cryptoki.C_ResetToken(slot, make === "myeid" ? officer : PIN);
      expect(((await cryptoki.C_GetTokenInfo(slot)).flags & CKF.TOKEN_INITIALIZED) === 0).toBe(true);
    });
    expect((await card.run("pkcs15-tool", "--dump")).code).not.toBe(0);
    await withOurs((cryptoki, slot) => cryptoki.C_InitToken(slot, officer, "Ours again"));
    expect(await card.succeed("pkcs15-tool", "--dump")).toContain("PKCS#15 Card [Ours again]");
  });
});
