/** A key gives way to another one, made by another application of the process, while an operation with the old one waits for the card. */
import { expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, type CK_MECHANISM, type Template } from "../../src/cryptoki/index.ts";
import type { ApplicationOptions } from "../../src/cryptoki/application.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, refusal, rig, type Rig } from "./rig.ts";

type Options = Pick<ApplicationOptions, "keepPin" | "verifyResults">;

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const GENERATE = 0x47;
const DATA = utf8("data");
const P256 = Buffer.from("06082a8648ce3d030107", "hex");

/** Makes a key in the place that `id` names, as officer. */
async function replaceKey(cryptoki: Cryptoki, id: number, type: "rsa" | "ec" = id === 2 ? "ec" : "rsa"): Promise<void> {
  const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
  const shared = { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(id) };
  const [mechanism, kind]: [number, Template] =
    type === "ec"
      ? [CKM.EC_KEY_PAIR_GEN, { [CKA.EC_PARAMS]: P256 }]
      : [CKM.RSA_PKCS_KEY_PAIR_GEN, { [CKA.MODULUS_BITS]: 2048 }];
  await cryptoki.C_GenerateKeyPair(session, { mechanism }, { ...shared, ...kind }, shared);
}

/** Runs `work` when the card is about to make a key. */
function whileGenerating(made: Rig, work: () => void): void {
  made.before = (command): void => {
    if (command[1] !== GENERATE) return;
    made.before = undefined;
    work();
  };
}

const RSA = { mechanism: CKM.SHA256_RSA_PKCS };
const ECDSA = { mechanism: CKM.ECDSA_SHA256 };

test.each<[string, number, CK_MECHANISM, Options]>([
  ["RSA", 1, RSA, {}],
  ["RSA, all results verified", 1, RSA, { verifyResults: "always" }],
  ["EC, with the PIN that is kept for it", 2, ECDSA, { keepPin: true }],
])("no signature of the new key is given for the old one: %s", async (_, id, mechanism, options) => {
  await using made = await rig(await testCard());
  await using signer = new Cryptoki({ slots: made.cryptoki.slots, ...options });
  await signer.C_Initialize();
  const session = await signer.C_OpenSession(0, CKF.SERIAL_SESSION);
  await signer.C_Login(session, CKU.USER, PIN);
  await signer.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(id) });
  const [key = 0] = await signer.C_FindObjects(session);
  await signer.C_FindObjectsFinal(session);
  await signer.C_SignInit(session, mechanism, key);
  let signature: Promise<Uint8Array> | undefined;
  whileGenerating(made, () => {
    signature = signer.C_Sign(session, DATA);
    signature.catch(() => undefined);
  });
  await replaceKey(made.cryptoki, id);
  await expect(signature).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
  await expect(signer.C_SignInit(session, mechanism, key)).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
});

test.each<["rsa" | "ec", string]>([
  ["rsa", "which gives another result or refuses a number that is too large for it"],
  ["ec", "which the card refuses for an RSA operation"],
])("a ciphertext for the old key is not deciphered with the new one (%s, %s), and other keys go on", async (type) => {
  await using made = await rig(await testCard());
  await using reader = new Cryptoki({ slots: made.cryptoki.slots });
  await reader.C_Initialize();
  const session = await reader.C_OpenSession(0, CKF.SERIAL_SESSION);
  const other = await reader.C_OpenSession(0, CKF.SERIAL_SESSION);
  await reader.C_Login(session, CKU.USER, PIN);
  const keyOf = async (objectClass: number, id: number): Promise<number> => {
    await reader.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(id) });
    const [found = 0] = await reader.C_FindObjects(session);
    await reader.C_FindObjectsFinal(session);
    return found;
  };
  const mechanism = { mechanism: CKM.RSA_PKCS };
  await reader.C_EncryptInit(session, mechanism, await keyOf(CKO.PUBLIC_KEY, 3));
  const ciphertext = await reader.C_Encrypt(session, DATA);
  await reader.C_DecryptInit(session, mechanism, await keyOf(CKO.PRIVATE_KEY, 3));
  await reader.C_SignInit(other, RSA, await keyOf(CKO.PRIVATE_KEY, 1));
  const calls: Promise<Uint8Array>[] = [];
  whileGenerating(made, () => calls.push(reader.C_Decrypt(session, ciphertext), reader.C_Sign(other, DATA)));
  await replaceKey(made.cryptoki, 3, type);
  const [decrypted, signed] = await Promise.allSettled(calls);
  expect(decrypted).toMatchObject({ status: "rejected", reason: refusal("KEY_HANDLE_INVALID") });
  expect(signed).toMatchObject({ status: "fulfilled" });
});
