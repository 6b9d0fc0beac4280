import { createHash, createPublicKey, type KeyObject, verify, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKK, CKM, CKO, CKU, Cryptoki, type Template } from "../../../src/cryptoki/index.ts";
import { Pcscd, profiles } from "../../../src/index.ts";
import { testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const MESSAGE = utf8("message");
const PIN = "123456";
const P256 = fromHex("06082a8648ce3d030107");

type Kind = "rsa" | "ec";
const KINDS = [
  { kind: "rsa", spec: "rsa:2048", type: "rsa-2048" },
  { kind: "ec", spec: "ec:prime256v1", type: "p-256" },
] as const;

/** The driver on the card, logged in to its first token. */
class Ours implements AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly session: number;
  readonly #pcsc: Pcscd;

  private constructor(pcsc: Pcscd, cryptoki: Cryptoki, session: number) {
    this.#pcsc = pcsc;
    this.cryptoki = cryptoki;
    this.session = session;
  }

  static async open(): Promise<Ours> {
    const pcsc = new Pcscd();
    const cryptoki = new Cryptoki({ pcsc, profiles });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    return new Ours(pcsc, cryptoki, session);
  }

  async find(objectClass: number, id: string): Promise<readonly number[]> {
    await this.cryptoki.C_FindObjectsInit(this.session, { [CKA.CLASS]: objectClass, [CKA.ID]: fromHex(id) });
    const found = await this.cryptoki.C_FindObjects(this.session, 100);
    await this.cryptoki.C_FindObjectsFinal(this.session);
    return found;
  }

  /** The signature over {@link MESSAGE} by the private key with this CKA_ID. */
  async sign(id: string, kind: Kind): Promise<Uint8Array> {
    const [key = 0] = await this.find(CKO.PRIVATE_KEY, id);
    const mechanism = kind === "rsa" ? CKM.SHA256_RSA_PKCS : CKM.ECDSA_SHA256;
    await this.cryptoki.C_SignInit(this.session, { mechanism }, key);
    return this.cryptoki.C_Sign(this.session, MESSAGE);
  }

  /** @returns The public half. */
  async generate(id: string, kind: Kind): Promise<KeyObject> {
    const common = { [CKA.TOKEN]: true, [CKA.ID]: fromHex(id), [CKA.LABEL]: `our ${kind}` };
    const size = kind === "rsa" ? { [CKA.MODULUS_BITS]: 2048 } : { [CKA.EC_PARAMS]: P256 };
    const { publicKey } = await this.cryptoki.C_GenerateKeyPair(
      this.session,
      { mechanism: kind === "rsa" ? CKM.RSA_PKCS_KEY_PAIR_GEN : CKM.EC_KEY_PAIR_GEN },
      { ...common, ...size, [CKA.VERIFY]: true },
      { ...common, [CKA.PRIVATE]: true, [CKA.SIGN]: true },
    );
    const { [CKA.PUBLIC_KEY_INFO]: key } = await this.cryptoki.C_GetAttributeValue(this.session, publicKey, [
      CKA.PUBLIC_KEY_INFO,
    ]);
    return createPublicKey({ key: Buffer.from(key), format: "der", type: "spki" });
  }

  async import(id: string, key: KeyObject): Promise<void> {
    await this.cryptoki.C_CreateObject(this.session, {
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.TOKEN]: true,
      [CKA.PRIVATE]: true,
      [CKA.SIGN]: true,
      [CKA.ID]: fromHex(id),
      [CKA.LABEL]: "brought by us",
      ...partsOf(key),
    });
  }

  async destroy(id: string): Promise<void> {
    for (const objectClass of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY, CKO.CERTIFICATE]) {
      for (const handle of await this.find(objectClass, id)) await this.cryptoki.C_DestroyObject(this.session, handle);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cryptoki.C_Finalize();
    await this.#pcsc.close();
  }
}

function partsOf(key: KeyObject): Template {
  const jwk = key.export({ format: "jwk" });
  const field = (name: "n" | "e" | "d" | "p" | "q" | "dp" | "dq" | "qi"): Buffer =>
    Buffer.from(jwk[name] ?? "", "base64url");
  if (jwk.kty === "EC") return { [CKA.KEY_TYPE]: CKK.EC, [CKA.EC_PARAMS]: P256, [CKA.VALUE]: field("d") };
  return {
    [CKA.KEY_TYPE]: CKK.RSA,
    [CKA.MODULUS]: field("n"),
    [CKA.PUBLIC_EXPONENT]: field("e"),
    [CKA.PRIVATE_EXPONENT]: field("d"),
    [CKA.PRIME_1]: field("p"),
    [CKA.PRIME_2]: field("q"),
    [CKA.EXPONENT_1]: field("dp"),
    [CKA.EXPONENT_2]: field("dq"),
    [CKA.COEFFICIENT]: field("qi"),
  };
}

const verifies = (key: KeyObject, signature: Uint8Array, dsaEncoding: "ieee-p1363" | "der"): boolean =>
  verify("sha256", MESSAGE, { key, dsaEncoding }, signature);

