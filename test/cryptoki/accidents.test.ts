/** An accident of the card or the reader fails the present call, is reported, and is forgotten. */
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CardBusyError, type CardObject, StatusError } from "../../src/card/index.ts";
import { CKA, CKF, CKO, Cryptoki } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders, PcscError } from "../../src/pcsc/index.ts";
import { profiles } from "../../src/index.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";
import { READER, refusal, rig, settled } from "./rig.ts";
import { AGREEABLE, fakeProfile } from "./two-pin-card.ts";
import { find, writableRig } from "./writable-card.ts";

/** An object whose existence is answered as `answers` say, one after the other; then it is there. */
function object(reference: string, answers: readonly Error[] = []): CardObject {
  const left = [...answers];
  return {
    class: "data",
    reference,
    label: reference,
    id: new Uint8Array(),
    private: false,
    application: "",
    isPresent: () => {
      const error = left.shift();
      return error ? Promise.reject(error) : Promise.resolve(true);
    },
    value: () => Promise.resolve(utf8(reference)),
  };
}

const status = (sw: number): Error => new StatusError("READ BINARY", sw);
const WANTED = { [CKA.CLASS]: CKO.DATA, [CKA.APPLICATION]: "" };

describe("a search over an object that", () => {
  test.each([0x6f00, 0x6581, 0x6400, 0x6600])(
    "cannot be read because of %p fails, and finds all of them next time",
    async (sw) => {
      await using made = await writableRig();
      const answers = [status(sw)];
      for (const one of [object("before"), object("broken", answers), object("after")]) {
        made.token.kept.set(one.reference, one);
      }
      const session = await made.session();
      await made.one.C_FindObjectsInit(session, WANTED);
      await expect(made.one.C_FindObjects(session)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
      expect(await made.one.C_FindObjects(session)).toHaveLength(3);
    },
  );

  test.each([0x6985, 0x6a80, 0x6d00, 0x6b00])("is refused once with %p finds it all the same", async (sw) => {
    await using made = await writableRig();
    made.token.kept.set("odd", object("odd", [status(sw)]));
    expect(await find(made.one, await made.session(), WANTED)).toHaveLength(1);
  });

  test.each([
    ["is not there", [status(0x6a82)]],
    ["is kept back", [status(0x6982)]],
    ["has no record", [status(0x6a83)]],
    ["is refused again and again", [status(0x6a81), status(0x6a81)]],
  ])("%s finds the others", async (_, answers) => {
    await using made = await writableRig();
    for (const one of [object("refused", answers), object("there")]) made.token.kept.set(one.reference, one);
    expect(await find(made.one, await made.session(), WANTED)).toHaveLength(1);
  });
});

test("an accident while a value of a search is read is no answer either", async () => {
  const card = await testCard();
  let strikes = 0;
  await using made = await rig({
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: (command) => {
      if (toHex(command).startsWith("00cb3fff055c035fc10a") && strikes-- > 0) return Promise.resolve(fromHex("6f00"));
      return card.transmit(command);
    },
  });
  const session = await made.session();
  strikes = 1;
  await made.cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE });
  await expect(made.cryptoki.C_FindObjects(session)).rejects.toMatchObject({
    ...refusal("DEVICE_ERROR"),
    cause: { sw: 0x6f00 },
  });
  expect(await made.cryptoki.C_FindObjects(session)).toHaveLength(4);
});

