import { performance } from "node:perf_hooks";
import { fromHex, utf8 } from "../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, mechanismOf, MemoryReaders, profiles } from "../src/index.ts";
import { type CardFactory, type KeyName, KEYS, PIN } from "./cards.ts";
import { median } from "./median.ts";
import { PrecomputedCard } from "./precomputed-card.ts";
import type { HostFigure } from "./report.ts";

const WARM_UP = 500;
const ROUNDS = 2000;

/** The host's own time in one C_Sign: the card is in this process, and answers at once what it computed before. */
export async function hostTimes(factory: CardFactory): Promise<readonly HostFigure[]> {
  return [
    await hostTime(factory, "9a", CKM.SHA256_RSA_PKCS, "C_Sign, RSA-2048, host's own time"),
    // 9E wants no PIN before each use; ECDSA with the hash on the host is the same work for every key.
    await hostTime(factory, "9e", CKM.ECDSA_SHA256, "C_Sign, P-256, host's own time"),
  ];
}

async function hostTime(factory: CardFactory, key: KeyName, mechanism: number, title: string): Promise<HostFigure> {
  const card = new PrecomputedCard(await factory.make("short", false));
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  const pcsc = readers.client();
  const cryptoki = new Cryptoki({ pcsc, profiles });
  await cryptoki.C_Initialize();
  const [slot = -1] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, utf8(PIN));
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: fromHex(KEYS[key]) });
  const [found] = await cryptoki.C_FindObjects(session, 1);
  await cryptoki.C_FindObjectsFinal(session);
  const sign = async (object: number): Promise<number> => {
    await cryptoki.C_SignInit(session, mechanismOf(mechanism), object);
    card.takeSpent();
    const start = performance.now();
    await cryptoki.C_Sign(session, utf8("data to be signed"));
    return performance.now() - start - card.takeSpent();
  };
  if (found === undefined) throw new Error(`no private key ${key} on the card`);
  for (let round = 0; round < WARM_UP; round++) await sign(found);
  const times = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await sign(found));
  await cryptoki.C_Finalize();
  await pcsc.close();
  return { title, value: median(times), unit: "ms", atMost: 1, remark: `median of ${ROUNDS}, in-process card` };
}
