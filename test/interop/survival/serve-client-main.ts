/** A client of a p11-kit server, which signs until it is killed. Says "signing" after its first signature. */
import { CKA, CKF, CKM, CKO, CKU } from "../../../src/cryptoki/index.ts";
import { P11KitModule } from "../../../src/p11kit/index.ts";

const [, , address = "", pin = "", id = ""] = process.argv;
const module = new P11KitModule({ address });
await module.C_Initialize();
const [slot = -1] = await module.C_GetSlotList(true);
const session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION);
await module.C_Login(session, CKU.USER, pin);
await module.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") });
const [key = 0] = await module.C_FindObjects(session, 1);
await module.C_FindObjectsFinal(session);
for (let number = 0; ; number++) {
  await module.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  await module.C_Sign(session, Uint8Array.of(1, 2, 3));
  if (number === 0) process.send?.("signing");
}
