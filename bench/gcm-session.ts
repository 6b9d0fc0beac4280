/**
 * Encrypts with AES-256-GCM in parts of 64 KiB, with a key of a session in this process: the argument says how many MiB for each message of the
 * parent. Answers with the processor's time in milliseconds; or, to "memory", with the bytes of memory after a collection.
 */
import { CKA, CKK, CKM, CKO } from "../src/index.ts";
import { CardFactory } from "./cards.ts";
import { collectedMemory } from "./memory-growth.ts";
import { openSession } from "./session.ts";

const parts = 16 * Number(process.argv[2]);
const part = new Uint8Array(65_536);
const { cryptoki, session } = await openSession(new CardFactory());
const key = await cryptoki.C_CreateObject(session, {
  [CKA.CLASS]: CKO.SECRET_KEY,
  [CKA.KEY_TYPE]: CKK.AES,
  [CKA.VALUE]: new Uint8Array(32).fill(1),
  [CKA.ENCRYPT]: true,
});
const parameter = { pIv: new Uint8Array(12).fill(2), pAAD: new Uint8Array(), ulTagBits: 128 };
await cryptoki.C_EncryptInit(session, { mechanism: CKM.AES_GCM, parameter }, key);
process.on("message", (wanted) => {
  if (wanted === "memory") process.send?.(collectedMemory());
  else void encrypt().then((spent) => process.send?.(spent));
});

async function encrypt(): Promise<number> {
  const before = process.cpuUsage();
  for (let left = parts; left > 0; left--) await cryptoki.C_EncryptUpdate(session, part);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
