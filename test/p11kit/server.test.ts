import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat, unlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { ByteReader, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKF,
  CKM,
  CKO,
  CKR,
  CKS,
  CKU,
  Cryptoki,
  type CryptokiFunctions,
  parseUri,
  matchesToken,
} from "../../src/cryptoki/index.ts";
import { onlyTokens, P11KitModule, P11KitServer } from "../../src/p11kit/index.ts";
import { first, PIN, refusal, settled } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { Peer, ServerRig } from "./rig.ts";
import { frameOf } from "./frames.ts";

/** The key that most tests sign with. */
const KEY = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) };

let rig: ServerRig;

beforeAll(async () => {
  rig = await ServerRig.start(await testCard(), { messageLimit: 100_000 });
});
afterAll(() => rig[Symbol.asyncDispose]());

async function find(peer: Peer, session: number, template: object): Promise<number> {
  await peer.ask("C_FindObjectsInit", [session, template]);
  const reply = await peer.ask("C_FindObjects", [session], 10);
  await peer.ask("C_FindObjectsFinal", [session]);
  return reply.kind === "list" && "list" in reply.value ? first(reply.value.list) : 0;
}

/** A session with the user logged in, and a key to sign with. */
async function signer(offered = 0): Promise<readonly [Peer, number, number]> {
  const [peer, session] = await Peer.withSession(rig.socket, offered);
  await peer.ask("C_Login", [session, CKU.USER, utf8(PIN)]);
  const key = await find(peer, session, KEY);
  return [peer, session, key];
}

/** Resolves when the server has hung up on `peer`. */
async function hungUp(peer: Peer): Promise<void> {
  while (await peer.receive());
}

