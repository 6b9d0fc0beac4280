/** Lists the certificates on every card: whose they are, and until when. Needs no PIN. */
import { X509Certificate } from "node:crypto";
import { CKA, CKF, CKO, Cryptoki, profiles } from "cryptoki";
import { openReaders } from "./cards.ts";

const pcsc = await openReaders();
const cryptoki = new Cryptoki({ pcsc, profiles });
await cryptoki.C_Initialize();
try {
  for (const slot of await cryptoki.C_GetSlotList(true)) {
    const { label } = await cryptoki.C_GetTokenInfo(slot);
    console.log(label);
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    const certificates = await cryptoki.C_FindObjects(session, 100);
    await cryptoki.C_FindObjectsFinal(session);
    for (const handle of certificates) {
      const attributes = await cryptoki.C_GetAttributeValue(session, handle, [CKA.LABEL, CKA.VALUE]);
      const certificate = new X509Certificate(attributes[CKA.VALUE]);
      const subject = certificate.subject.replaceAll("\n", ", ");
      console.log(`  ${attributes[CKA.LABEL]}: ${subject}, until ${certificate.validTo}`);
    }
  }
} finally {
  await cryptoki.C_Finalize();
  await pcsc.close();
}
