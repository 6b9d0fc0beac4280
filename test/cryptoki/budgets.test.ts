import { describe, expect, test } from "@jest/globals";
import { CKA, CKF, CKM, CKO, CKU, CryptokiError, type CK_MECHANISM } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, READER, rig, type Rig } from "./rig.ts";

const DATA = new Uint8Array(100);
const RSA = { mechanism: CKM.SHA256_RSA_PKCS };
const ECDSA = { mechanism: CKM.ECDSA_SHA256 };

/** Login, find the private key by CKA_ID, one signature. */
async function sign(made: Rig, id: number, mechanism: CK_MECHANISM): Promise<() => Promise<Uint8Array>> {
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const key = await made.privateKey(session, id);
  const { [CKA.ALWAYS_AUTHENTICATE]: always } = await cryptoki.C_GetAttributeValue(session, key, [
    CKA.ALWAYS_AUTHENTICATE,
  ]);
  const next = async (): Promise<Uint8Array> => {
    await cryptoki.C_SignInit(session, mechanism, key);
    if (always) await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    return cryptoki.C_Sign(session, DATA);
  };
  await next();
  return next;
}

/** Lists all objects without a login. @param types Takes their classes. */
async function listObjects(made: Rig, types = new Set<unknown>()): Promise<void> {
  const { cryptoki } = made;
  const session = await made.session();
  for (const object of await made.find(session, {})) {
    const shown = await cryptoki.C_GetAttributeValue(session, object, [CKA.CLASS, CKA.LABEL]);
    types.add(shown[CKA.CLASS]);
    await cryptoki.C_GetAttributeValue(session, object, [CKA.ID, CKA.KEY_TYPE]).catch((error: unknown) => {
      if (!(error instanceof CryptokiError)) throw error;
    });
  }
}

/** APDUs that each piece of work may cost: exchanges that a card of 5 to 50 ms each answers. */
describe.each([
  { form: "short", extended: false, list: 4, objects: 17, signRsa: 10, signEc: 7, nextRsa: 3, read: 6, generate: 7 },
  { form: "extended", extended: true, list: 4, objects: 7, signRsa: 5, signEc: 5, nextRsa: 1, read: 3, generate: 6 },
])("with $form APDUs", ({ extended, ...budget }) => {
  const card = testCard({ extended });
  const fresh = async (): Promise<Rig> => {
    (await card).reset();
    return rig(await card, profiles);
  };

  test("list", async () => {
    await using made = await fresh();
    const { cryptoki } = made;
    expect(await made.count(async () => cryptoki.C_GetTokenInfo(await made.slot()))).toBeLessThanOrEqual(budget.list);
  });

  test("objects", async () => {
    await using made = await fresh();
    const types = new Set<unknown>();
    const used = await made.count(() => listObjects(made, types));
    expect(types).toEqual(new Set([CKO.CERTIFICATE, CKO.PUBLIC_KEY, CKO.PRIVATE_KEY, CKO.DATA, CKO.PROFILE]));
    expect(used).toBeLessThanOrEqual(budget.objects);
  });

  test("sign and next, RSA-2048", async () => {
    await using made = await fresh();
    let next: () => Promise<unknown> = () => Promise.reject(new Error("not yet"));
    const used = await made.count(async () => {
      next = await sign(made, 1, RSA);
    });
    expect(used).toBeLessThanOrEqual(budget.signRsa);
    expect(await made.count(next)).toBeLessThanOrEqual(budget.nextRsa);
  });

  test("sign and next, P-256 in 9C", async () => {
    await using made = await fresh();
    let next: () => Promise<unknown> = () => Promise.reject(new Error("not yet"));
    const used = await made.count(async () => {
      next = await sign(made, 2, ECDSA);
    });
    expect(used).toBeLessThanOrEqual(budget.signEc);
    expect(await made.count(next)).toBeLessThanOrEqual(2);
  });

  test("generate, RSA-2048", async () => {
    await using made = await rig(await testCard({ extended }), profiles);
    const { cryptoki } = made;
    const used = await made.count(async () => {
      const session = await made.session();
      await cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
      const ID = Uint8Array.of(1);
      await cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
        { [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: 2048, [CKA.ID]: ID },
        { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.ID]: ID },
      );
    });
    expect(used).toBeLessThanOrEqual(budget.generate);
  });

  test("read", async () => {
    await using made = await fresh();
    const { cryptoki } = made;
    const used = await made.count(async () => {
      const session = await made.session();
      const certificate = await made.object(session, CKO.CERTIFICATE, 1);
      await cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]);
    });
    expect(used).toBeLessThanOrEqual(budget.read);
  });
});

