import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKK, CKM, CKO } from "../../src/cryptoki/index.ts";
import { KeptOutputs } from "../../src/p11kit/server/outputs.ts";
import { CALLS } from "../../src/p11kit/wire/calls.ts";
import { decodeReply, type Reply, type Request } from "../../src/p11kit/wire/message.ts";
import { refusal, settled } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { Peer, ServerRig } from "./rig.ts";

const MECHANISM = { mechanism: CKM.SHA256_HMAC };
const DATA = utf8("data");

let rig: ServerRig;

beforeAll(async () => {
  rig = await ServerRig.start(await testCard());
});
afterAll(() => rig[Symbol.asyncDispose]());

async function hmacKey(peer: Peer, session: number, fill: number): Promise<number> {
  const template = {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
    [CKA.TOKEN]: false,
    [CKA.PRIVATE]: false,
    [CKA.SIGN]: true,
    [CKA.VALUE]: new Uint8Array(32).fill(fill),
  };
  const made = await peer.ask("C_CreateObject", [session, template]);
  return made.kind === "number" ? made.value : 0;
}

/** Sends all before the first answer, and gives the answers in the order of the requests; an error for a refusal. */
async function together(
  peer: Peer,
  calls: readonly (readonly [string, readonly unknown[], number])[],
): Promise<unknown[]> {
  const requests = calls.map(([name, args, room]) => peer.send(name, args, room));
  const answers = new Map<number, unknown>();
  while (answers.size < requests.length) {
    const frame = await peer.receive();
    const request = requests.find(({ code }) => code === frame?.code);
    if (!frame || !request) throw new Error("no answer");
    try {
      answers.set(frame.code, decodeReply(frame.body, request, { offered: 0 }));
    } catch (error) {
      answers.set(frame.code, error);
    }
  }
  return requests.map(({ code }) => answers.get(code));
}

const bytesOf = (reply: Reply): string =>
  reply.kind === "bytes" && "bytes" in reply.value ? toHex(reply.value.bytes) : "none";

async function signature(peer: Peer, session: number, key: number): Promise<string> {
  await peer.ask("C_SignInit", [session, MECHANISM, key]);
  return bytesOf(await peer.ask("C_Sign", [session, DATA], 100));
}

test.each([0, 31])(
  "an output of %d bytes' room that comes after its operation was replaced is dropped",
  async (room) => {
    const [peer, session] = await Peer.withSession(rig.socket);
    const [one, other] = [await hmacKey(peer, session, 1), await hmacKey(peer, session, 2)];
    const theirs = await signature(peer, session, other);
    await peer.ask("C_SignInit", [session, null, 0]);
    const [, sized, begun] = await together(peer, [
      ["C_SignInit", [session, MECHANISM, one], 0],
      ["C_Sign", [session, DATA], room],
      ["C_SignInit", [session, MECHANISM, other], 0],
    ]);
    expect(sized).toMatchObject({ value: { needed: 32 } });
    // Whichever came first at the application: the operation is the other key's, or there is none.
    if (begun instanceof Error) {
      await expect(peer.ask("C_Sign", [session, DATA], 100)).rejects.toMatchObject(
        refusal("OPERATION_NOT_INITIALIZED"),
      );
    } else expect(bytesOf(await peer.ask("C_Sign", [session, DATA], 100))).toBe(theirs);
    expect(await signature(peer, session, other)).toBe(theirs);
    peer[Symbol.dispose]();
  },
);

test("an operation that is begun and asked for its size at once keeps its output", async () => {
  const [peer, session] = await Peer.withSession(rig.socket);
  const key = await hmacKey(peer, session, 1);
  const own = await signature(peer, session, key);
  const [, sized] = await together(peer, [
    ["C_SignInit", [session, MECHANISM, key], 0],
    ["C_Sign", [session, DATA], 10],
  ]);
  expect(sized).toMatchObject({ value: { needed: 32 } });
  expect(bytesOf(await peer.ask("C_Sign", [session, DATA], 100))).toBe(own);
  peer[Symbol.dispose]();
});

test("an output of a session that is closed meanwhile is not kept", async () => {
  const [peer, session] = await Peer.withSession(rig.socket);
  const key = await hmacKey(peer, session, 1);
  await together(peer, [
    ["C_SignInit", [session, MECHANISM, key], 0],
    ["C_Sign", [session, DATA], 10],
    ["C_CloseSession", [session], 0],
  ]);
  await expect(peer.ask("C_Sign", [session, DATA], 100)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
  peer[Symbol.dispose]();
});

test("a call for an output waits for the operation that is on its way to begin, and for no other", async () => {
  const outputs = new KeptOutputs(1000);
  const request = (name: string, ...args: unknown[]): Request => {
    const call = CALLS.find((one) => one.name === name);
    if (!call) throw new Error(`no call ${name}`);
    return { call, args, room: 0, wanted: [] };
  };
  const order: string[] = [];
  let refuse = (): void => undefined;
  const begun = new Promise((_, reject) => {
    refuse = (): void => {
      reject(new Error("refused"));
    };
  });
  const beginning = outputs.carryOut(request("C_SignInit", 1, MECHANISM, 5), () => begun);
  const waiting = outputs.begun(request("C_Sign", 1, DATA)).then(() => order.push("C_Sign"));
  await outputs.begun(request("C_Sign", 2, DATA));
  await outputs.begun(request("C_Digest", 1, DATA));
  await settled();
  order.push("others");
  refuse();
  await expect(beginning).rejects.toThrow("refused");
  await waiting;
  expect(order).toEqual(["others", "C_Sign"]);
});
