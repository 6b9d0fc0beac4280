import { CKF, Cryptoki, MemoryReaders, profiles } from "../src/index.ts";
import type { CardFactory } from "./cards.ts";

/** A session with a virtual card in this process. */
export interface OpenSession extends AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly slot: number;
  readonly session: number;
}

export async function openSession(factory: CardFactory): Promise<OpenSession> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", await factory.make("short", false));
  const pcsc = readers.client();
  const cryptoki = new Cryptoki({ pcsc, profiles });
  await cryptoki.C_Initialize();
  const [slot = -1] = await cryptoki.C_GetSlotList(true);
  return {
    cryptoki,
    slot,
    session: await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION),
    [Symbol.asyncDispose]: async () => {
      await cryptoki.C_Finalize();
      await pcsc.close();
    },
  };
}