test.each([
  { form: "short", extended: false, objects: 16, mechanisms: 9 },
  { form: "extended", extended: true, objects: 6, mechanisms: 7 },
])("a YubiKey without retired keys, $form APDUs", async ({ extended, objects, mechanisms }) => {
  const card = await testCard({ yubico: true, defaultSelected: false, extended });
  await using listing = await rig(card, profiles);
  expect(await listing.count(() => listObjects(listing))).toBeLessThanOrEqual(objects);
  card.reset();
  await using asking = await rig(card, profiles);
  const asked = asking.count(async () => asking.cryptoki.C_GetMechanismInfo(await asking.slot(), CKM.RSA_PKCS));
  expect(await asked).toBeLessThanOrEqual(mechanisms);
});

test("what is known without reading is not read", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const slot = await made.slot();
  const session = await made.session();
  const used = await made.count(async () => {
    await cryptoki.C_GetSlotInfo(slot);
    await cryptoki.C_GetSessionInfo(session);
    await cryptoki.C_GetMechanismList(slot);
    // What the card has no part in; any other follows from its keys.
    await cryptoki.C_GetMechanismInfo(slot, CKM.SHA256);
    await cryptoki.C_GenerateRandom(session, 32);
    await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
    await cryptoki.C_Digest(session, DATA);
    await made.find(session, { [CKA.CLASS]: CKO.SECRET_KEY });
    await made.find(session, { [CKA.ID]: Uint8Array.of(99) });
    // Invisible without login, so the card is not asked for it.
    await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
  });
  expect(used).toBe(0);
});

test("a search that is content with one object reads one", async () => {
  await using made = await rig(await testCard({ extended: true }));
  const { cryptoki } = made;
  const session = await made.session();
  const used = await made.count(async () => {
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    expect(await cryptoki.C_FindObjects(session, 1)).toHaveLength(1);
    await cryptoki.C_FindObjectsFinal(session);
  });
  expect(used).toBe(1);
});

describe("a program that asks for the token again and again", () => {
  const tries = (commands: readonly string[]): number => commands.filter((command) => command === "00200080").length;

  test("has the tries asked for once, and again after a PIN was given", async () => {
    await using made = await rig(await testCard());
    const { cryptoki, commands } = made;
    const slot = await made.slot();
    for (let turn = 0; turn < 5; turn++) await cryptoki.C_GetTokenInfo(slot);
    expect(tries(commands)).toBe(1);
    const session = await made.session();
    await expect(cryptoki.C_Login(session, CKU.USER, "654321")).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT" });
    const { flags } = await cryptoki.C_GetTokenInfo(slot);
    expect(flags & CKF.USER_PIN_COUNT_LOW).toBe(CKF.USER_PIN_COUNT_LOW);
    expect(tries(commands)).toBe(2);
  });

  test("has them asked for each time while another program is connected, which may spend some", async () => {
    await using made = await rig(await testCard());
    await using other = await made.readers.client().connect(READER);
    expect(other.reader).toBe(READER);
    const slot = await made.slot();
    for (let turn = 0; turn < 3; turn++) await made.cryptoki.C_GetTokenInfo(slot);
    expect(tries(made.commands)).toBe(3);
  });
});
