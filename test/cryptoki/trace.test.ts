import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import {
  type CallEvent,
  CKA,
  CKF,
  CKK,
  CKM,
  CKO,
  CKU,
  Cryptoki,
  type CryptokiOptions,
  type MechanismParameter,
  mechanismOf,
} from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { testCard } from "../virtual/keys.ts";
import { EVERY_FUNCTION, named } from "./every-function.ts";
import { PIN, READER } from "./rig.ts";

interface Traced {
  readonly cryptoki: Cryptoki;
  readonly lines: string[];
  readonly events: CallEvent[];
  /** The last line, without its time. */
  readonly last: () => string | undefined;
}

async function traced(options: Partial<CryptokiOptions> = {}): Promise<Traced> {
  const lines: string[] = [];
  const events: CallEvent[] = [];
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, await testCard());
  const cryptoki = new Cryptoki({
    pcsc: readers.client(),
    profiles: [piv],
    trace: (line, event) => {
      lines.push(line);
      if (event && "function" in event) events.push(event);
    },
    ...options,
  });
  return { cryptoki, lines, events, last: () => lines.at(-1)?.replace(/ \([\d.]+ ms\)$/u, "") };
}

describe("a trace", () => {
  test("reports the CK_ULONG of its clients to every listener", async () => {
    const { cryptoki, lines } = await traced({ ulongBits: 64 });
    await using closing = cryptoki;
    await closing.C_SetTraceCallback((line) => lines.push(line));
    const build = expect.stringMatching(/^PKCS11 - (Little|Big) endian build \(64-bits CK_ULONG\)$/u);
    expect(lines).toEqual([build, build, expect.stringMatching(/^C_SetTraceCallback\(/u)]);
  });

  test("begins with the width and byte order of CK_ULONG, and has each call in the standard's words", async () => {
    const { cryptoki, lines, events, last } = await traced();
    await using closing = cryptoki;
    expect(lines).toEqual([expect.stringMatching(/^PKCS11 - (Little|Big) endian build \(32-bits CK_ULONG\)$/u)]);
    await closing.C_Initialize();
    expect(last()).toBe("C_Initialize() = CKR_OK");
    await cryptoki.C_GetSlotList(true);
    expect(last()).toBe("C_GetSlotList(tokenPresent = true) = CKR_OK: [0]");
    const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    expect(last()).toBe("C_OpenSession(slotID = 0, flags = CKF_RW_SESSION | CKF_SERIAL_SESSION) = CKR_OK: 1");
    await expect(cryptoki.C_Login(session, CKU.USER, "999999")).rejects.toThrow();
    expect(last()).toBe("C_Login(hSession = 1, userType = CKU_USER, pPin = **) = CKR_PIN_INCORRECT");
    await cryptoki.C_GetMechanismInfo(0, CKM.ECDSA);
    expect(last()).toMatch(/^C_GetMechanismInfo\(slotID = 0, type = CKM_ECDSA\) = CKR_OK: \{ulMinKeySize = 256, /u);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(4) });
    expect(last()).toBe(
      "C_FindObjectsInit(hSession = 1, pTemplate = {CKA_CLASS = CKO_PRIVATE_KEY, CKA_ID = 04}) = CKR_OK",
    );
    const [key = 0] = await cryptoki.C_FindObjects(session, 1);
    await cryptoki.C_FindObjectsFinal(session);
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
    expect(last()).toBe(`C_SignInit(hSession = 1, pMechanism = CKM_ECDSA_SHA256, hKey = ${key}) = CKR_OK`);
    await cryptoki.C_Sign(session, utf8("data"));
    expect(last()).toMatch(/^C_Sign\(hSession = 1, pData = 64617461\) = CKR_OK: [0-9A-F]{64}\.\.\. \(64 bytes\)$/u);
    expect(events.at(-1)).toMatchObject({
      function: "C_Sign",
      parameters: { hSession: "1", pData: "64617461" },
      rv: "CKR_OK",
      time: expect.any(Number),
      duration: expect.any(Number),
    });
  });

  test("shows no PIN, not even how long it is, and of plaintexts and keys the length only", async () => {
    const { cryptoki, lines, last } = await traced();
    await using closing = cryptoki;
    await closing.C_Initialize();
    const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await cryptoki.C_SetPIN(session, PIN, "7654321");
    expect(last()).toBe("C_SetPIN(hSession = 1, pOldPin = **, pNewPin = **) = CKR_OK");
    await cryptoki.C_UnlockPIN(session, "12345678", utf8(PIN));
    await cryptoki.C_Login(session, CKU.USER, utf8(PIN));
    await cryptoki.C_SetVariable("secret", "7654321");
    expect(last()).toBe('C_SetVariable(name = "secret", value = **) = CKR_OK');
    await cryptoki.C_GetVariable("secret");
    await cryptoki.C_FindObjectsInit(session, {
      [CKA.VALUE]: utf8("7654321"),
      [CKA.PRIVATE_EXPONENT]: utf8("7654321"),
    });
    expect(last()).toContain("{CKA_VALUE = (7 bytes), CKA_PRIVATE_EXPONENT = (7 bytes)}");
    await cryptoki.C_FindObjectsFinal(session);
    const parameter = { pPassword: utf8("7654321"), prf: CKM.SHA256, salt: "7654321" } as unknown as MechanismParameter;
    await cryptoki.C_SignInit(session, mechanismOf(CKM.PKCS5_PBKD2, parameter), 1).catch(() => undefined);
    expect(last()).toContain("CKM_PKCS5_PBKD2 {pPassword = (7 bytes), prf = CKM_SHA256, salt = **}");
    await cryptoki.C_GenerateRandom(session, 16);
    expect(last()).toBe("C_GenerateRandom(hSession = 1, ulRandomLen = 16) = CKR_OK: (16 bytes)");
    const all = lines.join("\n");
    for (const secret of [PIN, "7654321", "12345678"]) {
      expect(all).not.toContain(secret);
      expect(all).not.toContain(Buffer.from(secret).toString("hex").toUpperCase());
    }
  });

  test("shows a template that is a list as any other", async () => {
    const { cryptoki, last } = await traced();
    await using closing = cryptoki;
    await closing.C_Initialize();
    const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION);
    await cryptoki.C_CreateObject(session, [
      [CKA.CLASS, CKO.SECRET_KEY],
      [CKA.KEY_TYPE, CKK.GENERIC_SECRET],
      [CKA.VALUE, utf8("7654321")],
    ]);
    expect(last()).toContain("{CKA_CLASS = CKO_SECRET_KEY, CKA_KEY_TYPE = CKK_GENERIC_SECRET, CKA_VALUE = (7 bytes)}");
  });

  test("shows the value of a certificate, not that of a key", async () => {
    const { cryptoki, last } = await traced();
    await using closing = cryptoki;
    await closing.C_Initialize();
    const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) });
    const [certificate = 0] = await cryptoki.C_FindObjects(session, 1);
    await cryptoki.C_GetAttributeValue(session, certificate, [CKA.CLASS, CKA.VALUE, CKA.LABEL]);
    expect(last()).toMatch(
      /types = \[CKA_CLASS, CKA_VALUE, CKA_LABEL\]\) = CKR_OK: .*CKA_VALUE = 3082[0-9A-F]{60}\.\.\./u,
    );
    await cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]);
    expect(last()).toMatch(/= CKR_OK: \{CKA_VALUE = \(\d+ bytes\)\}$/u);
  });

  test("is begun and ended at any time, and its callback's mistakes are its own", async () => {
    const { cryptoki, lines } = await traced();
    const other: string[] = [];
    await cryptoki.C_SetTraceCallback((line) => {
      other.push(line);
      throw new Error("a mistake");
    });
    await cryptoki.C_Initialize();
    await cryptoki.C_SetTraceCallback(null);
    await cryptoki.C_Finalize();
    expect(lines).toHaveLength(1);
    expect(other.map((line) => line.split("(")[0])).toEqual([
      "PKCS11 - Little endian build ",
      "C_SetTraceCallback",
      "C_Initialize",
    ]);
  });

  test.each(named(EVERY_FUNCTION))("of %s shows its arguments by their names, whatever they are", async (name, one) => {
    const { cryptoki, events } = await traced();
    const strange = Object.defineProperty({}, "trap", {
      enumerable: true,
      get: () => {
        throw new Error("a trap");
      },
    });
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    await one.call(cryptoki).catch(() => undefined);
    expect(events.map((event) => [event.function, Object.keys(event.parameters)])).toContainEqual([
      name,
      one.entry.parameters.map(([parameter]) => parameter),
    ]);
    for (const argument of [strange, cyclic, 2n ** 70n, Symbol("symbol"), () => 1, [[[[[[1]]]]]], new Date(NaN)]) {
      const given = Object.fromEntries(one.entry.parameters.map(([, kind]) => [kind, argument]));
      await one.call(cryptoki, given).catch(() => undefined);
    }
    await cryptoki[Symbol.asyncDispose]();
  });
});

