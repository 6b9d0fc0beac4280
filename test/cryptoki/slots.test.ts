import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import {
  CardAccessError,
  type CardApplication,
  CardBusyError,
  type CardObject,
  type CardProfile,
  type CardToken,
  PinError,
} from "../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders, type Pcsc, PcscError } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { testCard } from "../virtual/keys.ts";
import { READER, refusal, rig, settled } from "./rig.ts";

const unknownCard: InProcessCard = {
  atr: fromHex("3b00"),
  reset: () => undefined,
  transmit: () => Promise.resolve(fromHex("6d00")),
};
const muteCard: InProcessCard = { ...unknownCard, atr: new Uint8Array() };

describe("slots", () => {
  test("are the readers, with and without a card", async () => {
    await using made = await rig(await testCard());
    const { cryptoki, readers } = made;
    readers.plug("Second Reader");
    await settled();
    expect(await cryptoki.C_GetSlotList(false)).toEqual([0, 1]);
    expect(await cryptoki.C_GetSlotList(true)).toEqual([0]);
    expect(await cryptoki.C_GetSlotInfo(0)).toMatchObject({
      slotDescription: READER,
      flags: CKF.TOKEN_PRESENT | CKF.REMOVABLE_DEVICE | CKF.HW_SLOT,
    });
    expect(await cryptoki.C_GetSlotInfo(1)).toMatchObject({
      slotDescription: "Second Reader",
      flags: CKF.REMOVABLE_DEVICE | CKF.HW_SLOT,
    });
  });

  test("keep their IDs while readers come and go", async () => {
    await using made = await rig();
    const { cryptoki, readers } = made;
    readers.plug("B");
    await settled();
    readers.unplug(READER);
    readers.plug("C");
    await settled();
    expect(await cryptoki.C_GetSlotList(false)).toEqual([1, 2]);
    expect(await cryptoki.C_GetSlotInfo(0)).toMatchObject({ slotDescription: READER });
    readers.plug(READER);
    await settled();
    expect(await cryptoki.C_GetSlotList(false)).toEqual([0, 1, 2]);
    readers.unplug("B");
    await settled();
    await cryptoki.C_Finalize();
    await cryptoki.C_Initialize();
    readers.plug("B");
    await settled();
    expect(await cryptoki.C_GetSlotList(false)).toEqual([0, 1, 2]);
  });

  test("have names cut to the standard's length, between characters", async () => {
    const name = `${"\u{1f4b3}".repeat(15)}abcdef`;
    const readers = new MemoryReaders();
    readers.plug(name);
    await using cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [piv] });
    await cryptoki.C_Initialize();
    expect((await cryptoki.C_GetSlotInfo(0)).slotDescription).toBe(`${"\u{1f4b3}".repeat(15)}abcd`);
  });

  test.each([
    ["no card that this driver knows", unknownCard],
    ["a card that does not answer", muteCard],
  ])("hold a token that is not recognized: %s", async (_what, card) => {
    await using made = await rig(card);
    const slot = await made.slot();
    await expect(made.cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject(refusal("TOKEN_NOT_RECOGNIZED"));
    await expect(made.session()).rejects.toMatchObject(refusal("TOKEN_NOT_RECOGNIZED"));
  });

  test("a card that another program holds is told as such, and used when it is free", async () => {
    await using made = await rig(await testCard());
    const other = await made.readers.client().connect(READER, { share: 1 });
    const slot = await made.slot();
    await expect(made.cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject({
      ...refusal("DEVICE_ERROR"),
      message: expect.stringContaining("another program holds the card"),
      cause: expect.any(CardBusyError),
    });
    await other.disconnect();
    expect((await made.cryptoki.C_GetTokenInfo(slot)).model).toBe("PIV");
  });

  test("a card that cannot be reached does not hide the others", async () => {
    await using made = await rig(unknownCard);
    made.readers.plug("Second Reader");
    made.insert(await testCard(), "Second Reader");
    await settled();
    const other = await made.readers.client().connect(READER, { share: 1 });
    expect(await made.cryptoki.C_GetSlotList(true)).toEqual([0, 1]);
    expect((await made.cryptoki.C_GetTokenInfo(1)).model).toBe("PIV");
    await other.disconnect();
  });

  test("are none without a smart-card service, or when it fails", async () => {
    const broken: Pcsc = {
      ...new MemoryReaders().client(),
      // eslint-disable-next-line @typescript-eslint/require-await, require-yield
      changes: async function* () {
        throw new PcscError("SCARD_E_UNSUPPORTED_FEATURE");
      },
    };
    const cryptoki = new Cryptoki({ pcsc: broken, profiles: [piv] });
    await expect(cryptoki.C_Initialize()).rejects.toMatchObject({
      ...refusal("DEVICE_ERROR"),
      cause: expect.any(CardAccessError),
    });
    await expect(cryptoki.C_GetInfo()).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
  });
});

