import { createPublicKey } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { CKA, CKA_YUBICO, CKF, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { piv } from "../../../src/piv/index.ts";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

const MINUTES = 60_000;
jest.setTimeout(2 * MINUTES);
const PIN = "123456";

describe("a card that says of its keys what no certificate says, beside Yubico's programs", () => {
  let card: PluggedIn;
  let folder: string;
  let module: string;
  const file = (name: string): string => path.join(folder, name);
  const pkcs11 = (...args: string[]): Promise<string> => card.succeed("pkcs11-tool", "--module", module, ...args);

  beforeAll(async () => {
    requirePrograms("yubico-piv-tool", "pkcs11-tool", "openssl");
    module = requireLibrary("libykcs11.so", "ykcs11");
    folder = await mkdtemp(path.join(os.tmpdir(), "yubico-keys-"));
    const virtual = await VirtualPivCard.create({
      yubico: true,
      serial: 12_345_678,
      keys: {
        "9a": { privateKey: testKey("p-256", "9a"), certificate: null },
        "9c": { privateKey: testKey("rsa-2048", "9c"), pinPolicy: "once", touchPolicy: "cached" },
        "9d": null,
        "9e": { privateKey: testKey("p-256", "9e") },
        "83": { privateKey: testKey("p-256", "83"), certificate: null, pinPolicy: "always" },
      },
    });
    card = await plugIn(virtual, "Yubico Virtual PCD");
    await writeFile(file("hash"), Buffer.alloc(32, "what is signed "));
  }, 20 * MINUTES);
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test("ykcs11 lists the keys without a certificate, and signs with one", async () => {
    const objects = await pkcs11("-O", "--login", "--pin", PIN);
    // And the attestation key.
    expect(objects.match(/^Private Key Object/gmu)).toHaveLength(5);
    expect(objects).toMatch(/label: +Private key for PIV Attestation$/mu);
    const sign = ["--sign", "-m", "ECDSA", "--signature-format", "openssl", "--id", "01"];
    await pkcs11("--login", "--pin", PIN, ...sign, "-i", file("hash"), "-o", file("signature"));
    const key = createPublicKey(testKey("p-256", "9a")).export({ format: "pem", type: "spki" });
    await writeFile(file("key.pem"), key);
    const verify = ["pkeyutl", "-verify", "-pubin", "-inkey", file("key.pem"), "-sigfile", file("signature")];
    expect(await card.succeed("openssl", ...verify, "-in", file("hash"))).toContain("Verified Successfully");
  });

  test("the driver lists the same keys through pcscd, with the public keys that ykcs11 gives", async () => {
    await using pcsc = new Pcscd({ socket: card.env["PCSCLITE_CSOCK_NAME"] ?? "" });
    await using cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
    await cryptoki.C_Initialize();
    const [slot = 0] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY });
    const keys = await cryptoki.C_FindObjects(session);
    await cryptoki.C_FindObjectsFinal(session);
    const [first = 0] = keys;
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, first);
    expect(await cryptoki.C_Sign(session, new Uint8Array(32).fill(1))).toHaveLength(64);
    const seen = new Map<string, unknown>();
    for (const key of keys) {
      const values = await cryptoki.C_GetAttributeValue(session, key, [
        CKA.ID,
        CKA.ALWAYS_AUTHENTICATE,
        CKA_YUBICO.PIN_POLICY,
        CKA_YUBICO.TOUCH_POLICY,
        CKA.PUBLIC_KEY_INFO,
      ]);
      const id = Buffer.from(values[CKA.ID]).toString("hex");
      seen.set(id, [values[CKA.ALWAYS_AUTHENTICATE], values[CKA_YUBICO.PIN_POLICY], values[CKA_YUBICO.TOUCH_POLICY]]);
      await pkcs11("--read-object", "--type", "pubkey", "--id", id, "-o", file("key.der"));
      await card.succeed(
        "openssl",
        "pkey",
        "-pubin",
        "-inform",
        "der",
        "-in",
        file("key.der"),
        "-out",
        file("key.pem"),
      );
      const ours = { key: Buffer.from(values[CKA.PUBLIC_KEY_INFO]), format: "der", type: "spki" } as const;
      expect(createPublicKey(ours).equals(createPublicKey(await readFile(file("key.pem"), "utf8")))).toBe(true);
    }
    expect(Object.fromEntries(seen)).toEqual({
      "01": [false, 2, 1],
      "02": [false, 2, 3],
      "04": [false, 1, 1],
      "06": [true, 3, 1],
    });
  });

  test("a key that yubico-piv-tool makes with policies is the driver's to see", async () => {
    const policies = ["--pin-policy", "always", "--touch-policy", "cached"];
    const tool = ["--reader", "Yubico", "-a", "generate", "-s", "9d", "-A", "ECCP384", ...policies];
    await card.succeed("yubico-piv-tool", ...tool, "-o", file("made.pem"));
    await using pcsc = new Pcscd({ socket: card.env["PCSCLITE_CSOCK_NAME"] ?? "" });
    await using cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
    await cryptoki.C_Initialize();
    const [slot = 0] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(3) });
    const [key = 0] = await cryptoki.C_FindObjects(session);
    await cryptoki.C_FindObjectsFinal(session);
    const types = [CKA.ALWAYS_AUTHENTICATE, CKA.LOCAL, CKA_YUBICO.TOUCH_POLICY, CKA.PUBLIC_KEY_INFO] as const;
    const values = await cryptoki.C_GetAttributeValue(session, key, types);
    expect(values).toMatchObject({ [CKA.ALWAYS_AUTHENTICATE]: true, [CKA.LOCAL]: true, [CKA_YUBICO.TOUCH_POLICY]: 3 });
    const made = createPublicKey(await readFile(file("made.pem"), "utf8")).export({ format: "der", type: "spki" });
    expect(Buffer.from(values[CKA.PUBLIC_KEY_INFO]).equals(made)).toBe(true);
  });
});