describe("output and the room for it", () => {
  test("a signature's size costs no signature, and neither does too little room", async () => {
    const [peer, session, key] = await signer();
    const mechanism = { mechanism: CKM.SHA256_RSA_PKCS };
    await peer.ask("C_SignInit", [session, mechanism, key]);
    const commands = await rig.local.count(async () => {
      expect(await peer.ask("C_Sign", [session, new Uint8Array()], 0)).toMatchObject({ value: { needed: 256 } });
      expect(await peer.ask("C_Sign", [session, utf8("data")], 10)).toMatchObject({ value: { needed: 256 } });
    });
    expect(commands).toBe(0);
    const signed = await peer.ask("C_Sign", [session, utf8("data")], 256);
    expect(signed).toMatchObject({ value: { bytes: expect.objectContaining({ length: 256 }) } });
    await expect(peer.ask("C_Sign", [session, utf8("data")], 256)).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
    peer[Symbol.dispose]();
  });

  test("what does not fit is kept for the same call again, and for no other", async () => {
    const [peer, session] = await Peer.withSession(rig.socket);
    const hash = fromHex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (const small of [0, 31]) {
      await peer.ask("C_DigestInit", [session, { mechanism: CKM.SHA256 }]);
      expect(await peer.ask("C_Digest", [session, utf8("abc")], small)).toMatchObject({ value: { needed: 32 } });
      expect(await peer.ask("C_Digest", [session, utf8("abc")], 32)).toMatchObject({ value: { bytes: hash } });
      await expect(peer.ask("C_Digest", [session, utf8("abc")], 32)).rejects.toMatchObject(
        refusal("OPERATION_NOT_INITIALIZED"),
      );
    }
    await peer.ask("C_DigestInit", [session, { mechanism: CKM.SHA256 }]);
    await peer.ask("C_Digest", [session, utf8("abc")], 0);
    await peer.ask("C_DigestInit", [session, null]);
    await peer.ask("C_DigestInit", [session, { mechanism: CKM.SHA256 }]);
    const other = await peer.ask("C_Digest", [session, utf8("abcd")], 32);
    expect(other).not.toMatchObject({ value: { bytes: hash } });
    peer[Symbol.dispose]();
  });

  test("other functions of the same kind find the operation active until the output was fetched", async () => {
    const [peer, session] = await Peer.withSession(rig.socket);
    const mechanism = { mechanism: CKM.SHA256 };
    const [active, none] = [refusal("OPERATION_ACTIVE"), refusal("OPERATION_NOT_INITIALIZED")];
    await peer.ask("C_DigestInit", [session, mechanism]);
    await peer.ask("C_DigestUpdate", [session, utf8("abc")]);
    expect(await peer.ask("C_DigestFinal", [session], 0)).toMatchObject({ value: { needed: 32 } });
    await expect(peer.ask("C_DigestUpdate", [session, utf8("d")])).rejects.toMatchObject(active);
    await expect(peer.ask("C_Digest", [session, utf8("d")], 32)).rejects.toMatchObject(active);
    await expect(peer.ask("C_DigestInit", [session, mechanism])).rejects.toMatchObject(active);
    await expect(peer.ask("C_DigestEncryptUpdate", [session, utf8("d")], 32)).rejects.toMatchObject(active);
    // Of another kind.
    await expect(peer.ask("C_Encrypt", [session, utf8("d")], 32)).rejects.toMatchObject(none);
    expect(await peer.ask("C_DigestFinal", [session], 32)).toMatchObject({ value: { bytes: expect.anything() } });
    await expect(peer.ask("C_DigestUpdate", [session, utf8("d")])).rejects.toMatchObject(none);
    peer[Symbol.dispose]();
  });

  test("no bytes are a result", async () => {
    const [peer, session] = await Peer.withSession(rig.socket);
    expect(await peer.ask("C_GenerateRandom", [session], 0)).toMatchObject({ value: { bytes: new Uint8Array() } });
    await expect(peer.ask("C_GenerateRandom", [session], 200_000)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    peer[Symbol.dispose]();
  });

  test("a list that does not fit is counted", async () => {
    const peer = await Peer.open(rig.socket);
    await peer.ask("C_Initialize", []);
    expect(await peer.ask("C_GetSlotList", [true], 0)).toMatchObject({ value: { needed: 1 } });
    expect(await peer.ask("C_GetSlotList", [true], 1)).toMatchObject({ value: { list: [0] } });
    peer[Symbol.dispose]();
  });
});

describe("C_GetAttributeValue", () => {
  test("tells lengths, values, and what does not fit", async () => {
    const [peer, session, key] = await signer();
    const wanted = [
      { type: CKA.ID, room: 8 },
      { type: CKA.LABEL, room: 0 },
      { type: CKA.LABEL, room: 1 },
      { type: CKA.KEY_TYPE, room: 8 },
    ];
    expect(await peer.ask("C_GetAttributeValue", [session, key], 0, wanted)).toEqual({
      kind: "attributes",
      rv: CKR.BUFFER_TOO_SMALL,
      attributes: [
        { type: CKA.ID, length: 1, value: Uint8Array.of(1) },
        { type: CKA.LABEL, length: "PIV AUTH key".length },
        { type: CKA.LABEL },
        { type: CKA.KEY_TYPE, length: 8, value: 0 },
      ],
    });
    peer[Symbol.dispose]();
  });

  test("answers what a client would not survive with an error", async () => {
    const [peer, session, key] = await signer();
    await expect(peer.ask("C_GetAttributeValue", [session, key], 0, [])).rejects.toMatchObject(
      refusal("ARGUMENTS_BAD"),
    );
    const template = [{ type: CKA.WRAP_TEMPLATE, room: 0 }];
    await expect(peer.ask("C_GetAttributeValue", [session, key], 0, template)).rejects.toMatchObject(
      refusal("ATTRIBUTE_TYPE_INVALID"),
    );
    peer[Symbol.dispose]();
  });
});

describe("a peer", () => {
  test.each([
    ["a message over the limit", fromHex("00000010 00000000 7fffffff")],
    ["options over the limit", fromHex("00000010 7fffffff 00000000")],
    ["the code 0", fromHex("00000000 00000000 00000004 00000002")],
  ])("that sends %s is cut off, and no other client notices", async (_, bytes) => {
    const other = await rig.module();
    const peer = await Peer.open(rig.socket);
    peer.stream.write(bytes);
    await hungUp(peer);
    await other.C_GetSlotList(true);
    await other.C_Finalize();
  });

  test.each([
    ["another signature", fromHex("00000002 00000001 75 0000000000000000")],
    ["too few arguments", fromHex("0000000a 00000002 7575 0000000000000000")],
    ["too many arguments", fromHex("00000002 00000000 00")],
    ["no call at all", new Uint8Array()],
  ])("that sends %s in a whole frame gets an error, and goes on", async (_, body) => {
    using peer = await Peer.open(rig.socket);
    peer.stream.write(frameOf(77, body));
    const answer = await peer.receive();
    expect(answer?.code).toBe(77);
    expect(toHex(answer?.body ?? new Uint8Array())).toBe(`000000000000000175${"0".repeat(14)}30`);
    await peer.ask("C_Initialize", []);
    expect(await peer.ask("C_GetSlotList", [true], 10)).toMatchObject({ kind: "list" });
  });

  test("that is one of many with half a message: all together have one bound, and the oldest goes first", async () => {
    await using own = await ServerRig.start(await testCard(), { messageLimit: 100_000 });
    const peers: Peer[] = [];
    const half = async (bytes: number): Promise<Peer> => {
      const peer = await Peer.open(own.socket);
      peer.stream.write(Buffer.concat([fromHex("00000010 00000000 000186a0"), new Uint8Array(bytes)]));
      peers.push(peer);
      return peer;
    };
    const short = await half(1_000);
    const oldest = await half(99_999);
    for (let count = 0; count < 3; count++) await half(99_000);
    // 397,999 bytes, of 400,000.
    const closed = once(oldest.stream, "close");
    oldest.stream.resume();
    await half(50_000);
    await closed;
    await own.untilClients(5);
    expect(own.server.clients).toBe(5);
    // A client that held little goes on.
    await using module = await own.module();
    expect(await module.C_GetSlotList(true)).toHaveLength(1);
    expect(short.stream.destroyed).toBe(false);
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test("that asks for much and reads nothing is cut off, where all together hold too much, and the others are not", async () => {
    const messageLimit = 1_000_000;
    await using own = await ServerRig.start(await testCard(), { messageLimit });
    const [reader, session] = await Peer.withSession(own.socket);
    const peers: Peer[] = [];
    // Each may hold 5 of 8 million bytes.
    for (let count = 0; count < 3; count++) {
      const [peer, theirs] = await Peer.withSession(own.socket);
      peers.push(peer);
      for (let call = 0; call < 5; call++) peer.send("C_GenerateRandom", [theirs], messageLimit - 100);
    }
    // Two of them hold too much already.
    await own.untilClients(2);
    expect(own.server.clients).toBe(2);
    expect((await reader.ask("C_GenerateRandom", [session], messageLimit - 100)).kind).toBe("bytes");
    for (const peer of [...peers, reader]) peer[Symbol.dispose]();
  });

  test("that asks for a call that there is not is told so", async () => {
    const peer = await Peer.open(rig.socket);
    peer.stream.write(frameOf(77, fromHex("00001234 00000000")));
    const answer = await peer.receive();
    expect(answer?.code).toBe(77);
    const from = new ByteReader(answer?.body ?? new Uint8Array());
    expect([from.u32(), from.u32(), from.u8(), from.u32(), from.u32()]).toEqual([
      0,
      1,
      0x75,
      0,
      CKR.FUNCTION_NOT_SUPPORTED,
    ]);
    peer[Symbol.dispose]();
  });

  test("that names no function in order gets the function's error", async () => {
    const peer = await Peer.open(rig.socket);
    await expect(peer.ask("C_GetSlotList", [true], 5)).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    await peer.ask("C_Initialize", []);
    await expect(peer.ask("C_Initialize", [])).rejects.toMatchObject(refusal("CRYPTOKI_ALREADY_INITIALIZED"));
    await expect(peer.ask("C_Sign", [5, utf8("data")], 300)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    await expect(peer.ask("C_SignInit", [2 ** 52, null, 2 ** 52])).rejects.toMatchObject(
      refusal("SESSION_HANDLE_INVALID"),
    );
    peer[Symbol.dispose]();
  });

  test("that waits for an event holds up none of its other calls", async () => {
    const [peer, session] = await Peer.withSession(rig.socket);
    const waiting = peer.send("C_WaitForSlotEvent", [0]);
    const answers = [peer.send("C_GetSessionInfo", [session]), peer.send("C_GetInfo", [])].map(({ code }) => code);
    expect([(await peer.receive())?.code, (await peer.receive())?.code].sort()).toEqual(answers);
    rig.local.readers.plug("Another Reader");
    expect((await peer.receive())?.code).toBe(waiting.code);
    rig.local.readers.unplug("Another Reader");
    peer[Symbol.dispose]();
  });

  test("that reads nothing keeps little in memory, and does not keep others waiting", async () => {
    const [peer, session] = await Peer.withSession(rig.socket);
    peer.stream.pause();
    for (let count = 0; count < 3000; count++) peer.send("C_GenerateRandom", [session], 90_000);
    const other = await rig.module();
    await other.C_GetSlotList(true);
    await settled();
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(150_000_000);
    await other.C_Finalize();
    peer[Symbol.dispose]();
  });

  test("that sends more than is carried out at a time is told to wait", async () => {
    const [peer] = await Peer.withSession(rig.socket);
    for (let count = 0; count < 1001; count++) peer.send("C_WaitForSlotEvent", [0]);
    const answer = await peer.receive();
    expect([...(answer?.body.slice(-4) ?? [])]).toEqual([0, 0, 0, CKR.HOST_MEMORY]);
    peer[Symbol.dispose]();
  });

  test("that dies in a login leaves no client waiting, and no login behind", async () => {
    const [peer, session] = await Peer.withSession(rig.socket);
    let answer = (): void => undefined;
    const started = new Promise<void>((resolve) => {
      rig.local.before = (command): Promise<void> | void => {
        if (command[1] !== 0x20) return;
        resolve();
        return new Promise((go) => (answer = go));
      };
    });
    peer.send("C_Login", [session, CKU.USER, utf8(PIN)]);
    await started;
    peer[Symbol.dispose]();
    answer();
    await rig.untilClients(0);
    rig.local.before = undefined;
    expect(rig.server.clients).toBe(0);
    await using other = await rig.module();
    const own = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    expect((await other.C_GetSessionInfo(own)).state).toBe(CKS.RO_PUBLIC_SESSION);
  });

  test("among 200 at once is served", async () => {
    const modules = await Promise.all(Array.from({ length: 200 }, () => rig.module()));
    const signatures = await Promise.all(
      modules.map(async (module) => {
        const session = await module.C_OpenSession(0, CKF.SERIAL_SESSION);
        await module.C_DigestInit(session, { mechanism: CKM.SHA256 });
        return module.C_Digest(session, utf8("abc"));
      }),
    );
    expect(new Set(signatures.map((one) => Buffer.from(one).toString("hex"))).size).toBe(1);
    await Promise.all(modules.map((module) => module.C_Finalize()));
    await rig.untilClients(0);
    expect(rig.server.clients).toBe(0);
  }, 30_000);
});

describe("the socket", () => {
  test("is for its user alone, and goes with its server", async () => {
    const own = await ServerRig.start();
    const folder = path.dirname(own.socket);
    expect(((await stat(folder)).mode & 0o777).toString(8)).toBe("700");
    expect(((await stat(own.socket)).mode & 0o777).toString(8)).toBe("600");
    await own.server[Symbol.asyncDispose]();
    expect(await readdir(folder)).toEqual([]);
    await own[Symbol.asyncDispose]();
  });

  test("is taken over from a server that died, and from no other", async () => {
    await using own = await ServerRig.start();
    const application = (): Cryptoki => new Cryptoki({ slots: own.local.cryptoki.slots });
    await expect(P11KitServer.listen(own.socket, { application })).rejects.toThrow(/a server already listens/u);
    const file = path.join(path.dirname(own.socket), "file");
    await writeFile(file, "");
    await expect(P11KitServer.listen(file, { application })).rejects.toThrow(/is not a socket/u);
    await expect(P11KitServer.listen("relative", { application })).rejects.toThrow(/begins with/u);
    await expect(P11KitServer.listen(`/${"x".repeat(120)}`, { application })).rejects.toThrow(/107 bytes/u);
    await expect(P11KitServer.listen("/tmp/x", { application })).rejects.toThrow(/other users can write/u);
  });
});

describe("the socket's folder", () => {
  test("that belongs to another user is refused", async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), "owner-"));
    const own = os.userInfo();
    const other = jest.spyOn(os, "userInfo").mockReturnValue({ ...own, uid: own.uid + 1 });
    const application = (): Cryptoki => new Cryptoki({ slots: rig.local.cryptoki.slots });
    try {
      const outcome: unknown = await P11KitServer.listen(path.join(folder, "socket"), { application }).then(
        (server) => server[Symbol.asyncDispose](),
        (error: unknown) => error,
      );
      expect(outcome).toMatchObject({ message: expect.stringContaining(`other users can write to ${folder}`) });
      expect(await readdir(folder)).toEqual([]);
    } finally {
      other.mockRestore();
      await rm(folder, { recursive: true });
    }
  });

  test("leaves room for the folder that the socket is made in", async () => {
    const application = (): Cryptoki => new Cryptoki({ slots: rig.local.cryptoki.slots });
    const listening = P11KitServer.listen(`/${"x".repeat(97)}/s`, { application });
    await expect(listening).rejects.toThrow(/the folder's path for a socket has at most 97 bytes/u);
  });
});

test("a server listens in a worker thread, where no umask can be set", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "worker-"));
  const socket = path.join(folder, "private", "socket");
  // --import does not reach a worker's own entry: its loader is registered in it.
  const load = `import(${JSON.stringify(import.meta.resolve("tsx/esm/api"))}).then(({ register }) => {
    register();
    return import(${JSON.stringify(new URL("./listener-worker.ts", import.meta.url).href)});
  })`;
  const worker = new Worker(load, { eval: true, workerData: socket });
  const ended = once(worker, "exit");
  const [address] = (await once(worker, "message")) as [string];
  expect(((await stat(socket)).mode & 0o777).toString(8)).toBe("600");
  expect(await readdir(path.dirname(socket))).toEqual(["socket"]);
  const module = new P11KitModule({ address });
  await module.C_Initialize();
  expect(await module.C_GetSlotList(true)).toEqual([]);
  await module.C_Finalize();
  worker.postMessage("end");
  expect(await ended).toEqual([0]);
  expect(await readdir(path.dirname(socket))).toEqual([]);
  await rm(folder, { recursive: true });
});

