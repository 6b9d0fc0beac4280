import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject, publicEncrypt } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { utf8 } from "../../../src/bytes/index.ts";
import {
  CKA,
  CKD,
  CKF_SESSION,
  CKG_MGF,
  CKK,
  CKM,
  CKO,
  CKU,
  type CK_MECHANISM,
  Cryptoki,
} from "../../../src/cryptoki/index.ts";
import { ecdsaToDer } from "../../../src/crypto/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { piv } from "../../../src/piv/index.ts";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const PIN = utf8("123456");
const MESSAGE = utf8("what the card signs");
const KINDS = { "9a": "rsa-2048", "9c": "p-256", "9d": "rsa-2048", "9e": "p-256" } as const;
/** The same slots with the kinds of keys the other way round. */
const OTHER_KINDS = { "9a": "p-384", "9c": "rsa-2048", "9d": "p-256", "9e": "rsa-2048" } as const;
const ID = { "9a": 1, "9c": 2, "9d": 3, "9e": 4 } as const;
/** What the facade says of a use that the key is not for. */
const NOT_PERMITTED = { code: "CKR_KEY_FUNCTION_NOT_PERMITTED" };

describe.each([KINDS, OTHER_KINDS])("through pcscd, a card with $9a $9c $9d $9e", (kinds) => {
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let session: number;
  let folder: string;
  const keyOf = (slot: keyof typeof ID): KeyObject => createPublicKey(testKey(kinds[slot], slot));
  const isRsa = (slot: keyof typeof ID): boolean => kinds[slot].startsWith("rsa");
  const slots = ["9a", "9c", "9d", "9e"] as const;

  beforeAll(async () => {
    requirePrograms("openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "driver-"));
    const keys = Object.fromEntries(
      Object.entries(kinds).map(([slot, type]) => [slot, { privateKey: testKey(type, slot) }]),
    );
    plugged = await plugIn(await VirtualPivCard.create({ keys, yubico: true }), "Virtual PCD");
    pcsc = new Pcscd();
    cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
    await cryptoki.C_Initialize();
    const [slot] = await cryptoki.C_GetSlotList(true);
    session = await cryptoki.C_OpenSession(slot ?? -1, CKF_SESSION.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
  });
  afterAll(async () => {
    await cryptoki.C_Finalize();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function find(slot: keyof typeof ID, objectClass: number): Promise<number> {
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(ID[slot]) });
    const [found] = await cryptoki.C_FindObjects(session, 10);
    await cryptoki.C_FindObjectsFinal(session);
    return found ?? 0;
  }

  async function sign(slot: keyof typeof ID, mechanism: CK_MECHANISM): Promise<Uint8Array> {
    await cryptoki.C_SignInit(session, mechanism, await find(slot, CKO.PRIVATE_KEY));
    if (slot === "9c") await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    return cryptoki.C_Sign(session, MESSAGE);
  }

  /** What `openssl dgst -verify` says. */
  async function opensslVerifies(slot: keyof typeof ID, signature: Uint8Array, ...options: string[]): Promise<string> {
    const files = { key: path.join(folder, "key.pem"), signature: path.join(folder, "signature") };
    await writeFile(files.key, keyOf(slot).export({ format: "pem", type: "spki" }));
    await writeFile(files.signature, signature);
    const args = ["dgst", "-sha256", "-verify", files.key, "-signature", files.signature, ...options];
    return (await run("openssl", args, { input: MESSAGE })).stdout;
  }

  test.each(slots)("%s signs, and OpenSSL verifies, or is for key agreement", async (slot) => {
    if (isRsa(slot)) {
      expect(await opensslVerifies(slot, await sign(slot, { mechanism: CKM.SHA256_RSA_PKCS }))).toBe("Verified OK\n");
      const parameter = { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256, sLen: 32 };
      const pss = await sign(slot, { mechanism: CKM.SHA256_RSA_PKCS_PSS, parameter });
      const options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
      expect(await opensslVerifies(slot, pss, ...options)).toBe("Verified OK\n");
    } else if (slot === "9d") {
      // An EC key there agrees on secrets (SP 800-73-4 part 1 table 4b).
      await expect(sign(slot, { mechanism: CKM.ECDSA_SHA256 })).rejects.toMatchObject(NOT_PERMITTED);
    } else {
      const signature = await sign(slot, { mechanism: CKM.ECDSA_SHA256 });
      expect(await opensslVerifies(slot, ecdsaToDer(signature))).toBe("Verified OK\n");
    }
  });

  test.each(slots)("%s decrypts, or agrees on a secret, or is for neither", async (slot) => {
    const key = await find(slot, CKO.PRIVATE_KEY);
    const login = (): Promise<void> =>
      slot === "9c" ? cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN) : Promise.resolve();
    if (isRsa(slot)) {
      const ciphertext = publicEncrypt({ key: keyOf(slot), oaepHash: "sha256" }, MESSAGE);
      const parameter = { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 };
      const begun = cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS_OAEP, parameter }, key);
      if (slot === "9e") {
        await expect(begun).rejects.toMatchObject(NOT_PERMITTED);
        return;
      }
      await begun;
      await login();
      expect(await cryptoki.C_Decrypt(session, ciphertext)).toEqual(MESSAGE);
    } else if (slot === "9d") {
      const peer = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const point = peer.publicKey.export({ format: "der", type: "spki" }).subarray(-65);
      const parameter = { kdf: CKD.NULL, pPublicData: point };
      const template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.GENERIC_SECRET, [CKA.SENSITIVE]: false };
      const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter };
      const secret = await cryptoki.C_DeriveKey(session, mechanism, key, { ...template, [CKA.EXTRACTABLE]: true });
      const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, secret, [CKA.VALUE]);
      const expected = diffieHellman({ privateKey: peer.privateKey, publicKey: keyOf(slot) });
      expect(value).toEqual(new Uint8Array(expected));
    } else {
      const peer = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const parameter = {
        kdf: CKD.NULL,
        pPublicData: peer.publicKey.export({ format: "der", type: "spki" }).subarray(-65),
      };
      const derive = cryptoki.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, key, {});
      // Agreeing on a secret is for the key management keys (SP 800-73-4 part 2 section 3.2.4).
      await expect(derive).rejects.toMatchObject(NOT_PERMITTED);
    }
  });
});
