import { describe, expect, test } from "@jest/globals";
import { encodeTlv } from "../../src/apdu/index.ts";
import { concat, fromHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKR, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { testCard } from "../virtual/keys.ts";
import { first, PIN, refusal, type Rig, rig } from "./rig.ts";

/** `verifyResults: "always"` with a key that wants its PIN before each use: the card is kept for the use, whose result is verified. */

const DATA = utf8("message");
const ECDSA = { mechanism: CKM.ECDSA_SHA256 };

interface Careful {
  readonly cryptoki: Cryptoki;
  readonly session: number;
}

/** An application that verifies all results, and has begun a signature with its PIN given. */
async function authenticated(made: Rig): Promise<Careful> {
  const cryptoki = new Cryptoki({ slots: made.cryptoki.slots, verifyResults: "always" });
  await cryptoki.C_Initialize();
  const session = await cryptoki.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, PIN);
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
  const key = first(await cryptoki.C_FindObjects(session));
  await cryptoki.C_FindObjectsFinal(session);
  await cryptoki.C_SignInit(session, ECDSA, key);
  await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
  return { cryptoki, session };
}

/** A card whose signatures are all the same, and not its key's. */
async function wrongCard(): Promise<InProcessCard> {
  const card = await testCard();
  const integer = encodeTlv(0x02, new Uint8Array(32).fill(0x11));
  const answer = encodeTlv(0x7c, encodeTlv(0x82, encodeTlv(0x30, concat(integer, integer))));
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      const given = await card.transmit(command);
      return command[1] === 0x87 && given.at(-2) === 0x90 ? concat(answer, fromHex("9000")) : given;
    },
  };
}

describe("between the PIN and a signature that is verified", () => {
  // It was not read before.
  const read = async (made: Rig): Promise<unknown> => made.object(await made.session(), CKO.CERTIFICATE, 4);

  test("another application's read waits, or has the PIN verified anew", async () => {
    await using made = await rig(await testCard(), [piv]);
    const { cryptoki, session } = await authenticated(made);
    const used = await made.count(() => read(made));
    expect(used).toBeGreaterThan(0);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    await cryptoki.C_Finalize();
  });

  test("a PIN serves one signature", async () => {
    await using made = await rig(await testCard(), [piv]);
    const { cryptoki, session } = await authenticated(made);
    await cryptoki.C_Sign(session, DATA);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
    await cryptoki.C_SignInit(session, ECDSA, first(await cryptoki.C_FindObjects(session)));
    await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject({ rv: CKR.USER_NOT_LOGGED_IN });
    await cryptoki.C_Finalize();
  });
});

test("a wrong signature is not given, and the login stays", async () => {
  await using made = await rig(await wrongCard(), [piv]);
  const { cryptoki, session } = await authenticated(made);
  await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject({
    ...refusal("DEVICE_ERROR"),
    message: expect.stringContaining("does not verify") as unknown,
  });
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY });
  expect((await cryptoki.C_FindObjects(session)).length).toBeGreaterThan(0);
  await cryptoki.C_Finalize();
});