describe("pkcs15-init and the driver on one card", () => {
  let card: PluggedIn;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);

  beforeAll(async () => {
    requirePrograms("pkcs15-init", "pkcs15-tool", "pkcs11-tool", "openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "pkcs15-init-"));
    card = await plugIn(await testPkcs15Card(), "Virtual PCD");
    await writeFile(file("message"), MESSAGE);
    await writeFile(file("hash"), createHash("sha256").update(MESSAGE).digest());
  });
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const init = (...args: readonly string[]): Promise<string> =>
    card.succeed("pkcs15-init", "--auth-id", "01", "--verify-pin", "--pin", PIN, ...args);

  /** OpenSC's signature over {@link MESSAGE}. */
  async function theirSignature(id: string, kind: Kind): Promise<Uint8Array> {
    const login = ["--slot-index", "0", "--login", "--pin", PIN, "--sign", "--id", id, "-o", file("signature")];
    const how =
      kind === "rsa"
        ? ["-m", "SHA256-RSA-PKCS", "-i", file("message")]
        : ["-m", "ECDSA", "--signature-format", "openssl", "-i", file("hash")];
    await card.succeed("pkcs11-tool", ...login, ...how);
    return readFile(file("signature"));
  }

  /** CKA_IDs of the private keys that OpenSC lists. */
  async function theirKeys(): Promise<readonly string[]> {
    const list = await card.succeed("pkcs15-tool", "--list-keys");
    return [...list.matchAll(/^\tID +: ([0-9a-f]+)$/gmu)].map(([, id]) => id ?? "");
  }

  async function storeKey(name: string, key: KeyObject, id: string): Promise<void> {
    await writeFile(file(name), key.export({ format: "pem", type: "pkcs8" }));
    await init("--store-private-key", file(name), "--id", id, "--label", "brought by them");
  }

  test.each(KINDS)("the driver signs with a key that pkcs15-init made: $spec", async ({ kind, spec }) => {
    const id = kind === "rsa" ? "21" : "22";
    await init("--generate-key", spec, "--id", id, "--label", `their ${kind}`);
    const publicKey = createPublicKey(await card.succeed("pkcs15-tool", "--read-public-key", id));
    await using ours = await Ours.open();
    expect(verifies(publicKey, await ours.sign(id, kind), "ieee-p1363")).toBe(true);
    const [key = 0] = await ours.find(CKO.PRIVATE_KEY, id);
    expect(await ours.cryptoki.C_GetAttributeValue(ours.session, key, [CKA.LABEL, CKA.LOCAL])).toMatchObject({
      [CKA.LABEL]: `their ${kind}`,
      [CKA.LOCAL]: true,
    });
  });

  test.each(KINDS)("the driver signs with a key that pkcs15-init brought: $spec", async ({ kind, type }) => {
    const id = kind === "rsa" ? "23" : "24";
    const key = testKey(type, "brought by them");
    await storeKey(`${kind}.pem`, key, id);
    await using ours = await Ours.open();
    expect(verifies(createPublicKey(key), await ours.sign(id, kind), "ieee-p1363")).toBe(true);
  });

  test("the driver reads a certificate that pkcs15-init stored", async () => {
    const request = ["req", "-x509", "-new", "-key", file("rsa.pem"), "-subj", "/CN=Brought", "-days", "30"];
    await card.succeed("openssl", ...request, "-out", file("certificate.pem"));
    await init("--store-certificate", file("certificate.pem"), "--id", "23");
    await using ours = await Ours.open();
    const [handle = 0] = await ours.find(CKO.CERTIFICATE, "23");
    const { [CKA.VALUE]: value } = await ours.cryptoki.C_GetAttributeValue(ours.session, handle, [CKA.VALUE]);
    const { raw } = new X509Certificate(await readFile(file("certificate.pem")));
    expect(toHex(value)).toBe(toHex(raw));
  });

  test.each(KINDS)("OpenSC signs with a key that the driver made: $spec", async ({ kind }) => {
    const id = kind === "rsa" ? "31" : "32";
    const publicKey = await (async () => {
      await using ours = await Ours.open();
      return await ours.generate(id, kind);
    })();
    expect(verifies(publicKey, await theirSignature(id, kind), "der")).toBe(true);
    expect(createPublicKey(await card.succeed("pkcs15-tool", "--read-public-key", id)).equals(publicKey)).toBe(true);
    expect(await card.succeed("pkcs15-tool", "--dump")).toContain(`Private ${kind.toUpperCase()} Key [our ${kind}]`);
  });

  test.each(KINDS)("OpenSC signs with a key that the driver brought: $spec", async ({ kind, type }) => {
    const id = kind === "rsa" ? "33" : "34";
    const key = testKey(type, "brought by us");
    {
      await using ours = await Ours.open();
      await ours.import(id, key);
    }
    expect(verifies(createPublicKey(key), await theirSignature(id, kind), "der")).toBe(true);
  });

  test("what one of them deletes is gone for the other", async () => {
    await init("--delete-objects", "privkey,pubkey", "--id", "21");
    await init("--delete-objects", "privkey,pubkey", "--id", "31");
    await init("--delete-objects", "cert", "--id", "23");
    {
      await using ours = await Ours.open();
      expect(await ours.find(CKO.PRIVATE_KEY, "21")).toEqual([]);
      expect(await ours.find(CKO.PRIVATE_KEY, "31")).toEqual([]);
      expect(await ours.find(CKO.CERTIFICATE, "23")).toEqual([]);
      for (const id of ["22", "23", "32", "33"]) await ours.destroy(id);
    }
    expect(await theirKeys()).toEqual(["01", "02", "03", "04", "24", "34"]);
    // What is left works on.
    expect(verifies(createPublicKey(testKey("p-256", "brought by us")), await theirSignature("34", "ec"), "der")).toBe(
      true,
    );
    await using ours = await Ours.open();
    const signature = await ours.sign("24", "ec");
    expect(verifies(createPublicKey(testKey("p-256", "brought by them")), signature, "ieee-p1363")).toBe(true);
  });
});
