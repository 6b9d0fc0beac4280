import { constants, createPublicKey, type KeyObject, publicEncrypt, verify, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { toHex, utf8 } from "../../../src/bytes/index.ts";
import {
  CKA,
  CKF_SESSION,
  CKG_MGF,
  CKM,
  CKO,
  CKU,
  type CK_MECHANISM,
  Cryptoki,
  Pcscd,
  profiles,
} from "../../../src/index.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { CAC_PIN, type LibcacardCard, startLibcacard } from "./libcacard.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const MESSAGE = utf8("what the card signs");
const IDS = ["0001", "0002", "0003"];

/** What `pkcs11-tool -L` and `-O` print: "  name:  value", and ours, as sets of lines that can be compared. */
const CLASSES: ReadonlyMap<number, string> = new Map([
  [CKO.CERTIFICATE, "Certificate Object"],
  [CKO.PUBLIC_KEY, "Public Key Object"],
  [CKO.PRIVATE_KEY, "Private Key Object"],
  [CKO.DATA, "Data object"],
]);

/** Data objects of this library's own, which every token has besides those of its card. */
const BUILT_IN = new Set(["ATR", "TokenLabel", "TokenSerialNumber", "UpdateCount"]);

describe("libcacard's card through pcscd, beside OpenSC", () => {
  let card: LibcacardCard;
  let plugged: PluggedIn;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);
  const certificate = (id: string): Uint8Array => card.certificates[IDS.indexOf(id)] ?? new Uint8Array();
  const publicKey = (id: string): KeyObject =>
    createPublicKey(new X509Certificate(certificate(id)).publicKey.export({ format: "pem", type: "spki" }));
  const openSc = (...args: readonly string[]): Promise<string> => plugged.succeed("pkcs11-tool", ...args);
  const openScLoggedIn = (...args: readonly string[]): Promise<string> => openSc("--login", "--pin", CAC_PIN, ...args);

  beforeAll(async () => {
    requirePrograms("openssl", "pkcs11-tool");
    folder = await mkdtemp(path.join(os.tmpdir(), "cac-driver-"));
    card = await startLibcacard();
    plugged = await plugIn(card, "Virtual PCD");
    await writeFile(file("message"), MESSAGE);
    for (const id of IDS) {
      await writeFile(file(`${id}.pem`), publicKey(id).export({ format: "pem", type: "spki" }));
    }
  });
  afterAll(async () => {
    await plugged[Symbol.asyncDispose]();
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs `work` in an application of its own, which is not disturbed: OpenSC resets the card when it leaves. */
  async function ours<T>(work: (cryptoki: Cryptoki, slot: number) => Promise<T>): Promise<T> {
    await using pcsc = new Pcscd();
    const cryptoki = new Cryptoki({ pcsc, profiles });
    await cryptoki.C_Initialize();
    try {
      const [slot = -1] = await cryptoki.C_GetSlotList(true);
      return await work(cryptoki, slot);
    } finally {
      await cryptoki.C_Finalize();
    }
  }

  function loggedIn<T>(work: (cryptoki: Cryptoki, session: number) => Promise<T>): Promise<T> {
    return ours(async (cryptoki, slot) => {
      const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
      await cryptoki.C_Login(session, CKU.USER, CAC_PIN);
      return work(cryptoki, session);
    });
  }

  async function find(
    cryptoki: Cryptoki,
    session: number,
    template: Parameters<Cryptoki["C_FindObjectsInit"]>[1],
  ): Promise<readonly number[]> {
    await cryptoki.C_FindObjectsInit(session, template);
    const found = await cryptoki.C_FindObjects(session, 100);
    await cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  async function privateKey(cryptoki: Cryptoki, session: number, id: string): Promise<number> {
    const [key = 0] = await find(cryptoki, session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") });
    return key;
  }

  test("the token is called the same", async () => {
    const printed = await openSc("-L");
    const field = (name: string): string | undefined => new RegExp(`${name} *: (.*)`, "u").exec(printed)?.[1];
    const info = await ours((cryptoki, slot) => cryptoki.C_GetTokenInfo(slot));
    expect({
      label: info.label.trimEnd(),
      manufacturer: info.manufacturerID.trimEnd(),
      model: info.model.trimEnd(),
      serial: info.serialNumber.trimEnd(),
      pin: `${info.ulMinPinLen}/${info.ulMaxPinLen}`,
    }).toEqual({
      label: field("token label"),
      manufacturer: field("token manufacturer"),
      model: field("token model"),
      serial: field("serial num"),
      pin: field("pin min/max"),
    });
    expect(info.label.trimEnd()).toBe("HOLDER.CARD.A.1234567890");
  });

  test("the same objects are there, under the same labels and identifiers", async () => {
    const printed = await openScLoggedIn("-O");
    const theirs = printed.split(/\n(?=\S)/u).flatMap((object) => {
      const [, kind = ""] = /^([A-Z][a-z]+(?: [Kk]ey)? [Oo]bject)/u.exec(object) ?? [];
      const label = /label: *'?(.*?)'?\n/u.exec(`${object}\n`)?.[1] ?? "";
      const id = /ID: *(\w+)/u.exec(object)?.[1] ?? "";
      return kind === "" || kind.startsWith("Profile") ? [] : [`${kind} ${label} ${id}`.trimEnd()];
    });
    const here = await loggedIn(async (cryptoki, session) => {
      const lines = [];
      for (const object of await find(cryptoki, session, {})) {
        const { [CKA.CLASS]: kind, [CKA.LABEL]: label } = await cryptoki.C_GetAttributeValue(session, object, [
          CKA.CLASS,
          CKA.LABEL,
        ]);
        const name = CLASSES.get(kind);
        if (name === undefined || BUILT_IN.has(label)) continue;
        const { [CKA.ID]: id } = kind === CKO.DATA ? {} : await cryptoki.C_GetAttributeValue(session, object, [CKA.ID]);
        lines.push(`${name} ${label} ${id ? toHex(id) : ""}`.trimEnd());
      }
      return lines;
    });
    expect(here.sort()).toEqual(theirs.sort());
    expect(here.filter((line) => line.startsWith("Private Key"))).toHaveLength(3);
    expect(here.filter((line) => line.startsWith("Data"))).toHaveLength(4);
  });

  test.each(IDS)("certificate %s is the same byte for byte", async (id) => {
    await openSc("--read-object", "--type", "cert", "--id", id, "--output-file", file("certificate"));
    const value = await ours(async (cryptoki, slot) => {
      const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
      const template = { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Buffer.from(id, "hex") };
      const [object = 0] = await find(cryptoki, session, template);
      return (await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE];
    });
    expect(toHex(value)).toBe(toHex(await readFile(file("certificate"))));
    expect(toHex(value)).toBe(toHex(certificate(id)));
  });

  test("every container is read, also where OpenSC gives up because nothing is in it", async () => {
    const values = await ours(async (cryptoki, slot) => {
      const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
      const read = new Map<string, Uint8Array>();
      for (const object of await find(cryptoki, session, { [CKA.CLASS]: CKO.DATA })) {
        const attributes = await cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL, CKA.APPLICATION, CKA.VALUE]);
        if (BUILT_IN.has(attributes[CKA.LABEL])) continue;
        expect(attributes[CKA.APPLICATION]).toBe(attributes[CKA.LABEL]);
        read.set(attributes[CKA.LABEL], attributes[CKA.VALUE]);
      }
      return read;
    });
    expect([...values.keys()].sort()).toEqual(["PKI Certificate", "PKI Credential", "Person Instance", "Personnel"]);
    for (const label of values.keys()) {
      const args = ["--read-object", "--type", "data", "--application-label", label];
      const { stdout, code } = await plugged.run("pkcs11-tool", ...args);
      expect({ label, value: toHex(values.get(label) ?? utf8("none")) }).toEqual({
        label,
        value: code === 0 ? stdout : "",
      });
    }
  });

  function sign(id: string, mechanism: CK_MECHANISM): Promise<Uint8Array> {
    return loggedIn(async (cryptoki, session) => {
      await cryptoki.C_SignInit(session, mechanism, await privateKey(cryptoki, session, id));
      return cryptoki.C_Sign(session, MESSAGE);
    });
  }

  /** What `openssl dgst -verify` says. */
  async function openSslVerifies(id: string, signature: string, ...options: readonly string[]): Promise<string> {
    const args = ["dgst", "-sha256", "-verify", file(`${id}.pem`), "-signature", signature, ...options];
    return (await run("openssl", args, { input: MESSAGE })).stdout;
  }

  const signWithOpenSc = (id: string, mechanism: string, ...options: readonly string[]): Promise<string> =>
    openScLoggedIn(
      "--sign",
      "--id",
      id,
      "--mechanism",
      mechanism,
      "--input-file",
      file("message"),
      "--output-file",
      file("theirs"),
      ...options,
    );

  // OpenSC lets the third key, whose certificate is for encryption, sign nothing.
  test.each(["0001", "0002"])("key %s makes the same PKCS #1 signature, and OpenSSL verifies it", async (id) => {
    await signWithOpenSc(id, "SHA256-RSA-PKCS");
    const signature = await sign(id, { mechanism: CKM.SHA256_RSA_PKCS });
    await writeFile(file("ours"), signature);
    expect(toHex(signature)).toBe(toHex(await readFile(file("theirs"))));
    expect(await openSslVerifies(id, file("ours"))).toBe("Verified OK\n");
  });

  test.each(["0001", "0002"])("key %s makes PSS signatures that OpenSSL verifies, as it does OpenSC's", async (id) => {
    await signWithOpenSc(id, "SHA256-RSA-PKCS-PSS");
    const parameter = { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256, sLen: 32 };
    await writeFile(file("ours"), await sign(id, { mechanism: CKM.SHA256_RSA_PKCS_PSS, parameter }));
    const options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    for (const signature of ["ours", "theirs"]) {
      expect(await openSslVerifies(id, file(signature), ...options)).toBe("Verified OK\n");
    }
  });

  test.each(IDS)("key %s signs many times after one login", async (id) => {
    const signatures = await loggedIn(async (cryptoki, session) => {
      const key = await privateKey(cryptoki, session, id);
      const made = [];
      for (let turn = 0; turn < 3; turn++) {
        await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
        made.push(await cryptoki.C_Sign(session, MESSAGE));
      }
      return made;
    });
    for (const signature of signatures) expect(verify("sha256", MESSAGE, publicKey(id), signature)).toBe(true);
  });

  const OAEP = { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 };
  const PADDINGS = [
    {
      name: "PKCS #1",
      mechanism: { mechanism: CKM.RSA_PKCS },
      encryption: { padding: constants.RSA_PKCS1_PADDING },
      options: ["--mechanism", "RSA-PKCS"],
    },
    {
      name: "OAEP",
      mechanism: { mechanism: CKM.RSA_PKCS_OAEP, parameter: OAEP },
      encryption: { oaepHash: "sha256" },
      options: ["--mechanism", "RSA-PKCS-OAEP", "--hash-algorithm", "SHA256", "--mgf", "MGF1-SHA256"],
    },
  ];

  // OpenSC lets the second key, whose certificate is for signatures, decrypt nothing.
  describe.each(["0001", "0003"])("key %s", (id) => {
    test.each(PADDINGS)("decrypts $name as OpenSC does", async ({ mechanism, encryption, options }) => {
      const ciphertext = publicEncrypt({ key: publicKey(id), ...encryption }, MESSAGE);
      await writeFile(file("ciphertext"), ciphertext);
      const files = ["--input-file", file("ciphertext"), "--output-file", file("theirs")];
      await openScLoggedIn("--decrypt", "--id", id, ...options, ...files);
      const plaintext = await loggedIn(async (cryptoki, session) => {
        await cryptoki.C_DecryptInit(session, mechanism, await privateKey(cryptoki, session, id));
        return cryptoki.C_Decrypt(session, ciphertext);
      });
      expect(plaintext).toEqual(MESSAGE);
      expect(new Uint8Array(await readFile(file("theirs")))).toEqual(MESSAGE);
    });
  });

  test("a wrong PIN is refused, and one that is no CAC's PIN does not reach the card", async () => {
    await ours(async (cryptoki, slot) => {
      const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
      await expect(cryptoki.C_Login(session, CKU.USER, "11111111")).rejects.toMatchObject({
        code: "CKR_PIN_INCORRECT",
      });
      await expect(cryptoki.C_Login(session, CKU.USER, "123")).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT" });
      await cryptoki.C_Login(session, CKU.USER, CAC_PIN);
    });
  });
});
