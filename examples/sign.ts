/** Signs with the first key on the card, and verifies the signature with the card's certificate and node:crypto. */
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, profiles } from "cryptoki";
import { NO_CARD, openReaders, readPin } from "./cards.ts";

const pcsc = await openReaders();
const cryptoki = new Cryptoki({ pcsc, profiles });
await cryptoki.C_Initialize();
try {
  const [slot] = await cryptoki.C_GetSlotList(true);
  if (slot === undefined) throw new Error(NO_CARD);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, readPin());

  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
  const [key] = await cryptoki.C_FindObjects(session, 1);
  await cryptoki.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error("no key 01 on the card");

  const letter = new TextEncoder().encode("an important letter");
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  const signature = await cryptoki.C_Sign(session, letter);
  console.log(`signature: ${signature.length} bytes`);

  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) });
  const [certificate] = await cryptoki.C_FindObjects(session, 1);
  await cryptoki.C_FindObjectsFinal(session);
  if (certificate === undefined) throw new Error("no certificate 01 on the card");
  const { [CKA.VALUE]: der } = await cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]);
  const publicKey = createPublicKey(new X509Certificate(der).toString());
  console.log(`valid: ${verify("sha256", letter, publicKey, signature)}`);
} finally {
  await cryptoki.C_Finalize();
  await pcsc.close();
}
