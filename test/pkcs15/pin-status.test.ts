import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import type { PinStatus } from "../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CKU, mechanismOf } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { pinFailure, readPinStatus, unlistedPuk } from "../../src/pkcs15/pins/pins.ts";
import type { PinEntry } from "../../src/pkcs15/syntax/authentication.ts";
import { readEntry } from "../../src/pkcs15/syntax/directory.ts";
import { PIN, refusal, rig, type Rig } from "../cryptoki/rig.ts";
import type { VirtualCard } from "../../src/virtual/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { pin as pinDer } from "./directory-files.ts";
import { rebuiltCard } from "./rebuilt-card.ts";

const LOCKED_OR_LOW =
  CKF.USER_PIN_LOCKED | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_COUNT_LOW | CKF.SO_PIN_LOCKED | CKF.SO_PIN_FINAL_TRY;

function entry(): PinEntry {
  const read = readEntry(
    "authentication",
    fromHex(pinDer({ label: "PIN", authId: "01", reference: "81", flags: "0308" })),
  );
  if (read.class !== "pin") throw new Error("no PIN");
  return read;
}

describe("the empty VERIFY", () => {
  const status = (sw: number): ReturnType<typeof readPinStatus> =>
    readPinStatus({ send: () => Promise.resolve({ data: new Uint8Array(), sw }) }, entry());

  test.each<[string, number, Pick<PinStatus, "triesLeft" | "verified" | "isSet">]>([
    ["9000: verified", 0x9000, { triesLeft: undefined, verified: true }],
    ["63C2: two tries", 0x63c2, { triesLeft: 2, verified: false }],
    ["63C0: none", 0x63c0, { triesLeft: 0, verified: false }],
    ["6983: blocked", 0x6983, { triesLeft: 0, verified: false }],
    ["6984: not set", 0x6984, { triesLeft: undefined, verified: false, isSet: false }],
    ["6A88: not set", 0x6a88, { triesLeft: undefined, verified: false, isSet: false }],
  ])("answered by %s", async (_, sw, told) => {
    expect(await status(sw)).toEqual(told);
  });

  test.each([0x6300, 0x6700, 0x6982, 0x6985, 0x6a80, 0x6a86, 0x6d00, 0x6e00, 0x6f00, 0x6581])(
    "refused by %s tells nothing",
    async (sw) => {
      expect(await status(sw)).toEqual({ triesLeft: undefined, verified: false });
    },
  );

  test("a PIN that is sent and is not set is no wrong PIN; of a PUK the words are the card's own", () => {
    for (const sw of [0x6984, 0x6a88]) {
      expect(pinFailure(entry(), sw, 0x20)).toMatchObject({
        reason: "not-set",
        message: expect.stringMatching(/not set/u),
      });
      expect(pinFailure(entry(), sw, 0x2c)).toMatchObject({ name: "StatusError", sw });
    }
    expect(pinFailure(entry(), 0x6983, 0x20)).toMatchObject({ reason: "blocked", triesLeft: 0 });
  });
});

async function sign(made: Rig, id: number, mechanism: CKM): Promise<Uint8Array> {
  const session = await made.loggedIn();
  await made.cryptoki.C_SignInit(session, mechanismOf(mechanism), await made.privateKey(session, id));
  return made.cryptoki.C_Sign(session, utf8("message"));
}

describe("a card that refuses the empty VERIFY", () => {
  test.each<[string, () => Promise<VirtualCard>]>([
    ["OsEID", () => testPkcs15Card({ deviations: ["pin-status-refused"] })],
    ["IsoApplet", () => Promise.resolve(rebuiltCard({ deviations: ["pin-status-refused"] }))],
  ])("%s: its tries are unknown, and all else works", async (_, make) => {
    await using made = await rig(await make(), [pkcs15]);
    const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
    const { flags } = await made.cryptoki.C_GetTokenInfo(slot);
    expect(flags & LOCKED_OR_LOW).toBe(0);
    expect(flags & CKF.USER_PIN_INITIALIZED).not.toBe(0);
    const session = await made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE })).not.toEqual([]);
    await made.cryptoki.C_CloseSession(session);
    await expect(
      made.cryptoki.C_Login(await made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION), CKU.USER, "999999"),
    ).rejects.toMatchObject({ ...refusal("PIN_INCORRECT"), cause: { triesLeft: 2 } });
  });

  test("a signature and a write need it no more than a login does", async () => {
    await using made = await rig(rebuiltCard({ deviations: ["pin-status-refused"] }), [pkcs15]);
    expect(await sign(made, 1, CKM.SHA256_RSA_PKCS)).toHaveLength(256);
    const session = await made.session();
    await made.cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.DATA,
      [CKA.TOKEN]: true,
      [CKA.LABEL]: "note",
      [CKA.VALUE]: utf8("kept"),
    });
    expect(await made.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "note" })).toHaveLength(1);
  });
});