test("a socket whose place another server took is left to that one", async () => {
  await using own = await ServerRig.start();
  const application = (): Cryptoki => new Cryptoki({ slots: own.local.cryptoki.slots });
  await unlink(own.socket);
  await using second = await P11KitServer.listen(own.socket, { application });
  await own.server[Symbol.asyncDispose]();
  const module = new P11KitModule({ address: second.address ?? "" });
  await module.C_Initialize();
  await module.C_Finalize();
});

describe("a client that is killed while it signs", () => {
  test("takes neither login nor session from another one", async () => {
    await using own = await ServerRig.start(await testCard());
    await using other = await own.module();
    const session = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    await other.C_Login(session, CKU.USER, PIN);
    const key = await privateKey(other, session);
    const signature = await signed(other, session, key);
    for (let times = 0; times < 40; times++) {
      const [peer, theirs] = await Peer.withSession(own.socket);
      await peer.ask("C_Login", [theirs, CKU.USER, utf8(PIN)]);
      const begun = new Promise<void>((resolve) => {
        own.local.before = (command): void => {
          if (command[1] === 0x87) resolve();
        };
      });
      await peer.ask("C_SignInit", [theirs, { mechanism: CKM.SHA256_RSA_PKCS }, await find(peer, theirs, KEY)]);
      peer.send("C_Sign", [theirs, utf8("their letter")], 512);
      await begun;
      peer[Symbol.dispose]();
      expect(await signed(other, session, key)).toEqual(signature);
      await own.untilClients(1);
    }
    expect(own.errors).toEqual([]);
  });

  test("is forgotten in time, though its card hangs", async () => {
    const application = (): CryptokiFunctions => {
      const hanging = new Cryptoki({ slots: rig.local.cryptoki.slots });
      hanging.C_Digest = (): Promise<Uint8Array> => new Promise(() => undefined);
      return hanging;
    };
    await using own = await ServerRig.start(await testCard(), { application, cleanUp: 30 });
    const [peer, session] = await Peer.withSession(own.socket);
    peer.send("C_Digest", [session, utf8("abc")], 100);
    await peer.ask("C_GetInfo", []);
    expect(own.server.clients).toBe(1);
    peer[Symbol.dispose]();
    await own.untilClients(0);
    expect(own.server.clients).toBe(0);
    expect(own.errors).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/could not be closed within 0\.03 s/u) }),
    ]);
  });
});

