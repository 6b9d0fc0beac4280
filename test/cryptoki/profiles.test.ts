import { describe, expect, test } from "@jest/globals";
import { constants, createPublicKey, verify } from "node:crypto";
import {
  CKA,
  CKF,
  CKF_MECHANISM,
  CKF_SLOT,
  CKF_TOKEN,
  CKM,
  CKO,
  CKP,
  CKS,
  CKU,
  CryptokiError,
} from "../../src/cryptoki/index.ts";
import { fromHex } from "../../src/bytes/index.ts";
import { testCard } from "../virtual/keys.ts";
import { first, PIN, type Rig, rig } from "./rig.ts";

/**
 * The conformance profiles of OASIS (PKCS #11 Profiles 3.1): what each clause demands of a provider, and the order of calls of its
 * mandatory test case (BL-M-1, EXT-M-1, AUTH-M-1, CERT-M-1), on a virtual PIV card. Which profiles hold is asked of the
 * CKO_PROFILE objects, as a consumer would.
 */

async function profiles(bench: Rig, session: number): Promise<unknown[]> {
  const { cryptoki } = bench;
  const objects = await bench.find(session, { [CKA.CLASS]: CKO.PROFILE });
  const ids = await Promise.all(
    objects.map((object) => cryptoki.C_GetAttributeValue(session, object, [CKA.PROFILE_ID])),
  );
  return ids.map(({ [CKA.PROFILE_ID]: id }) => id);
}

describe("Baseline Provider", () => {
  test("BL-M-1: information, a session, a search, and the end", async () => {
    await using bench = await rig(await testCard());
    const { cryptoki } = bench;
    await cryptoki.C_Finalize();
    await cryptoki.C_Initialize();
    expect(await cryptoki.C_GetInfo()).toMatchObject({ cryptokiVersion: { major: 3, minor: 1 }, flags: 0 });
    const slot = first(await cryptoki.C_GetSlotList(true));
    expect((await cryptoki.C_GetSlotInfo(slot)).flags & CKF_SLOT.TOKEN_PRESENT).toBeTruthy();
    const { flags } = await cryptoki.C_GetTokenInfo(slot);
    const expected = CKF_TOKEN.RNG | CKF_TOKEN.LOGIN_REQUIRED | CKF_TOKEN.USER_PIN_INITIALIZED;
    expect(flags & expected).toBe(expected);
    expect(flags & CKF_TOKEN.TOKEN_INITIALIZED).toBeTruthy();
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_FindObjectsInit(session, { [CKA.TOKEN]: true });
    expect(await cryptoki.C_FindObjects(session, 1)).toHaveLength(1);
    await cryptoki.C_FindObjectsFinal(session);
    await cryptoki.C_CloseSession(session);
    await cryptoki.C_CloseAllSessions(slot);
    await cryptoki.C_Finalize();
    await expect(cryptoki.C_GetInfo()).rejects.toThrow(CryptokiError);
  });

  test("lists its interfaces, and gives one by name and version", async () => {
    await using bench = await rig();
    const interfaces = await bench.cryptoki.C_GetInterfaceList();
    expect(interfaces.map(({ pInterfaceName }) => pInterfaceName)).toContain("PKCS 11");
    const { pFunctionList } = await bench.cryptoki.C_GetInterface("PKCS 11", { major: 3, minor: 0 }, 0);
    expect(pFunctionList.version).toEqual({ major: 3, minor: 0 });
    expect(pFunctionList.functions).toEqual(expect.arrayContaining(["C_GetInterface", "C_LoginUser", "C_FindObjects"]));
  });

  test("every token object has the attributes that the profile names", async () => {
    await using bench = await rig(await testCard());
    const session = await bench.loggedIn();
    const objects = await bench.find(session, { [CKA.TOKEN]: true });
    const named = [CKA.CLASS, CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.LABEL, CKA.UNIQUE_ID];
    const unique = await Promise.all(
      objects.map(async (object) => {
        const values = await bench.cryptoki.C_GetAttributeValue(session, object, named);
        expect(values[CKA.TOKEN]).toBe(true);
        return values[CKA.UNIQUE_ID];
      }),
    );
    expect(objects.length).toBeGreaterThan(10);
    expect(new Set(unique).size).toBe(objects.length);
  });

  test("says that it is one", async () => {
    await using bench = await rig(await testCard());
    expect(await profiles(bench, await bench.session(0))).toContain(CKP.BASELINE_PROVIDER);
  });
});

