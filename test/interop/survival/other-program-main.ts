/** Another program at the card: logs in once, and signs whenever its parent says so. Answers "ok", or what went wrong. */
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, Pcscd, profiles } from "../../../src/index.ts";

const [, , pin = "", id = "", publicKey = ""] = process.argv;
const cryptoki = new Cryptoki({ pcsc: new Pcscd(), profiles });
await cryptoki.C_Initialize();
const [slot = -1] = await cryptoki.C_GetSlotList(true);
const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
await cryptoki.C_Login(session, CKU.USER, pin);
await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") });
const [key = 0] = await cryptoki.C_FindObjects(session, 1);
await cryptoki.C_FindObjectsFinal(session);

async function sign(): Promise<string> {
  const message = randomBytes(32);
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  const signature = await cryptoki.C_Sign(session, message);
  return verify("sha256", message, createPublicKey(publicKey), signature) ? "ok" : "a signature of another key";
}

process.on("message", () => {
  sign().then(
    (said) => process.send?.(said),
    (error: unknown) => process.send?.(String(error)),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
