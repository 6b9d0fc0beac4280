import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { fromHex, utf8 } from "../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, Cryptoki, type CryptokiFunctions, CKU, MemoryReaders, profiles } from "../src/index.ts";
import { P11KitModule, P11KitServer } from "../src/p11kit/index.ts";
import { type CardFactory, KEYS, PIN } from "./cards.ts";
import { PrecomputedCard } from "./precomputed-card.ts";
import type { HostFigure } from "./report.ts";

/** Signatures for a figure, by all clients together. */
const SIGNATURES = 2000;
const WARM_UP = 200;

/** A client, and a key that it has logged in for. */
interface Signer {
  readonly module: CryptokiFunctions & AsyncDisposable;
  readonly session: number;
  readonly key: number;
}

/**
 * What p11-kit's protocol costs: C_Sign by clients at a socket of this process, beside calls without one. The cards answer at once what
 * they computed before; server and clients share one processor.
 */
export async function remoteTimes(factory: CardFactory): Promise<readonly HostFigure[]> {
  const figures: HostFigure[] = [];
  for (const [clients, cards] of [
    [1, 1],
    [10, 1],
    [100, 1],
    [10, 10],
    [100, 10],
  ] as const) {
    const readers = new MemoryReaders();
    for (let number = 0; number < cards; number++) {
      const name = `Reader ${number}`;
      readers.plug(name);
      readers.insert(name, new PrecomputedCard(await factory.make("short", false)));
    }
    const pcsc = readers.client();
    const { slots } = new Cryptoki({ pcsc, profiles });
    const folder = await mkdtemp(path.join(tmpdir(), "bench-"));
    const application = (): Cryptoki => new Cryptoki({ slots });
    const server = await P11KitServer.listen(path.join(folder, "socket"), { application });
    const title = `C_Sign, P-256, ${clients} client${clients > 1 ? "s" : ""} on ${cards} card${cards > 1 ? "s" : ""}`;
    const inProcess = await timeOf(clients, application);
    const remote = await timeOf(clients, () => new P11KitModule({ address: server.address ?? "" }));
    figures.push(
      { title: `${title}, in this process`, value: inProcess, unit: "ms", remark: "a signature, all clients together" },
      { title: `${title}, over p11-kit's protocol`, value: remote, unit: "ms", remark: "the same" },
    );
    await server[Symbol.asyncDispose]();
    await pcsc.close();
    await rm(folder, { recursive: true, force: true });
  }
  return figures;
}

/** Milliseconds for a signature, when `clients` sign at the same time, each on its card. */
async function timeOf(clients: number, make: () => Signer["module"]): Promise<number> {
  const signers = await Promise.all(Array.from({ length: clients }, (_, number) => signer(make(), number)));
  const rounds = (all: number): Promise<unknown> =>
    Promise.all(
      signers.map(async (one) => {
        for (let left = Math.ceil(all / clients); left > 0; left--) await sign(one);
      }),
    );
  await rounds(WARM_UP);
  const start = performance.now();
  await rounds(SIGNATURES);
  const time = performance.now() - start;
  await Promise.all(signers.map(({ module }) => module[Symbol.asyncDispose]()));
  return time / (Math.ceil(SIGNATURES / clients) * clients);
}

async function signer(module: Signer["module"], number: number): Promise<Signer> {
  await module.C_Initialize();
  const slots = await module.C_GetSlotList(true);
  const session = await module.C_OpenSession(slots[number % slots.length] ?? -1, CKF.SERIAL_SESSION);
  await module.C_Login(session, CKU.USER, utf8(PIN));
  // 9E wants no PIN before each use.
  await module.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: fromHex(KEYS["9e"]) });
  const [key] = await module.C_FindObjects(session, 1);
  await module.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error("no private key 9e on the card");
  return { module, session, key };
}

async function sign({ module, session, key }: Signer): Promise<void> {
  await module.C_SignInit(session, { mechanism: CKM.ECDSA }, key);
  await module.C_Sign(session, HASH);
}

const HASH = new Uint8Array(32).fill(1);