describe("Extended Provider", () => {
  test("EXT-M-1: mechanisms, a login, a search, a logout", async () => {
    await using bench = await rig(await testCard());
    const { cryptoki } = bench;
    const slot = await bench.slot();
    const mechanisms = await cryptoki.C_GetMechanismList(slot);
    expect(mechanisms).toEqual(expect.arrayContaining([CKM.SHA512, CKM.RSA_PKCS_KEY_PAIR_GEN, CKM.RSA_PKCS]));
    expect(new Set(mechanisms).size).toBe(mechanisms.length);
    const flagsOf = async (type: number): Promise<number> => (await cryptoki.C_GetMechanismInfo(slot, type)).flags;
    expect(await cryptoki.C_GetMechanismInfo(slot, CKM.SHA512)).toEqual({
      ulMinKeySize: 0,
      ulMaxKeySize: 0,
      flags: CKF_MECHANISM.DIGEST,
    });
    expect((await flagsOf(CKM.RSA_PKCS_KEY_PAIR_GEN)) & CKF_MECHANISM.GENERATE_KEY_PAIR).toBeTruthy();
    const uses =
      CKF_MECHANISM.ENCRYPT |
      CKF_MECHANISM.DECRYPT |
      CKF_MECHANISM.SIGN |
      CKF_MECHANISM.VERIFY |
      CKF_MECHANISM.WRAP |
      CKF_MECHANISM.UNWRAP;
    expect((await flagsOf(CKM.RSA_PKCS)) & uses).toBe(uses);
    for (const type of mechanisms) expect(await flagsOf(type)).toBeGreaterThan(0);

    const session = await cryptoki.C_OpenSession(slot, CKF.RW_SESSION | CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_FindObjectsInit(session, { [CKA.TOKEN]: true });
    expect(await cryptoki.C_FindObjects(session, 1)).toHaveLength(1);
    await cryptoki.C_FindObjectsFinal(session);
    await cryptoki.C_Logout(session);
    await cryptoki.C_CloseSession(session);
  });

  test("C_LoginUser logs in as C_Login does, for users without names", async () => {
    await using bench = await rig(await testCard());
    const session = await bench.session();
    await bench.cryptoki.C_LoginUser(session, CKU.USER, PIN, "");
    expect((await bench.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
  });

  test("says that it is one", async () => {
    await using bench = await rig(await testCard());
    expect(await profiles(bench, await bench.session(0))).toContain(CKP.EXTENDED_PROVIDER);
  });
});

describe("Authentication Token", () => {
  test("AUTH-M-1: the public key's numbers, and a signature that they verify", async () => {
    await using bench = await rig(await testCard());
    const { cryptoki } = bench;
    const session = await bench.loggedIn();
    const publicKey = await bench.publicKey(session, 1);
    const numbers = await cryptoki.C_GetAttributeValue(session, publicKey, [CKA.MODULUS, CKA.PUBLIC_EXPONENT]);
    const privateKey = await bench.privateKey(session, 1);
    const data = fromHex("308201830201003056310b3009060355040613024155");
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, privateKey);
    const signature = await cryptoki.C_Sign(session, data);
    expect(signature).toHaveLength(numbers[CKA.MODULUS].length);
    const key = createPublicKey({
      format: "jwk",
      key: {
        kty: "RSA",
        n: Buffer.from(numbers[CKA.MODULUS]).toString("base64url"),
        e: Buffer.from(numbers[CKA.PUBLIC_EXPONENT]).toString("base64url"),
      },
    });
    expect(verify("sha256", data, { key, padding: constants.RSA_PKCS1_PADDING }, signature)).toBe(true);
    await cryptoki.C_Logout(session);
  });

  test("says that it is one", async () => {
    await using bench = await rig(await testCard());
    expect(await profiles(bench, await bench.session(0))).toContain(CKP.AUTHENTICATION_TOKEN);
  });
});

describe("Public Certificates Token", () => {
  test("CERT-M-1: label and value of every certificate without a login", async () => {
    await using bench = await rig(await testCard());
    const { cryptoki } = bench;
    const session = await bench.session(0);
    const certificates = await bench.find(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    expect(certificates.length).toBeGreaterThan(2);
    for (const certificate of certificates) {
      const values = await cryptoki.C_GetAttributeValue(session, certificate, [CKA.LABEL, CKA.VALUE, CKA.PRIVATE]);
      expect(values[CKA.LABEL]).not.toBe("");
      expect(values[CKA.VALUE][0]).toBe(0x30);
      expect(values[CKA.PRIVATE]).toBe(false);
    }
  });

  test("every certificate's key is found by its CKA_ID, the public one without a login", async () => {
    await using bench = await rig(await testCard());
    const session = await bench.session(0);
    const certificates = await bench.find(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    const ids = await Promise.all(
      certificates.map((object) => bench.cryptoki.C_GetAttributeValue(session, object, [CKA.ID])),
    );
    for (const { [CKA.ID]: id } of ids) {
      expect(await bench.find(session, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id })).toHaveLength(1);
    }
    await bench.cryptoki.C_Login(session, CKU.USER, PIN);
    for (const { [CKA.ID]: id } of ids) {
      expect(await bench.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: id })).toHaveLength(1);
    }
  });

  test("says that it is one", async () => {
    await using bench = await rig(await testCard());
    expect(await profiles(bench, await bench.session(0))).toContain(CKP.PUBLIC_CERTIFICATES_TOKEN);
  });
});
