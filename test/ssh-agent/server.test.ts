import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { concat, toHex, utf8 } from "../../src/bytes/index.ts";
import { AgentServer, CardKeys, SshAgent } from "../../src/ssh-agent/index.ts";
import { uint32 } from "../../src/ssh-agent/wire.ts";
import { opened, type Opened } from "../tokens/opened.ts";
import { FAILURE, readList, request } from "./client.ts";

let cards: Opened;
let keys: CardKeys;
let server: AgentServer;
let asked: AbortSignal | undefined;
const errors: string[] = [];
const folder = mkdtempSync(path.join(tmpdir(), "agent-"));
const SOCKET = path.join(folder, "new", "agent.sock");

beforeAll(async () => {
  cards = await opened(({ signal }) => {
    asked = signal;
    return new Promise(() => undefined);
  });
  keys = new CardKeys({ source: cards.cards });
  const agent = new SshAgent({ keys });
  server = await AgentServer.listen(SOCKET, { agent, onError: (error) => errors.push((error as Error).message) });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  expect(existsSync(SOCKET)).toBe(false);
  await keys[Symbol.asyncDispose]();
  await cards[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const framed = (message: Uint8Array): Uint8Array => concat(uint32(message.length), message);

async function connected(): Promise<Socket> {
  const socket = connect(SOCKET);
  await once(socket, "connect");
  return socket;
}

/** The next message on a socket. */
async function next(socket: Socket): Promise<Uint8Array> {
  let received = new Uint8Array();
  for (;;) {
    const view = new DataView(received.buffer, received.byteOffset, received.length);
    const end = received.length < 4 ? Infinity : 4 + view.getUint32(0);
    if (received.length >= end) {
      socket.unshift(received.subarray(end));
      return received.subarray(4, end);
    }
    const chunk = socket.read() as Buffer | null;
    if (chunk) received = Uint8Array.from(concat(received, chunk));
    else await once(socket, "readable");
  }
}

test("the socket and its folder are the user's alone; a second agent does not take it", async () => {
  expect(statSync(SOCKET).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(SOCKET)).mode & 0o777).toBe(0o700);
  const second = AgentServer.listen(SOCKET, { agent: new SshAgent({ keys }) });
  await expect(second).rejects.toThrow(`a server already listens on ${SOCKET}`);
  const long = path.join(folder, "x".repeat(120));
  await expect(AgentServer.listen(long, { agent: new SshAgent({ keys }) })).rejects.toThrow("at most 107 bytes");
});

test("messages in pieces, and several at once, are answered in their order", async () => {
  const socket = await connected();
  const whole = concat(framed(request.list), framed(Uint8Array.of(17)), framed(request.list));
  for (const byte of whole.subarray(0, 7)) socket.write(Uint8Array.of(byte));
  socket.write(whole.subarray(7));
  const first = readList(await next(socket));
  expect(first).toHaveLength(4);
  expect(toHex(await next(socket))).toBe(FAILURE);
  expect(readList(await next(socket))).toEqual(first);
  socket.destroy();
});

test.each([
  ["empty", uint32(0), "a client sent a message of 0 bytes"],
  ["too long", concat(uint32(262_145), new Uint8Array(100)), "a client sent a message of 262145 bytes"],
  ["text", utf8("GET / HTTP/1.1\r\n"), "a client sent a message of 1195725856 bytes"],
])("a client whose message is %s is cut off, and the others are not", async (_name, bytes, problem) => {
  const [bad, good] = [await connected(), await connected()];
  bad.resume();
  const closed = once(bad, "close");
  bad.write(bytes);
  await closed;
  expect(errors.at(-1)).toBe(problem);
  good.write(framed(request.list));
  expect(readList(await next(good))).toHaveLength(4);
  good.destroy();
});

test("a client that dies takes its question for the PIN along, and nothing else", async () => {
  const [dying, good] = [await connected(), await connected()];
  good.write(framed(request.list));
  const rsa = readList(await next(good)).find(({ type }) => type === "ssh-rsa");
  dying.write(framed(request.sign(rsa?.blob ?? new Uint8Array(), utf8("data"), 2)));
  while (asked === undefined) await new Promise(setImmediate);
  const aborted = once(asked, "abort");
  dying.destroy();
  await aborted;
  good.write(framed(request.list));
  expect(readList(await next(good))).toHaveLength(4);
  good.destroy();
});

test("clients that are gone are forgotten", async () => {
  while (server.clients > 0) await new Promise(setImmediate);
  expect(server.clients).toBe(0);
});