test("a template shows what its numbers stand for", async () => {
  const { cryptoki, last } = await traced();
  await using closing = cryptoki;
  await closing.C_Initialize();
  const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION);
  const template = {
    [CKA.KEY_TYPE]: CKK.AES,
    [CKA.START_DATE]: new Date("2026-01-02"),
    [CKA.LABEL]: 'a "label"',
    [CKA.ALLOWED_MECHANISMS]: [CKM.AES_CBC],
    [CKA.WRAP_TEMPLATE]: { [CKA.VALUE]: Uint8Array.of(1, 2) },
    [CKA.END_DATE]: null,
    [CKA.TOKEN]: false,
    [0x80000001]: utf8("unknown"),
  };
  await cryptoki.C_FindObjectsInit(session, template);
  for (const part of [
    "CKA_KEY_TYPE = CKK_AES",
    "CKA_START_DATE = 2026-01-02",
    'CKA_LABEL = "a \\"label\\""',
    "CKA_ALLOWED_MECHANISMS = [CKM_AES_CBC]",
    "CKA_WRAP_TEMPLATE = {CKA_VALUE = (2 bytes)}",
    "CKA_END_DATE = NULL_PTR",
    "CKA_TOKEN = false",
    "CKA_VENDOR_DEFINED|0x1 = (7 bytes)",
  ]) {
    expect(last()).toContain(part);
  }
});
