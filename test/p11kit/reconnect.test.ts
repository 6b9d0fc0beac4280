import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki, type CryptokiFunctions } from "../../src/cryptoki/index.ts";
import { P11KitModule, P11KitServer } from "../../src/p11kit/index.ts";
import { first, PIN, refusal, rig, type Rig } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";

const MECHANISM = { mechanism: CKM.SHA256_RSA_PKCS };
const BROKE = /the connection to the server broke, which ended its sessions, logins and objects/u;

let folder = "";
let socket = "";
let local: Rig;
let server: P11KitServer | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "reconnect-"));
  socket = path.join(folder, "private", "socket");
  local = await rig(await testCard());
});
afterEach(async () => {
  await stop();
  await local[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function listen(
  application = (): CryptokiFunctions => new Cryptoki({ slots: local.cryptoki.slots }),
): Promise<void> {
  server = await P11KitServer.listen(socket, { application });
}

async function stop(): Promise<void> {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
}

async function loggedIn(module: CryptokiFunctions): Promise<readonly [session: number, key: number]> {
  const session = await module.C_OpenSession(await local.slot(), CKF.SERIAL_SESSION);
  await module.C_Login(session, CKU.USER, PIN);
  await module.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
  const key = first(await module.C_FindObjects(session));
  await module.C_FindObjectsFinal(session);
  return [session, key];
}

async function sign(module: CryptokiFunctions, session: number, key: number): Promise<Uint8Array> {
  await module.C_SignInit(session, MECHANISM, key);
  return module.C_Sign(session, utf8("a letter"));
}

describe("a module whose server went away and came back", () => {
  test("works on, and says that sessions, logins and objects are gone", async () => {
    await listen();
    await using module = new P11KitModule({ address: server?.address ?? "" });
    await module.C_Initialize();
    const seen = new Set<string>();
    let [session, key] = await loggedIn(module);
    const signature = await sign(module, session, key);
    for (let times = 0; times < 3; times++) {
      for (const handle of [`session ${session}`, `key ${key}`]) {
        expect(seen).not.toContain(handle);
        seen.add(handle);
      }
      await stop();
      // As long as there is no server.
      for (let tries = 0; tries < 2; tries++) {
        await expect(module.C_GetSlotList(true)).rejects.toMatchObject({
          ...refusal("DEVICE_ERROR"),
          message: expect.stringMatching(/broken|no connection to the server: no server at/u),
        });
      }
      await listen();
      expect(await module.C_GetSlotList(true)).toEqual([await local.slot()]);
      await expect(module.C_GetSessionInfo(session)).rejects.toMatchObject({
        ...refusal("SESSION_HANDLE_INVALID"),
        message: expect.stringMatching(BROKE),
      });
      const fresh = await module.C_OpenSession(await local.slot(), CKF.SERIAL_SESSION);
      expect((await module.C_GetSessionInfo(fresh)).state).toBe(CKS.RO_PUBLIC_SESSION);
      // The server gives its numbers again: this one would be another object there.
      await expect(module.C_GetAttributeValue(fresh, key, [CKA.LABEL])).rejects.toMatchObject({
        ...refusal("OBJECT_HANDLE_INVALID"),
        message: expect.stringMatching(BROKE),
      });
      await expect(module.C_SignInit(fresh, MECHANISM, key)).rejects.toMatchObject({
        ...refusal("KEY_HANDLE_INVALID"),
        message: expect.stringMatching(BROKE),
      });
      [session, key] = await loggedIn(module);
      expect(await sign(module, session, key)).toEqual(signature);
    }
  });

  test("tells the call under way, once, and sends it no second time", async () => {
    let begun = (): void => undefined;
    const started = new Promise<void>((resolve) => (begun = resolve));
    const digests: string[] = [];
    const application = (): CryptokiFunctions => {
      const own = new Cryptoki({ slots: local.cryptoki.slots });
      own.C_Digest = (_session, data): Promise<Uint8Array> => {
        digests.push(Buffer.from(data).toString());
        begun();
        return new Promise<Uint8Array>(() => undefined);
      };
      return own;
    };
    server = await P11KitServer.listen(socket, { application, cleanUp: 50 });
    await using module = new P11KitModule({ address: server.address ?? "" });
    await module.C_Initialize();
    const session = await module.C_OpenSession(await local.slot(), CKF.SERIAL_SESSION);
    await module.C_DigestInit(session, { mechanism: CKM.SHA256 });
    const digest = module.C_Digest(session, utf8("abc"));
    await started;
    await Promise.all([
      expect(digest).rejects.toMatchObject({
        ...refusal("DEVICE_ERROR"),
        message: expect.stringMatching(/the connection to the server is broken: .*may have carried out this call/u),
      }),
      stop(),
    ]);
    await listen(application);
    expect(await module.C_GetSlotList(true)).toHaveLength(1);
    expect(digests).toEqual(["abc"]);
  });

  test("makes one new connection for all that call at the same time", async () => {
    await listen();
    await using module = new P11KitModule({ address: server?.address ?? "" });
    await module.C_Initialize();
    await stop();
    await listen();
    const lists = await Promise.allSettled(Array.from({ length: 50 }, () => module.C_GetSlotList(true)));
    expect(lists.some(({ status }) => status === "fulfilled")).toBe(true);
    expect(await module.C_GetSlotList(true)).toHaveLength(1);
    expect(server?.clients).toBe(1);
  });
});

describe("a server that says nothing", () => {
  /** Says `words` to each client, and nothing more. */
  async function silent(...words: readonly Uint8Array[]): Promise<AsyncDisposable & { readonly address: string }> {
    const sockets = new Set<Socket>();
    const listening = createServer((client) => {
      sockets.add(client);
      for (const word of words) client.write(word);
    }).listen(path.join(folder, "silent"));
    await once(listening, "listening");
    return {
      address: `unix:path=${folder}/silent`,
      [Symbol.asyncDispose]: async (): Promise<void> => {
        for (const client of sockets) client.destroy();
        listening.close();
        await once(listening, "close");
      },
    };
  }

  test.each([
    ["at all", []],
    ["after the first byte", [Uint8Array.of(2)]],
  ])("%s: the time for connecting ends, or the caller's signal does", async (_, words) => {
    await using peer = await silent(...words);
    const module = new P11KitModule({ address: peer.address, patience: 50 });
    await expect(module.C_Initialize()).rejects.toMatchObject({
      ...refusal("GENERAL_ERROR"),
      message: expect.stringMatching(/the server did not answer within 0\.05 s/u),
    });
    const patient = new P11KitModule({ address: peer.address });
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = patient.C_Initialize({ signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toMatchObject({ ...refusal("FUNCTION_CANCELED"), cause: reason });
    const left = patient.C_Initialize();
    await patient[Symbol.asyncDispose]();
    await expect(left).rejects.toMatchObject({
      ...refusal("GENERAL_ERROR"),
      message: expect.stringMatching(/C_Finalize was called meanwhile/u),
    });
  });

  test("a program that says nothing is ended with the wait for it", async () => {
    const module = new P11KitModule({ address: "sleep 1000", patience: 50 });
    await expect(module.C_Initialize()).rejects.toThrow(/did not answer within 0\.05 s/u);
  });

  test("while it is reached anew: an abort ends its own caller's wait only", async () => {
    await listen();
    await using module = new P11KitModule({ address: server?.address ?? "" });
    await module.C_Initialize();
    const event = module.C_WaitForSlotEvent(0);
    await stop();
    await expect(event).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    await rm(path.dirname(socket), { recursive: true });
    const clients: Socket[] = [];
    const peer = createServer((client) => clients.push(client));
    await once(peer.listen(path.join(folder, "other")), "listening");
    const { rename, mkdir } = await import("node:fs/promises");
    await mkdir(path.dirname(socket));
    await rename(path.join(folder, "other"), socket);
    const controller = new AbortController();
    const aborted = module.C_WaitForSlotEvent(0, { signal: controller.signal });
    const other = module.C_GetSlotList(true);
    if (clients.length === 0) await once(peer, "connection");
    controller.abort();
    await expect(aborted).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    for (const client of clients) client.destroy();
    peer.close();
    await expect(other).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });
});

test("the bytes of a request are wiped when they are sent: a PIN is in them", async () => {
  await listen();
  const written: { readonly bytes: Uint8Array; readonly hadPin: boolean }[] = [];
  const holdsPin = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes(PIN);
  const write = Reflect.get(Socket.prototype, "write") as (...args: unknown[]) => boolean;
  const spy = jest.spyOn(Socket.prototype, "write").mockImplementation(function (this: Socket, ...args: unknown[]) {
    if (args[0] instanceof Uint8Array) written.push({ bytes: args[0], hadPin: holdsPin(args[0]) });
    return Reflect.apply(write, this, args);
  });
  try {
    await using module = new P11KitModule({ address: server?.address ?? "" });
    await module.C_Initialize();
    const session = await module.C_OpenSession(await local.slot(), CKF.SERIAL_SESSION);
    await module.C_Login(session, CKU.USER, PIN);
    expect(written.filter(({ hadPin }) => hadPin)).toHaveLength(1);
    expect(written.filter(({ bytes }) => holdsPin(bytes))).toEqual([]);
  } finally {
    spy.mockRestore();
  }
});
