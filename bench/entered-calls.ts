/** The calls whose way through `src` is followed. The card is a virtual PIV card in the memory of this process. */
import { verify } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { fromHex, utf8 } from "../src/bytes/index.ts";
import { run } from "../src/cli/program.ts";
import { CKA, CKF, CKM, CKO, Cryptoki, type CryptokiFunctions, CKU, MemoryReaders, profiles } from "../src/index.ts";
import { P11KitModule, P11KitServer } from "../src/p11kit/index.ts";
import { saveCard, type VirtualCard } from "../src/virtual/index.ts";
import { CardFactory, KEYS, PIN } from "./cards.ts";
import type { EnteredFile, EntryWatch } from "./entered-functions.ts";
import { PrecomputedCard } from "./precomputed-card.ts";

export interface FollowedCall {
  readonly name: string;
  readonly title: string;
  readonly follow: (watch: EntryWatch) => Promise<readonly EnteredFile[]>;
}

/** The command is the first, so that it finds a fresh process. */
export const FOLLOWED_CALLS: readonly FollowedCall[] = [
  { name: "sign", title: "`cryptoki sign`, a file with RSA-2048", follow: signByCommand },
  { name: "C_Sign", title: "`C_Sign`, RSA-2048 with SHA-256", follow: sign },
  { name: "C_Login", title: "`C_Login` of the user", follow: login },
  {
    name: "C_FindObjects",
    title: "`C_FindObjectsInit`, `C_FindObjects`, `C_FindObjectsFinal`: the first search, for a private key",
    follow: find,
  },
  { name: "RPC", title: "`C_Sign` over p11-kit's protocol, client and server together", follow: signRemotely },
];

const DATA = utf8("data to be signed");
const USER_PIN = utf8(PIN);
const KEY_ID = fromHex(KEYS["9a"]);
const factory = new CardFactory();

/** The third signature of a session; C_SignInit is not part of it. */
function sign(watch: EntryWatch): Promise<readonly EnteredFile[]> {
  return withToken((cryptoki) => followSignature(watch, cryptoki));
}

/** The same through a module of this process, at a server of this process. */
function signRemotely(watch: EntryWatch): Promise<readonly EnteredFile[]> {
  return withToken(({ slots }) =>
    withFolder(async (folder) => {
      const socket = path.join(folder, "socket");
      await using server = await P11KitServer.listen(socket, { application: () => new Cryptoki({ slots }) });
      await using module = new P11KitModule({ address: server.address ?? "" });
      await module.C_Initialize();
      return await followSignature(watch, module);
    }),
  );
}

async function followSignature(watch: EntryWatch, module: CryptokiFunctions): Promise<readonly EnteredFile[]> {
  const session = await openSession(module);
  await module.C_Login(session, CKU.USER, USER_PIN);
  const key = await findKey(module, session);
  const start = (): Promise<void> => module.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  for (let warmUp = 0; warmUp < 2; warmUp++) {
    await start();
    requireSignature(await module.C_Sign(session, DATA));
  }
  await start();
  return watch.during(() => module.C_Sign(session, DATA));
}

/** The third login of a session, each after a logout. */
function login(watch: EntryWatch): Promise<readonly EnteredFile[]> {
  return withToken(async (cryptoki) => {
    const session = await openSession(cryptoki);
    for (let warmUp = 0; warmUp < 2; warmUp++) {
      await cryptoki.C_Login(session, CKU.USER, USER_PIN);
      await cryptoki.C_Logout(session);
    }
    return watch.during(() => cryptoki.C_Login(session, CKU.USER, USER_PIN));
  });
}

/** The first search of an application, which reads the card's certificates. */
async function find(watch: EntryWatch): Promise<readonly EnteredFile[]> {
  const card = await answeringCard();
  const search = async (cryptoki: Cryptoki): Promise<readonly EnteredFile[]> => {
    const session = await openSession(cryptoki);
    await cryptoki.C_Login(session, CKU.USER, USER_PIN);
    return watch.during(() => findKey(cryptoki, session));
  };
  await withToken(search, card);
  return withToken(search, card);
}

/** From the arguments to the signature in a file; the modules are loaded before. */
function signByCommand(watch: EntryWatch): Promise<readonly EnteredFile[]> {
  return withFolder(async (folder) => {
    const file = (name: string): string => path.join(folder, name);
    await saveCard(await factory.make("short", false), file("card.json"));
    await writeFile(file("letter"), DATA);
    const args = ["--virtual", file("card.json"), "sign", "--id", "01", file("letter"), "--output", file("signature")];
    const output = new PassThrough();
    const stdin = new PassThrough().end();
    const { signal } = new AbortController();
    const files = await watch.during(async () => {
      const code = await run(args, { stdin, stdout: output, stderr: output, env: { CRYPTOKI_PIN: PIN }, signal });
      if (code !== 0) throw new Error(`cryptoki sign ended with ${code}: ${String(output.read())}`);
    });
    requireSignature(await readFile(file("signature")));
    return files;
  });
}

/** A card that repeats its answers, so that it enters no file of the rooms that it shares with the driver. */
async function answeringCard(): Promise<VirtualCard> {
  return new PrecomputedCard(await factory.make("short", false));
}

async function withToken<T>(work: (cryptoki: Cryptoki) => Promise<T>, card?: VirtualCard): Promise<T> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card ?? (await answeringCard()));
  const pcsc = readers.client();
  try {
    // On a busy machine the usual pause between two calls is longer than the usual linger.
    await using cryptoki = new Cryptoki({ pcsc, profiles, linger: 1_000 });
    await cryptoki.C_Initialize();
    return await work(cryptoki);
  } finally {
    await pcsc.close();
  }
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "entered-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function openSession(module: CryptokiFunctions): Promise<number> {
  const [slot = -1] = await module.C_GetSlotList(true);
  return module.C_OpenSession(slot, CKF.SERIAL_SESSION);
}

async function findKey(module: CryptokiFunctions, session: number): Promise<number> {
  await module.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: KEY_ID });
  const [key] = await module.C_FindObjects(session, 1);
  await module.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error("no private key 9a on the card");
  return key;
}

function requireSignature(signature: Uint8Array): void {
  if (!verify("sha256", DATA, factory.publicKey("9a"), signature)) throw new Error("the signature does not verify");
}
