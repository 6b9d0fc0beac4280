/** A program in a browser: signs with a PIV card that it reaches in whatever way `card` knows. The test bundles it. */
import { utf8 } from "../../src/bytes/index.ts";
import { useHostCrypto } from "../../src/crypto/index.ts";
import { CKA, CKF, CKK, CKM, CKO, CKU, Cryptoki, mechanismOf } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/memory/readers.ts";
import { piv } from "../../src/piv/index.ts";
import { webHost } from "./web-host.ts";

/** One signature, and the certificate of its key as the card gives it. */
export interface Signed {
  readonly signature: Uint8Array;
  readonly certificate: Uint8Array;
}

/** @param host False leaves the package without cryptography. */
export async function sign(
  card: InProcessCard,
  pin: string,
  message: Uint8Array,
  host = true,
): Promise<{ readonly rsa: Signed; readonly ecdsa: Signed; readonly software: boolean }> {
  if (host) useHostCrypto(webHost);
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  const pcsc = readers.client();
  const cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
  await cryptoki.C_Initialize();
  try {
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, utf8(pin));

    const find = async (template: Parameters<Cryptoki["C_FindObjectsInit"]>[1]): Promise<number> => {
      await cryptoki.C_FindObjectsInit(session, template);
      const [found] = await cryptoki.C_FindObjects(session, 1);
      await cryptoki.C_FindObjectsFinal(session);
      if (found === undefined) throw new Error("not found");
      return found;
    };
    const signWith = async (id: number, keyType: number, mechanism: number): Promise<Signed> => {
      const ID = Uint8Array.of(id);
      const key = await find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.KEY_TYPE]: keyType, [CKA.ID]: ID });
      await cryptoki.C_SignInit(session, mechanismOf(mechanism), key);
      const signature = await cryptoki.C_Sign(session, message);
      const object = await find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: ID });
      const { [CKA.VALUE]: certificate } = await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]);
      return { signature, certificate };
    };
    const rsa = await signWith(1, CKK.RSA, CKM.SHA256_RSA_PKCS);
    const ecdsa = await signWith(4, CKK.EC, CKM.ECDSA_SHA256);

    // A key of the session, which the host itself computes with.
    const { publicKey, privateKey } = await cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.EC_PARAMS]: Uint8Array.of(0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23) },
      {},
    );
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA512 }, privateKey);
    const signature = await cryptoki.C_Sign(session, message);
    await cryptoki.C_VerifyInit(session, { mechanism: CKM.ECDSA_SHA512 }, publicKey);
    await cryptoki.C_Verify(session, message, signature);
    return { rsa, ecdsa, software: true };
  } finally {
    await cryptoki.C_Finalize();
    await pcsc.close();
  }
}
