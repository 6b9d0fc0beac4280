import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fromHex, utf8 } from "../src/bytes/index.ts";
import { CKA, CKC, CKF, CKK, CKM, CKO, type Template } from "../src/index.ts";
import type { HostFigure } from "./report.ts";
import type { OpenSession } from "./session.ts";

const P_256 = fromHex("06082a8648ce3d030107");
const SIGNATURES = 100_000;
/** Objects of each kind. */
const OBJECTS = 5_000;
const SESSIONS = 20_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that this process uses, V8's heap and what hangs on it, after a collection. */
export function collectedMemory(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What calls leave behind, and what sessions and their objects take. */
export async function memoryGrowth(open: OpenSession): Promise<readonly HostFigure[]> {
  return [
    await afterSignatures(open),
    await perObject(open, "AES-256 key", 32, () => ({
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.AES,
      [CKA.VALUE]: new Uint8Array(32),
    })),
    await perObject(open, "data object of 100 bytes", 100, () => ({
      [CKA.CLASS]: CKO.DATA,
      [CKA.VALUE]: new Uint8Array(100),
    })),
    await perObject(open, "certificate of 900 bytes", 900, () => ({
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      [CKA.SUBJECT]: fromHex("30020500"),
      [CKA.VALUE]: new Uint8Array(900),
    })),
    await perSession(open),
  ];
}

async function afterSignatures({ cryptoki, session }: OpenSession): Promise<HostFigure> {
  const { privateKey } = await cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.EC_KEY_PAIR_GEN },
    { [CKA.EC_PARAMS]: P_256 },
    { [CKA.SIGN]: true },
  );
  const sign = async (times: number): Promise<void> => {
    for (let left = times; left > 0; left--) {
      await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, privateKey);
      await cryptoki.C_Sign(session, utf8("data to be signed"));
    }
  };
  await sign(SIGNATURES / 20);
  const before = collectedMemory();
  await sign(SIGNATURES);
  const value = (collectedMemory() - before) / 2 ** 20;
  return { title: `memory kept after ${SIGNATURES} signatures in one session`, value, unit: "MiB", atMost: 1 };
}

/** @param length Bytes of its values, which are not counted. */
async function perObject(
  { cryptoki, session }: OpenSession,
  kind: string,
  length: number,
  template: () => Template,
): Promise<HostFigure> {
  const create = async (times: number): Promise<void> => {
    for (let number = 0; number < times; number++) {
      await cryptoki.C_CreateObject(session, { ...template(), [CKA.LABEL]: `object ${number}` });
    }
  };
  await create(OBJECTS / 10);
  const before = collectedMemory();
  await create(OBJECTS);
  const value = (collectedMemory() - before) / OBJECTS - length;
  const title = `an object of a session besides its value: ${kind}`;
  return { title, value, unit: "bytes", atMost: 2048, remark: `mean of ${OBJECTS}` };
}

async function perSession({ cryptoki, slot }: OpenSession): Promise<HostFigure> {
  const sessions: number[] = [];
  const before = collectedMemory();
  for (let left = SESSIONS; left > 0; left--) sessions.push(await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION));
  const value = (collectedMemory() - before) / SESSIONS;
  for (const session of sessions) await cryptoki.C_CloseSession(session);
  return { title: "an open session", value, unit: "bytes", atMost: 2048, remark: `mean of ${SESSIONS}` };
}
