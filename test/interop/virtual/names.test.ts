/** OpenSC and this driver name one card and its objects alike, so that a PKCS #11 URI that was made with one finds them with the other. */
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { encodeTlv } from "../../../src/apdu/index.ts";
import { concat, fromHex, toHex } from "../../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { piv } from "../../../src/piv/index.ts";
import { type PivCardOptions, VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

/** Agency 0032 (TIG SCEPACS 2.3 section 6.1), which is one. */
const FASCN = fromHex("d0439458210c2c19a0846d83685a1082108ce73984108ca3fc");
const CHUID = 0x5fc102;
const chuid = encodeTlv(0x30, FASCN);
const SLOTS = ["9a", "9c", "9d", "9e", "82", "83"] as const;

const CARDS: readonly (readonly [string, PivCardOptions])[] = [
  ["a card UUID", {}],
  ["a FASC-N", { objects: new Map([[CHUID, concat(chuid, encodeTlv(0xfe))]]) }],
  ["no CHUID", { objects: new Map([[CHUID, null]]) }],
];

describe.each(CARDS)("a card with %s", (_, options) => {
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let slot: number;

  beforeAll(async () => {
    requirePrograms("pkcs11-tool");
    const keys = Object.fromEntries(SLOTS.map((name) => [name, { privateKey: testKey("p-256", name) }]));
    plugged = await plugIn(await VirtualPivCard.create({ keys, ...options }), "Virtual PCD");
    pcsc = new Pcscd();
    cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
    await cryptoki.C_Initialize();
    [slot = -1] = await cryptoki.C_GetSlotList(true);
  });
  afterAll(async () => {
    await cryptoki.C_Finalize();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
  });

  test("has the same serial number and manufacturer", async () => {
    const list = await plugged.succeed("pkcs11-tool", "-L");
    const field = (name: string): string | undefined => new RegExp(`^ +${name} +: (.*)$`, "mu").exec(list)?.[1];
    expect(await cryptoki.C_GetTokenInfo(slot)).toMatchObject({
      serialNumber: field("serial num"),
      manufacturerID: field("token manufacturer"),
    });
  });

  test("has the same labels and ids of private keys, public keys and certificates", async () => {
    const listed = await plugged.succeed("pkcs11-tool", "-O", "--login", "--pin", "123456");
    const theirs = [
      ...listed.matchAll(/^(Private Key|Public Key|Certificate) Object;[^]*?label: +(.*)\n[^]*?ID: +(\S+)$/gmu),
    ].map(([, kind, label, id]) => `${kind} ${label} ${id}`);
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, "123456");
    const own: string[] = [];
    for (const [kind, CLASS] of [
      ["Private Key", CKO.PRIVATE_KEY],
      ["Public Key", CKO.PUBLIC_KEY],
      ["Certificate", CKO.CERTIFICATE],
    ] as const) {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CLASS });
      for (const object of await cryptoki.C_FindObjects(session, 100)) {
        const { [CKA.LABEL]: label, [CKA.ID]: id } = await cryptoki.C_GetAttributeValue(session, object, [
          CKA.LABEL,
          CKA.ID,
        ]);
        own.push(`${kind} ${label} ${toHex(id)}`);
      }
      await cryptoki.C_FindObjectsFinal(session);
    }
    expect(theirs).toHaveLength(3 * SLOTS.length);
    expect(own.sort()).toEqual(theirs.sort());
  });
});