describe("C_WaitForSlotEvent", () => {
  test("tells of each slot once, to each application", async () => {
    await using made = await rig();
    const { cryptoki } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    await expect(cryptoki.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
    const waiting = cryptoki.C_WaitForSlotEvent(0);
    made.insert(await testCard());
    expect(await waiting).toBe(0);
    await expect(cryptoki.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
    expect(await other.C_WaitForSlotEvent(CKF.DONT_BLOCK)).toBe(0);
    made.readers.eject(READER);
    expect(await cryptoki.C_WaitForSlotEvent(0)).toBe(0);
  });

  test("knows nothing of what was before C_Initialize", async () => {
    await using made = await rig(await testCard());
    await expect(made.cryptoki.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
    await made.slot();
    await made.session();
    await expect(made.cryptoki.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
  });

  test("tells of readers that come and go", async () => {
    await using made = await rig();
    made.readers.plug("Second Reader");
    expect(await made.cryptoki.C_WaitForSlotEvent(0)).toBe(1);
    made.readers.unplug("Second Reader");
    expect(await made.cryptoki.C_WaitForSlotEvent(0)).toBe(1);
  });

  test("tells of a card that was swapped between two looks", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    made.readers.eject(READER);
    made.insert(await testCard());
    expect(await made.cryptoki.C_WaitForSlotEvent(0)).toBe(0);
    await expect(made.cryptoki.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
  });

  test("ends with its signal, and with C_Finalize", async () => {
    await using made = await rig();
    const stop = new AbortController();
    const aborted = made.cryptoki.C_WaitForSlotEvent(0, { signal: stop.signal });
    stop.abort();
    await expect(aborted).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    const finalized = made.cryptoki.C_WaitForSlotEvent(0);
    await settled();
    const end = made.cryptoki.C_Finalize();
    await expect(finalized).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    await end;
  });
});

/** A card application with as many tokens as it is given PINs. */
function severalPins(...pins: readonly string[]): CardProfile {
  const token = (pin: string): CardToken => {
    const certificate: CardObject = {
      class: "certificate",
      reference: `${pin}.certificate`,
      label: pin,
      id: utf8(pin),
      private: false,
      isPresent: () => Promise.resolve(true),
      value: () => Promise.resolve(utf8("no certificate")),
    };
    return {
      info: () =>
        Promise.resolve({
          label: "Identity Card",
          manufacturer: "",
          model: "",
          serialNumber: "12345678901234567890",
          pin: { label: pin, minLength: 4, maxLength: 12 },
          application: "PKCS #15",
        }),
      mechanisms: [{ primitive: "rsa-pkcs1", minBits: 2048, maxBits: 3072 }],
      objects: () => Promise.resolve([certificate]),
      pinStatus: () => Promise.resolve({ triesLeft: undefined, maxTries: 3, verified: true }),
      login: (_user, given) =>
        Buffer.from(given).toString() === pin
          ? Promise.resolve()
          : Promise.reject(new PinError("incorrect", "wrong", 2)),
      logout: () => Promise.resolve(),
      use: () => Promise.reject(new Error("not here")),
    };
  };
  return {
    name: "pkcs15",
    claim: (): Promise<CardApplication> => Promise.resolve({ profile: "pkcs15", tokens: pins.map(token) }),
  };
}

describe("a card with several PINs", () => {
  test("is several tokens, each in its slot, under the reader's one description", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.plug("Second Reader");
    readers.insert(READER, unknownCard);
    await using cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [severalPins("PIN1", "PIN2")] });
    await cryptoki.C_Initialize();
    const slots = await cryptoki.C_GetSlotList(true);
    expect(slots).toEqual([0, 2]);
    expect(await cryptoki.C_GetSlotList(false)).toEqual([0, 2, 1]);
    const infos = await Promise.all(slots.map((slot) => cryptoki.C_GetTokenInfo(slot)));
    expect(infos.map(({ label }) => label)).toEqual(["Identity Card (PIN1)", "Identity Card (PIN2)"]);
    expect(infos.map(({ serialNumber }) => serialNumber)).toEqual(["5678901234567890", "5678901234567890"]);
    const descriptions = await Promise.all(slots.map((slot) => cryptoki.C_GetSlotInfo(slot)));
    expect(descriptions.map(({ slotDescription }) => slotDescription)).toEqual([READER, READER]);

    const sessions = await Promise.all(slots.map((slot) => cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION)));
    const [first = 0, second = 0] = sessions;
    await cryptoki.C_Login(second, CKU.USER, "PIN2");
    await expect(cryptoki.C_Login(first, CKU.USER, "PIN2")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await cryptoki.C_FindObjectsInit(second, { [CKA.CLASS]: CKO.CERTIFICATE });
    const [certificate = 0] = await cryptoki.C_FindObjects(second);
    await expect(cryptoki.C_GetAttributeValue(first, certificate, [CKA.ID])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
    // A certificate that does not parse still shows what it is, and hides no other object.
    await expect(cryptoki.C_GetAttributeValue(second, certificate, [CKA.VALUE, CKA.SUBJECT])).rejects.toMatchObject({
      ...refusal("ATTRIBUTE_TYPE_INVALID"),
      values: { [CKA.VALUE]: utf8("no certificate") },
    });

    readers.eject(READER);
    await settled();
    expect(await cryptoki.C_GetSlotList(false)).toEqual([0, 1]);
    await expect(cryptoki.C_GetTokenInfo(2)).rejects.toMatchObject(refusal("TOKEN_NOT_PRESENT"));
    readers.insert(READER, unknownCard);
    await settled();
    expect(await cryptoki.C_GetSlotList(true)).toEqual([0, 2]);
  });

  test("has the mechanisms for which its card has a primitive", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, unknownCard);
    await using cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [severalPins("PIN")] });
    await cryptoki.C_Initialize();
    expect((await cryptoki.C_GetTokenInfo(0)).label).toBe("Identity Card");
    const list = await cryptoki.C_GetMechanismList(0);
    expect(list).toContain(CKM.SHA256_RSA_PKCS);
    expect(list).toContain(CKM.SHA256);
    expect(list).not.toContain(CKM.RSA_PKCS_PSS);
    // The host has what the card does not, for keys of the session.
    expect((await cryptoki.C_GetMechanismInfo(0, CKM.ECDSA)).flags & CKF.HW).toBe(0);
    expect((await cryptoki.C_GetMechanismInfo(0, CKM.RSA_PKCS_KEY_PAIR_GEN)).flags).toBe(CKF.GENERATE_KEY_PAIR);
    expect(await cryptoki.C_GetMechanismInfo(0, CKM.RSA_PKCS)).toEqual({
      ulMinKeySize: 2048,
      ulMaxKeySize: 3072,
      flags:
        CKF.HW |
        CKF.SIGN |
        CKF.SIGN_RECOVER |
        CKF.VERIFY |
        CKF.VERIFY_RECOVER |
        CKF.ENCRYPT |
        CKF.DECRYPT |
        CKF.WRAP |
        CKF.UNWRAP,
    });
    expect(await cryptoki.C_GetMechanismInfo(0, CKM.SHA256)).toEqual({
      ulMinKeySize: 0,
      ulMaxKeySize: 0,
      flags: CKF.DIGEST,
    });
    await expect(cryptoki.C_GetMechanismInfo(0, CKM.RSA_PKCS_PSS)).rejects.toMatchObject(refusal("MECHANISM_INVALID"));
  });
});

