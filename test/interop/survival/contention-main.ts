/** As module-signer.c, with this project's library; checks each signature. Arguments: PIN, ID, the public key as PEM. */
import { createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, Pcscd, profiles } from "../../../src/index.ts";

const [, , pin = "", id = "", pem = ""] = process.argv;
const MESSAGE = Uint8Array.of(1, 2, 3);
const publicKey = createPublicKey(pem);
const cryptoki = new Cryptoki({ pcsc: new Pcscd(), profiles });
await cryptoki.C_Initialize();
const [slot = -1] = await cryptoki.C_GetSlotList(true);
const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
await cryptoki.C_Login(session, CKU.USER, pin);
await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") });
const [key = 0] = await cryptoki.C_FindObjects(session, 1);
await cryptoki.C_FindObjectsFinal(session);

async function sign(): Promise<void> {
  await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
  const signature = await cryptoki.C_Sign(session, MESSAGE);
  const right = verify("sha256", MESSAGE, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature);
  if (!right) throw new Error("a signature of another key");
}

console.log("ready");
await once(process.stdin, "data");
let stopped = false;
process.stdin.once("data", () => {
  stopped = true;
});
let signed = 0;
let failed = 0;
let last = "";
const isStopped = (): boolean => stopped;
while (!isStopped()) {
  try {
    await sign();
    signed++;
  } catch (error) {
    failed++;
    last = String(error);
  }
}
process.stdout.write(`signed ${signed} failed ${failed} ${last}\n`, () => process.exit());
