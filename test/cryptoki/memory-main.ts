/**
 * How much the memory of this process grows over many calls, as JSON lines: `node --expose-gc --import tsx
 * test/cryptoki/memory-main.ts [share]`. `share` is the part of the full amount that is done; default: 1.
 */
import { createPublicKey } from "node:crypto";
import { utf8 } from "../../src/bytes/index.ts";
import type { CardPrivateKey } from "../../src/card/index.ts";
import { CKA, CKF, CKK, CKM, CKO, CKU, type Cryptoki } from "../../src/cryptoki/index.ts";
import { testKey } from "../virtual/keys.ts";
import { first, PIN } from "./rig.ts";
import { find, type WritableRig, writableRig } from "./writable-card.ts";

const MEBIBYTE = 2 ** 20;
const DATA = utf8("data");

/** One kind of work: how often, and how much of it is done beforehand, so that code is compiled and caches are filled. */
interface Work {
  readonly name: string;
  readonly times: number;
  readonly prepare: (made: WritableRig) => Promise<() => Promise<unknown>>;
}

const PUBLIC = new Uint8Array(createPublicKey(testKey("p-256", "9a")).export({ type: "spki", format: "der" }));

/** A key of a card that signs at once; each signature is another object, so that one that is kept is seen. */
async function keyOf(made: WritableRig): Promise<{ readonly session: number; readonly key: number }> {
  const object: CardPrivateKey = {
    class: "private-key",
    reference: "key",
    label: "key",
    id: Uint8Array.of(1),
    private: false,
    isPresent: () => Promise.resolve(true),
    usage: { sign: true, decrypt: true, derive: true },
    alwaysAuthenticate: false,
    needsLogin: true,
    primitives: ["ecdsa"],
    type: { type: "ec", curve: "P-256" },
    publicKey: () => Promise.resolve(PUBLIC),
  };
  made.token.kept.set("key", object);
  Object.assign(made.token, { mechanisms: [{ primitive: "ecdsa", minBits: 256, maxBits: 384 }] });
  made.token.use = () => Promise.resolve(new Uint8Array(64).fill(1));
  const session = await made.session();
  await made.one.C_Login(session, CKU.USER, PIN);
  return { session, key: first(await find(made.one, session, { [CKA.LABEL]: "key" })) };
}

async function aesKey(cryptoki: Cryptoki, session: number): Promise<number> {
  return cryptoki.C_GenerateKey(
    session,
    { mechanism: CKM.AES_KEY_GEN },
    { [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE_LEN]: 16 },
  );
}

const GCM = {
  mechanism: CKM.AES_GCM,
  parameter: { pIv: new Uint8Array(12), pAAD: new Uint8Array(), ulTagBits: 128 },
};
const CBC = { mechanism: CKM.AES_CBC, parameter: new Uint8Array(16) };

/** Streams of a mebibyte a part. */
function stream(
  name: string,
  begin: (cryptoki: Cryptoki, session: number, key: number) => Promise<void>,
  update: (cryptoki: Cryptoki, session: number, part: Uint8Array) => Promise<unknown>,
): Work {
  return {
    name,
    times: 300,
    prepare: async (made) => {
      const session = await made.session();
      await begin(made.one, session, await aesKey(made.one, session));
      return () => update(made.one, session, new Uint8Array(MEBIBYTE));
    },
  };
}

