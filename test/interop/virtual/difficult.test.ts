import { createPublicKey, verify } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { toHex, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { piv } from "../../../src/piv/index.ts";
import { pkcs15 } from "../../../src/pkcs15/index.ts";
import type { Iso7816Deviation, PivDeviation } from "../../../src/virtual/index.ts";
import { iso7816Subject, pivSubject, type Subject } from "../../difficult/subjects.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

jest.setTimeout(120_000);

const MESSAGE = utf8("an important letter");

/** What a program shows of a card, and does with its key 01. */
interface Seen {
  /** Hexadecimal, in capitals. */
  readonly serialNumber: string;
  /** Certificate 01, hexadecimal; "none" if there is none to be read. */
  readonly certificate: string;
  /** What the host finds of a signature; "refused" if there is none. */
  readonly signature: "right" | "wrong" | "refused";
}

/** A card, and in what the two programs are known to differ from "all is right". */
interface Row {
  readonly make: () => Promise<Subject>;
  readonly library?: "libykcs11.so";
  readonly theirs?: Partial<Seen>;
  readonly ours?: Partial<Seen>;
}

const onPiv = (deviation: PivDeviation): Pick<Row, "make"> => ({ make: () => pivSubject("PIV", [deviation]) });
const onYubiKey = (deviation: PivDeviation): Pick<Row, "make" | "library"> => ({
  make: () => pivSubject("YubiKey", [deviation]),
  library: "libykcs11.so",
});
const onMyEid = (deviation: Iso7816Deviation): Pick<Row, "make"> => ({
  make: () => iso7816Subject("MyEID", [deviation]),
});
const onIsoApplet = (version: "0.6" | "1.0", deviation: Iso7816Deviation): Pick<Row, "make"> => ({
  make: () => iso7816Subject(`IsoApplet ${version}`, [deviation]),
});
/** OpenSC 0.23 gives a signature as it came from the card. */
const FAULTY: Omit<Row, "make"> = { theirs: { signature: "wrong" }, ours: { signature: "refused" } };

const ROWS: Readonly<Record<string, Row>> = {
  "PIV with gzip-certificates": onPiv("gzip-certificates"),
  // OpenSC 0.23 reads none of these, and does not sign with the key.
  "PIV with zlib-certificates": {
    ...onPiv("zlib-certificates"),
    theirs: { certificate: "none", signature: "refused" },
  },
  "PIV with padded-certificates": onPiv("padded-certificates"),
  "PIV with no-discovery-object": onPiv("no-discovery-object"),
  "PIV with no-chuid": onPiv("no-chuid"),
  "PIV with five-pin-tries": onPiv("five-pin-tries"),
  "PIV with refused-empty-verify": onPiv("refused-empty-verify"),
  "PIV with faulty-rsa-answers": { ...onPiv("faulty-rsa-answers"), ...FAULTY },
  "PIV with cut-rsa-answers": { ...onPiv("cut-rsa-answers"), ...FAULTY },
  "a YubiKey with no-certificates": {
    ...onYubiKey("no-certificates"),
    theirs: { certificate: "none" },
    ours: { certificate: "none" },
  },
  "a YubiKey with padded-certificates": onYubiKey("padded-certificates"),
  // OpenSC 0.23 reads none of these, and signs all the same.
  "MyEID with gzip-certificates": { ...onMyEid("gzip-certificates"), theirs: { certificate: "none" } },
  "MyEID with padded-certificates": onMyEid("padded-certificates"),
  "MyEID with long-serial-number": onMyEid("long-serial-number"),
  "MyEID with pin-status-refused": onMyEid("pin-status-refused"),
  "MyEID with faulty-rsa-answers": { ...onMyEid("faulty-rsa-answers"), ...FAULTY },
  "IsoApplet 0.6 with padded-certificates": onIsoApplet("0.6", "padded-certificates"),
  "IsoApplet 0.6 with pin-status-refused": onIsoApplet("0.6", "pin-status-refused"),
  "IsoApplet 1.0 with padded-certificates": onIsoApplet("1.0", "padded-certificates"),
  "IsoApplet 1.0 with pin-status-refused": onIsoApplet("1.0", "pin-status-refused"),
  "IsoApplet 1.0 with faulty-rsa-answers": { ...onIsoApplet("1.0", "faulty-rsa-answers"), ...FAULTY },
};

let folder: string;
beforeAll(async () => {
  requirePrograms("pkcs11-tool");
  folder = await mkdtemp(path.join(os.tmpdir(), "difficult-"));
  await writeFile(path.join(folder, "message"), MESSAGE);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(Object.entries(ROWS))("%s", (_name, { make, library, theirs, ours }) => {
  test("is the same for the driver and another program, but for what is known", async () => {
    const subject = await make();
    const module = library ? requireLibrary(library, "ykcs11") : requireLibrary("opensc-pkcs11.so", "opensc-pkcs11");
    await using card = await plugIn(subject.card, library ? "Yubico Virtual PCD" : "Virtual PCD");
    const there = await byProgram(card, module, subject);
    const here = await byDriver(card, subject);
    const known = { serialNumber: here.serialNumber, certificate: here.certificate, signature: "right" };
    expect(here).toEqual({ ...known, ...ours });
    expect(there).toEqual({ ...known, ...theirs });
  });
});

async function byProgram(card: PluggedIn, module: string, { pin, keys: [key] }: Subject): Promise<Seen> {
  const file = (name: string): string => path.join(folder, name);
  const pkcs11 = (...args: string[]): ReturnType<PluggedIn["run"]> =>
    card.run("pkcs11-tool", "--module", module, ...args);
  await Promise.all(["certificate", "signature"].map((name) => rm(file(name), { force: true })));
  const { stdout } = await pkcs11("--list-slots");
  const serialNumber = /serial num +: (\S+)/u.exec(stdout)?.[1] ?? "";
  await pkcs11("--read-object", "--type", "cert", "--id", "01", "-o", file("certificate"));
  const certificate = await contentOf(file("certificate"));
  const sign = ["--sign", "-m", "SHA256-RSA-PKCS", "--id", "01", "-i", file("message"), "-o", file("signature")];
  await pkcs11("--login", "--pin", pin, ...sign);
  return {
    serialNumber: serialNumber.toUpperCase(),
    certificate: certificate ? toHex(certificate) : "none",
    signature: judged(await contentOf(file("signature")), key),
  };
}

async function byDriver(card: PluggedIn, { pin, keys: [key] }: Subject): Promise<Seen> {
  await using pcsc = new Pcscd({ socket: card.env["PCSCLITE_CSOCK_NAME"] ?? "" });
  await using cryptoki = new Cryptoki({ pcsc, profiles: [piv, pkcs15] });
  await cryptoki.C_Initialize();
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, pin);
  const find = async (objectClass: CKO): Promise<number> => {
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(1) });
    const [found = 0] = await cryptoki.C_FindObjects(session);
    await cryptoki.C_FindObjectsFinal(session);
    return found;
  };
  const object = await find(CKO.CERTIFICATE);
  const certificate = object && (await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE];
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await find(CKO.PRIVATE_KEY));
  const signature = await cryptoki.C_Sign(session, MESSAGE).catch((error: unknown) => {
    expect(error).toMatchObject({ code: "CKR_DEVICE_ERROR" });
    return undefined;
  });
  const { serialNumber } = await cryptoki.C_GetTokenInfo(slot);
  return {
    serialNumber: serialNumber.toUpperCase(),
    certificate: certificate ? toHex(certificate) : "none",
    signature: judged(signature, key),
  };
}

async function contentOf(file: string): Promise<Uint8Array | undefined> {
  const content = await readFile(file).catch(() => undefined);
  return content && content.length > 0 ? content : undefined;
}

function judged(signature: Uint8Array | undefined, key: Subject["keys"][number] | undefined): Seen["signature"] {
  if (!signature || !key) return "refused";
  return verify("sha256", MESSAGE, createPublicKey(key.key), signature) ? "right" : "wrong";
}
