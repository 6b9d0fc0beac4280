import { CKF, Cryptoki, type CryptokiOptions } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { READER } from "./rig.ts";
import { AGREEABLE, fakeProfile, type FakeToken, type FakeTokenOptions } from "./two-pin-card.ts";

/** A facade over a card of {@link fakeProfile}, in slot 1 and following, with a read/write session in the first. */
export interface FakeRig extends AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly readers: MemoryReaders;
  readonly tokens: readonly FakeToken[];
  readonly session: number;
}

export async function fake(
  options: Partial<CryptokiOptions> = {},
  ...tokens: readonly FakeTokenOptions[]
): Promise<FakeRig> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, AGREEABLE);
  const profile = fakeProfile(...(tokens.length > 0 ? tokens : [{ pinLabel: "PIN1" }]));
  const cryptoki = new Cryptoki({ pcsc: readers.client({ patience: 100 }), profiles: [profile], ...options });
  await cryptoki.C_Initialize();
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  const { tokens: made } = profile;
  return { cryptoki, readers, tokens: made, session, [Symbol.asyncDispose]: () => cryptoki[Symbol.asyncDispose]() };
}