describe("a PUK that no entry names", () => {
  /** RESET RETRY COUNTER as it reached the card. */
  const unlockCommand = (made: Rig): string | undefined => made.commands.find((command) => command.startsWith("002c"));

  test("of IsoApplet is 16 bytes with zeros behind the new PIN", async () => {
    await using made = await rig(rebuiltCard({ puk: "1234567812345678" }), [pkcs15]);
    const session = await made.session();
    await made.cryptoki.C_UnlockPIN(session, "1234567812345678", "654321");
    expect(unlockCommand(made)).toBe(`002c0001203132333435363738313233343536373836353433323100000000000000000000`);
    await made.cryptoki.C_Login(session, CKU.USER, "654321");
  });

  test("of OsEID is 8 bytes with FF behind the new PIN; each PIN has its own", async () => {
    const card = await testPkcs15Card({ deviations: ["puk-not-listed"] });
    await using made = await rig(card, [pkcs15]);
    const slots = await made.cryptoki.C_GetSlotList(true);
    const [first = -1, second = -1] = await Promise.all(
      slots.map((slot) => made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION)),
    );
    await made.cryptoki.C_UnlockPIN(first, "12345678", "111111");
    expect(unlockCommand(made)).toBe("002c0001103132333435363738313131313131ffff");
    await made.cryptoki.C_UnlockPIN(second, "87654321", "222222");
    await made.cryptoki.C_Login(first, CKU.USER, "111111");
    await made.cryptoki.C_Login(second, CKU.USER, "222222");
  });

  test("that is wrong costs it a try, which the error tells, and leaves the PIN", async () => {
    const card = await testPkcs15Card({ deviations: ["puk-not-listed"] });
    await using made = await rig(card, [pkcs15]);
    const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
    const session = await made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await expect(made.cryptoki.C_UnlockPIN(session, "99999999", "111111")).rejects.toMatchObject({
      ...refusal("PIN_INCORRECT"),
      message: expect.stringMatching(/PUK of PIN is wrong; 2 tries are left/u),
    });
    // Longer than the card's PINs are: it is not asked.
    const before = made.commands.length;
    await expect(made.cryptoki.C_UnlockPIN(session, "123456789", "111111")).rejects.toMatchObject(
      refusal("PIN_LEN_RANGE"),
    );
    expect(made.commands.length).toBe(before);
    await made.cryptoki.C_Login(session, CKU.USER, PIN);
  });

  test("is not sent where the PIN's flags forbid unblocking", () => {
    // Bits of PasswordFlags: unblock-disabled, initialized, needs-padding.
    const forbidden = readEntry(
      "authentication",
      fromHex(pinDer({ label: "PIN", authId: "01", reference: "81", flags: "0318" })),
    );
    if (forbidden.class !== "pin") throw new Error("no PIN");
    expect(unlistedPuk(forbidden)).toBeUndefined();
    expect(unlistedPuk(entry())?.reference).toBe(0x81);
  });

  test("has no tries that could be asked for without an entry", async () => {
    const card = await testPkcs15Card({ deviations: ["puk-not-listed"] });
    await using made = await rig(card, [pkcs15]);
    await made.cryptoki.C_GetTokenInfo((await made.cryptoki.C_GetSlotList(true))[0] ?? -1);
    expect(made.commands.filter((command) => command.startsWith("0020"))).toHaveLength(1);
  });
});
