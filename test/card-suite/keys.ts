/** Uses each private key of a token once, and proves the result on the host. */
import { constants, createPublicKey, createECDH, publicEncrypt, randomBytes, verify } from "node:crypto";
import { equalBytes } from "../../src/bytes/index.ts";
import { CKA, CKD, CKK, CKM, CKO, CKU, type Cryptoki } from "../../src/cryptoki/index.ts";

const DATA = Buffer.from("The card suite signs this line.");
/** DER of the curves' object identifiers, hexadecimal, and OpenSSL's names of the curves. */
const CURVES: ReadonlyMap<string, string> = new Map([
  ["06082a8648ce3d030107", "prime256v1"],
  ["06052b81040022", "secp384r1"],
  ["06052b81040023", "secp521r1"],
]);

export interface KeyResult {
  readonly key: string;
  readonly work: string;
  readonly outcome: string;
}

/** @param pin For keys that want it before each use. */
export async function useKeys(cryptoki: Cryptoki, session: number, pin: Uint8Array): Promise<KeyResult[]> {
  const results: KeyResult[] = [];
  for (const handle of await find(cryptoki, session, { [CKA.CLASS]: CKO.PRIVATE_KEY })) {
    const values = await cryptoki.C_GetAttributeValue(session, handle, [
      CKA.ID,
      CKA.LABEL,
      CKA.KEY_TYPE,
      CKA.SIGN,
      CKA.DECRYPT,
      CKA.DERIVE,
      CKA.ALWAYS_AUTHENTICATE,
    ]);
    const key = `${Buffer.from(values[CKA.ID]).toString("hex")} ${values[CKA.LABEL]}`;
    const record = async (work: string, run: () => Promise<boolean>): Promise<void> => {
      const outcome = await run().then(
        (right) => (right ? "right" : "WRONG"),
        (error: unknown) => `failed: ${error instanceof Error ? error.message : "?"}`,
      );
      results.push({ key, work, outcome });
    };
    const publicKey = await publicKeyOf(cryptoki, session, values[CKA.ID]);
    if (!publicKey) {
      results.push({ key, work: "all", outcome: "left out: no public key to check the results with" });
      continue;
    }
    const authenticate = async (): Promise<void> => {
      if (values[CKA.ALWAYS_AUTHENTICATE]) await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, pin);
    };
    const isRsa = values[CKA.KEY_TYPE] === CKK.RSA;
    if (values[CKA.SIGN] && (isRsa || values[CKA.KEY_TYPE] === CKK.EC)) {
      await record("signature", async () => {
        const mechanism = isRsa ? CKM.SHA256_RSA_PKCS : CKM.ECDSA_SHA256;
        await cryptoki.C_SignInit(session, { mechanism }, handle);
        await authenticate();
        const signature = await cryptoki.C_Sign(session, DATA);
        return verify("sha256", DATA, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature);
      });
    }
    if (values[CKA.DECRYPT] && isRsa) {
      await record("decryption", async () => {
        const secret = randomBytes(32);
        const padding = constants.RSA_PKCS1_PADDING;
        const ciphertext = publicEncrypt({ key: publicKey, padding }, secret);
        await cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, handle);
        await authenticate();
        return equalBytes(await cryptoki.C_Decrypt(session, ciphertext), secret);
      });
    }
    if (values[CKA.DERIVE] && values[CKA.KEY_TYPE] === CKK.EC) {
      await record("key agreement", () => agrees(cryptoki, session, handle, values[CKA.ID]));
    }
  }
  return results;
}

async function agrees(cryptoki: Cryptoki, session: number, key: number, id: Uint8Array): Promise<boolean> {
  const [publicKey = 0] = await find(cryptoki, session, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  const values = await cryptoki.C_GetAttributeValue(session, publicKey, [CKA.EC_PARAMS, CKA.EC_POINT]);
  const curve = CURVES.get(Buffer.from(values[CKA.EC_PARAMS]).toString("hex"));
  if (curve === undefined) throw new Error("a curve that this suite does not know");
  const other = createECDH(curve);
  const pPublicData = new Uint8Array(other.generateKeys());
  // The point without the head of its OCTET STRING.
  const point = values[CKA.EC_POINT].slice(-pPublicData.length);
  const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData } };
  const derived = await cryptoki.C_DeriveKey(session, mechanism, key, {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
    [CKA.SENSITIVE]: false,
    [CKA.EXTRACTABLE]: true,
  });
  const { [CKA.VALUE]: secret } = await cryptoki.C_GetAttributeValue(session, derived, [CKA.VALUE]);
  await cryptoki.C_DestroyObject(session, derived);
  return equalBytes(secret, other.computeSecret(point));
}

async function publicKeyOf(
  cryptoki: Cryptoki,
  session: number,
  id: Uint8Array,
): Promise<ReturnType<typeof createPublicKey> | undefined> {
  const [handle] = await find(cryptoki, session, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  if (handle === undefined) return undefined;
  const { [CKA.PUBLIC_KEY_INFO]: der } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.PUBLIC_KEY_INFO]);
  return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
}

export async function find(
  cryptoki: Cryptoki,
  session: number,
  template: Parameters<Cryptoki["C_FindObjectsInit"]>[1],
): Promise<number[]> {
  await cryptoki.C_FindObjectsInit(session, template);
  const found = await cryptoki.C_FindObjects(session);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}
