import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKM, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import type { FileCard } from "./file-card.ts";
import { READER, RECORDING, recordedCard, withoutLe } from "./file-card.ts";

interface Rig extends AsyncDisposable {
  readonly card: FileCard;
  readonly cryptoki: Cryptoki;
}

async function open(card: FileCard): Promise<Rig> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [piv, pkcs15] });
  await cryptoki.C_Initialize();
  return { card, cryptoki, [Symbol.asyncDispose]: () => cryptoki.C_Finalize() };
}

async function find(cryptoki: Cryptoki, session: number, template: Template): Promise<readonly number[]> {
  await cryptoki.C_FindObjectsInit(session, template);
  const found = await cryptoki.C_FindObjects(session, 100);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}

async function findAll(
  cryptoki: Cryptoki,
  session: number,
  templates: readonly Template[],
): Promise<readonly number[]> {
  const found: number[] = [];
  for (const template of templates) found.push(...(await find(cryptoki, session, template)));
  return found;
}

async function sessionOf(cryptoki: Cryptoki): Promise<number> {
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  return cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
}

describe("the recorded card through C_ functions", () => {
  test("listing costs 11 exchanges, those of the profile before it included", async () => {
    await using rig = await open(recordedCard());
    const [slot = 0] = await rig.cryptoki.C_GetSlotList(true);
    expect(await rig.cryptoki.C_GetTokenInfo(slot)).toMatchObject({
      label: "JavaCard isoApplet",
      serialNumber: "0000",
    });
    expect(rig.card.commands.length).toBeLessThanOrEqual(11);
  });

  test("all objects with label, id and type cost what the budget says", async () => {
    await using rig = await open(recordedCard());
    const session = await sessionOf(rig.cryptoki);
    const seen: unknown[] = [];
    const classes = [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY, CKO.CERTIFICATE].map((type) => ({ [CKA.CLASS]: type }));
    for (const object of await findAll(rig.cryptoki, session, classes)) {
      const { [CKA.CLASS]: type, [CKA.LABEL]: label } = await rig.cryptoki.C_GetAttributeValue(session, object, [
        CKA.CLASS,
        CKA.LABEL,
        CKA.ID,
      ]);
      seen.push([type, label]);
    }
    expect(seen).toEqual([
      [CKO.PUBLIC_KEY, "RSA sign"],
      [CKO.PUBLIC_KEY, "RSA decrypt"],
      [CKO.PUBLIC_KEY, "EC sign"],
      [CKO.CERTIFICATE, "RSA cert"],
      [CKO.CERTIFICATE, "EC cert"],
    ]);
    expect(rig.card.commands.length).toBeLessThanOrEqual(26);
  });

  test("a signature after login, and the next one by a single exchange", async () => {
    await using rig = await open(recordedCard());
    const { cryptoki, card } = rig;
    const session = await sessionOf(cryptoki);
    await cryptoki.C_Login(session, CKU.USER, "123456");
    const [key = 0] = await find(cryptoki, session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: fromHex("01") });
    const input = fromHex(RECORDING.exchanges["sign-rsa"]?.at(-1)?.command.slice(10, 112) ?? "");
    await cryptoki.C_SignInit(session, { mechanism: CKM.RSA_PKCS }, key);
    const signature = await cryptoki.C_Sign(session, input);
    expect(signature).toEqual(fromHex(RECORDING.exchanges["sign-rsa"]?.at(-1)?.answer.slice(0, -4) ?? ""));
    expect(card.commands.length).toBeLessThanOrEqual(14);
    card.commands.length = 0;
    await cryptoki.C_SignInit(session, { mechanism: CKM.RSA_PKCS }, key);
    await cryptoki.C_Sign(session, input);
    expect(card.commands).toHaveLength(1);
  });

  test("the EC key signs with the hash that the card makes itself", async () => {
    await using rig = await open(recordedCard());
    const { cryptoki, card } = rig;
    const session = await sessionOf(cryptoki);
    await cryptoki.C_Login(session, CKU.USER, "123456");
    const [key = 0] = await find(cryptoki, session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.LABEL]: "EC cert" });
    await expect(cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, key)).rejects.toThrow(/CKR_/u);
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA1 }, key);
    expect(await cryptoki.C_Sign(session, utf8("hello\n"))).toHaveLength(64);
    const recorded = RECORDING.exchanges["sign-ec"]?.at(-1)?.command ?? "";
    expect(withoutLe(card.commands.at(-1) ?? "")).toBe(withoutLe(recorded));
  });

  test("a certificate costs 14 exchanges: the AODF must tell which tokens there are", async () => {
    await using rig = await open(recordedCard());
    const session = await sessionOf(rig.cryptoki);
    const [object = 0] = await find(rig.cryptoki, session, {
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.ID]: fromHex("01"),
    });
    await rig.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]);
    expect(rig.card.commands.length).toBeLessThanOrEqual(14);
  });
});
