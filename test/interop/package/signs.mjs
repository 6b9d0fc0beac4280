/**
 * Run in a project that has the package installed, by any JavaScript runtime: imports every entry point, signs with a virtual PIV card
 * in memory, and verifies the signatures with the runtime's own cryptography.
 */
import { Buffer } from "node:buffer";
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, MemoryReaders, profiles } from "cryptoki";
import { VirtualPivCard } from "cryptoki/virtual";

const { exports } = JSON.parse(readFileSync("node_modules/cryptoki/package.json", "utf8"));
for (const name of Object.keys(exports).filter((path) => !path.endsWith(".json"))) {
  const module = await import(name.replace(".", "cryptoki"));
  if (Object.keys(module).length === 0) throw new Error(`${name} exports nothing`);
}

const readers = new MemoryReaders();
readers.plug("Reader");
readers.insert("Reader", await VirtualPivCard.create({ pin: "123456", keys: { "9a": "rsa-2048", "9e": "p-256" } }));
const pcsc = readers.client();
const cryptoki = new Cryptoki({ pcsc, profiles });
await cryptoki.C_Initialize();
const [slot] = await cryptoki.C_GetSlotList(true);
const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
await cryptoki.C_Login(session, CKU.USER, "123456");
const find = async (objectClass, id) => {
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(id) });
  const [found] = await cryptoki.C_FindObjects(session, 1);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
};
const data = new TextEncoder().encode("data to be signed");
/** @returns Whether node:crypto and WebCrypto verify a signature by the key with this CKA_ID. */
const signs = async (id, mechanism, algorithm, dsaEncoding) => {
  const publicKey = await find(CKO.PUBLIC_KEY, id);
  const { [CKA.PUBLIC_KEY_INFO]: spki } = await cryptoki.C_GetAttributeValue(session, publicKey, [CKA.PUBLIC_KEY_INFO]);
  await cryptoki.C_SignInit(session, { mechanism }, await find(CKO.PRIVATE_KEY, id));
  const signature = await cryptoki.C_Sign(session, data);
  const nodeKey = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  const webKey = await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
  return [
    verify("sha256", data, { key: nodeKey, dsaEncoding }, signature),
    await crypto.subtle.verify(algorithm, webKey, signature, data),
  ];
};
const rsa = await signs(1, CKM.SHA256_RSA_PKCS, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" });
const ecdsa = await signs(4, CKM.ECDSA_SHA256, { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }, "ieee-p1363");
console.log(JSON.stringify({ rsa, ecdsa }));
await cryptoki.C_Finalize();
await pcsc.close();