test("what C_GetMechanismInfo says of a PIV card is what it does", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const slot = await made.slot();
  const EC = CKF.EC_F_P | CKF.EC_OID | CKF.EC_UNCOMPRESS;
  const flags = async (type: number): Promise<number> => (await cryptoki.C_GetMechanismInfo(slot, type)).flags;
  expect(await flags(CKM.SHA256_RSA_PKCS)).toBe(CKF.HW | CKF.SIGN | CKF.VERIFY);
  expect(await flags(CKM.RSA_PKCS_OAEP)).toBe(CKF.HW | CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP);
  expect(await flags(CKM.ECDSA)).toBe(CKF.HW | CKF.SIGN | CKF.VERIFY | EC);
  // Its EC keys, P-256 in 9C and 9E, are for signatures: agreeing on a secret is the host's, with keys of the session.
  expect(await flags(CKM.ECDH1_DERIVE)).toBe(CKF.DERIVE | EC);
  expect(await flags(CKM.EDDSA)).toBe(CKF.SIGN | CKF.VERIFY | CKF.EC_OID | CKF.EC_CURVENAME | CKF.EC_COMPRESS);
  expect(await flags(CKM.EC_KEY_PAIR_GEN)).toBe(CKF.HW | CKF.GENERATE_KEY_PAIR | EC);
  const sizes = async (type: number): Promise<number[]> => {
    const { ulMinKeySize, ulMaxKeySize } = await cryptoki.C_GetMechanismInfo(slot, type);
    return [ulMinKeySize, ulMaxKeySize];
  };
  expect(await sizes(CKM.ECDSA_SHA384)).toEqual([256, 256]);
  expect(await sizes(CKM.RSA_PKCS)).toEqual([2048, 2048]);
});
