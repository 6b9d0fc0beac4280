/** Encrypts for the key management key with its certificate, which needs no card, and decrypts on the card. */
import { constants, createPublicKey, publicEncrypt, X509Certificate } from "node:crypto";
import { CKA, CKF, CKG, CKM, CKO, CKU, Cryptoki, profiles, type Template } from "cryptoki";
import { NO_CARD, openReaders, readPin } from "./cards.ts";

/** Key management, by the numbering of PIV modules. */
const ID = Uint8Array.of(3);

const pcsc = await openReaders();
const cryptoki = new Cryptoki({ pcsc, profiles });
await cryptoki.C_Initialize();
try {
  const [slot] = await cryptoki.C_GetSlotList(true);
  if (slot === undefined) throw new Error(NO_CARD);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);

  const find = async (template: Template): Promise<number> => {
    await cryptoki.C_FindObjectsInit(session, template);
    const [found] = await cryptoki.C_FindObjects(session, 1);
    await cryptoki.C_FindObjectsFinal(session);
    if (found === undefined) throw new Error("not on the card");
    return found;
  };

  const certificate = await find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: ID });
  const { [CKA.VALUE]: der } = await cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]);
  const publicKey = createPublicKey(new X509Certificate(der).toString());
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const ciphertext = publicEncrypt({ key: publicKey, padding, oaepHash: "sha256" }, Buffer.from("meet me at noon"));

  await cryptoki.C_Login(session, CKU.USER, readPin());
  const key = await find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: ID });
  const parameter = { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256 };
  await cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS_OAEP, parameter }, key);
  const message = await cryptoki.C_Decrypt(session, ciphertext);
  console.log(new TextDecoder().decode(message));
} finally {
  await cryptoki.C_Finalize();
  await pcsc.close();
}