describe("what failed by accident", () => {
  test("while the card was looked at is asked again", async () => {
    await using made = await rig(await testCard());
    made.before = (): void => {
      made.before = undefined;
      throw new PcscError("SCARD_F_COMM_ERROR");
    };
    await expect(made.cryptoki.C_GetTokenInfo(0)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    expect((await made.cryptoki.C_GetTokenInfo(0)).model).toBe("PIV");
  });

  test.each([1, 2, 3, 6, 9])("by a reset by another program, at command %i, hides no token of the card", async (at) => {
    await using made = await rig(await testPkcs15Card(), profiles);
    made.before = (_, number): void => {
      if (number === at) throw new PcscError("SCARD_W_RESET_CARD");
    };
    expect(await made.cryptoki.C_GetSlotList(true)).toHaveLength(2);
  });

  /** A card that answers its first `count` commands with 6C10, whatever Le they come with. */
  async function wrongLe(count: number): Promise<InProcessCard> {
    const card = await testCard();
    let left = count;
    return {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: (command) => (left-- > 0 ? Promise.resolve(fromHex("6c10")) : card.transmit(command)),
    };
  }

  test.each([1, 2, 3, 4])("by %i answers 6C10 while the card was looked at is asked again", async (count) => {
    await using made = await rig(await wrongLe(count));
    expect((await made.cryptoki.C_GetTokenInfo(0)).model).toBe("PIV");
  });

  test("by a card that answers nothing else is not asked for without end", async () => {
    await using made = await rig(await wrongLe(Infinity), profiles);
    await expect(made.cryptoki.C_GetTokenInfo(0)).rejects.toMatchObject(refusal("TOKEN_NOT_RECOGNIZED"));
    expect(made.commands.length).toBeLessThan(200);
  });

  test("while the token told its name is asked again", async () => {
    await using made = await writableRig();
    const info = made.token.info.bind(made.token);
    made.token.info = () => {
      made.token.info = info;
      return Promise.reject(status(0x6f00));
    };
    await expect(made.one.C_GetTokenInfo(0)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    expect((await made.other.C_GetTokenInfo(0)).label).toMatch(/^A token with a name/u);
  });

  test("when the objects were listed is asked again", async () => {
    await using made = await writableRig();
    made.token.kept.set("there", object("there"));
    const objects = made.token.objects.bind(made.token);
    made.token.objects = () => {
      made.token.objects = objects;
      return Promise.reject(status(0x6581));
    };
    const session = await made.session();
    await expect(made.one.C_FindObjectsInit(session, WANTED)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    expect(await find(made.one, session, WANTED)).toHaveLength(1);
  });
});

describe("C_GetSlotList", () => {
  /** Two tokens in slots 0 and 1; the card can be kept from this program. */
  async function twoTokens(readers: MemoryReaders): Promise<Cryptoki> {
    readers.plug(READER);
    readers.insert(READER, AGREEABLE);
    const profile = fakeProfile({ pinLabel: "PIN1" }, { pinLabel: "PIN2" });
    const cryptoki = new Cryptoki({ pcsc: readers.client({ patience: 50 }), profiles: [profile] });
    await cryptoki.C_Initialize();
    expect(await cryptoki.C_GetSlotList(true)).toEqual([0, 1]);
    return cryptoki;
  }

  test("keeps the slots of a card that another program holds, and C_GetTokenInfo tells why they cannot be used", async () => {
    const readers = new MemoryReaders();
    await using cryptoki = await twoTokens(readers);
    // The connection ends, and another program takes the card for itself.
    await cryptoki.C_Reinitialize(0);
    await settled();
    const other = await readers.client().connect(READER, { share: 1 });
    expect(await cryptoki.C_GetSlotList(true)).toEqual([0, 1]);
    for (const slot of [0, 1]) {
      expect((await cryptoki.C_GetSlotInfo(slot)).flags & CKF.TOKEN_PRESENT).toBe(CKF.TOKEN_PRESENT);
      await expect(cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject({
        ...refusal("DEVICE_ERROR"),
        cause: expect.any(CardBusyError),
      });
    }
    await other.disconnect();
    expect((await cryptoki.C_GetTokenInfo(1)).label).toBe("Identity Card (PIN2)");
  });

  test("has no slot of a card that was taken out", async () => {
    const readers = new MemoryReaders();
    await using cryptoki = await twoTokens(readers);
    readers.eject(READER);
    await settled();
    expect(await cryptoki.C_GetSlotList(true)).toEqual([]);
  });
});