const WORKS: readonly Work[] = [
  {
    name: "signatures in one session",
    times: 100_000,
    prepare: async (made) => {
      const { session, key } = await keyOf(made);
      return async () => {
        await made.one.C_SignInit(session, { mechanism: CKM.ECDSA }, key);
        await made.one.C_Sign(session, DATA);
      };
    },
  },
  {
    name: "signatures with one signal",
    times: 20_000,
    prepare: async (made) => {
      const { session, key } = await keyOf(made);
      const { signal } = new AbortController();
      return async () => {
        await made.one.C_SignInit(session, { mechanism: CKM.ECDSA }, key, { signal });
        await made.one.C_Sign(session, DATA, { signal });
      };
    },
  },
  {
    name: "attribute reads",
    times: 100_000,
    prepare: async (made) => {
      const { session, key } = await keyOf(made);
      return () => made.one.C_GetAttributeValue(session, key, [CKA.LABEL, CKA.EC_PARAMS]);
    },
  },
  {
    name: "sessions opened and closed",
    times: 10_000,
    prepare: async (made) => {
      await made.session();
      return async () => {
        const session = await made.one.C_OpenSession(0, CKF.SERIAL_SESSION);
        await find(made.one, session, {});
        await made.one.C_CloseSession(session);
      };
    },
  },
  {
    name: "logins",
    times: 10_000,
    prepare: async (made) => {
      const session = await made.session();
      return async () => {
        await made.one.C_Login(session, CKU.USER, PIN);
        await made.one.C_Logout(session);
      };
    },
  },
  {
    name: "aborted waits for an event",
    times: 10_000,
    prepare: ({ one }) =>
      Promise.resolve(async () => {
        const stop = new AbortController();
        const wait = one.C_WaitForSlotEvent(0, { signal: stop.signal }).catch(() => undefined);
        stop.abort();
        await wait;
      }),
  },
  {
    name: "objects written and deleted",
    times: 5_000,
    prepare: async (made) => {
      const session = await made.session();
      await made.one.C_Login(session, CKU.USER, PIN);
      return async () => {
        const template = { [CKA.CLASS]: CKO.DATA, [CKA.TOKEN]: true, [CKA.PRIVATE]: false, [CKA.VALUE]: DATA };
        await made.one.C_DestroyObject(session, await made.one.C_CreateObject(session, template));
        made.token.written.length = 0;
      };
    },
  },
  stream(
    "mebibytes through C_EncryptUpdate",
    (cryptoki, session, key) => cryptoki.C_EncryptInit(session, CBC, key),
    (cryptoki, session, part) => cryptoki.C_EncryptUpdate(session, part),
  ),
  stream(
    "mebibytes through C_EncryptUpdate, AES-GCM",
    (cryptoki, session, key) => cryptoki.C_EncryptInit(session, GCM, key),
    (cryptoki, session, part) => cryptoki.C_EncryptUpdate(session, part),
  ),
  stream(
    "mebibytes through C_DigestUpdate",
    (cryptoki, session) => cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 }),
    (cryptoki, session, part) => cryptoki.C_DigestUpdate(session, part),
  ),
  {
    name: "mebibytes through C_SignUpdate",
    times: 300,
    prepare: async (made) => {
      const { session, key } = await keyOf(made);
      await made.one.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
      return () => made.one.C_SignUpdate(session, new Uint8Array(MEBIBYTE));
    },
  },
];

/** Bytes in use after a collection. */
async function used(): Promise<number> {
  if (!globalThis.gc) throw new Error("start node with --expose-gc");
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function measure({ name, times, prepare }: Work, share: number): Promise<void> {
  await using made = await writableRig();
  const once = await prepare(made);
  const count = Math.ceil(times * share);
  const before = Math.min(count, 3_000);
  for (let time = 0; time < before; time++) await once();
  const start = await used();
  for (let time = 0; time < count; time++) await once();
  const grown = (await used()) - start;
  process.stdout.write(`${JSON.stringify({ name, count, grown })}\n`);
}

/** Whether a plaintext that its caller drops can be collected at once, while its session goes on. */
async function dropped(): Promise<void> {
  await using made = await writableRig();
  const session = await made.session();
  const key = await aesKey(made.one, session);
  await made.one.C_EncryptInit(session, CBC, key);
  const encrypted = await made.one.C_Encrypt(session, new Uint8Array(1024));
  const decrypt = async (): Promise<WeakRef<Uint8Array>> => {
    await made.one.C_DecryptInit(session, CBC, key);
    return new WeakRef(await made.one.C_Decrypt(session, encrypted));
  };
  const plaintext = await decrypt();
  await used();
  process.stdout.write(
    `${JSON.stringify({ name: "a dropped plaintext", collected: plaintext.deref() === undefined })}\n`,
  );
}

const share = Number(process.argv[2] ?? 1);
await dropped();
for (const work of WORKS) await measure(work, share);