async function privateKey(module: CryptokiFunctions, session: number): Promise<number> {
  await module.C_FindObjectsInit(session, KEY);
  const [key = 0] = await module.C_FindObjects(session);
  await module.C_FindObjectsFinal(session);
  return key;
}

async function signed(module: CryptokiFunctions, session: number, key: number): Promise<Uint8Array> {
  await module.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  return module.C_Sign(session, utf8("a letter"));
}

describe("a filter of tokens", () => {
  test("shows the slots of tokens that fit, and hides the others from every function", async () => {
    await using own = await ServerRig.start(await testCard());
    const { slots } = own.local.cryptoki;
    own.local.readers.plug("Empty Reader");
    const piv = parseUri("pkcs11:model=PIV");
    const none = parseUri("pkcs11:model=Other");
    const shown = onlyTokens(new Cryptoki({ slots }), (token) => matchesToken(piv, token));
    const hidden = onlyTokens(new Cryptoki({ slots }), (token) => matchesToken(none, token));
    for (const module of [shown, hidden]) await module.C_Initialize();
    expect(await shown.C_GetSlotList(true)).toEqual([0]);
    expect(await shown.C_GetSlotList(false)).toEqual([0]);
    expect(await shown.C_OpenSession(0, CKF.SERIAL_SESSION)).toBeGreaterThan(0);
    expect(await hidden.C_GetSlotList(false)).toEqual([]);
    await expect(hidden.C_OpenSession(0, CKF.SERIAL_SESSION)).rejects.toMatchObject(refusal("SLOT_ID_INVALID"));
    await expect(hidden.C_GetTokenInfo(0)).rejects.toMatchObject(refusal("SLOT_ID_INVALID"));
    for (const module of [shown, hidden]) await module.C_Finalize();
  });
});
