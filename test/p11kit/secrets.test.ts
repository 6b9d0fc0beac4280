import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Socket } from "node:net";
import { concat, copySecret, utf8 } from "../../src/bytes/index.ts";
import { CKF, CKU } from "../../src/cryptoki/index.ts";
import { FrameReader } from "../../src/p11kit/wire/frame.ts";
import { ByteWriter } from "../../src/p11kit/wire/values.ts";
import { testCard } from "../virtual/keys.ts";
import { frameOf } from "./frames.ts";
import { ServerRig } from "./rig.ts";

const PIN = "31415926";
let rig: ServerRig;

beforeAll(async () => {
  rig = await ServerRig.start(await testCard({ pin: PIN }));
});
afterAll(() => rig[Symbol.asyncDispose]());

const holdsPin = (bytes: Uint8Array): boolean => Buffer.from(bytes.buffer).includes(PIN);

describe("frames that carried a PIN", () => {
  test.each([
    ["text", PIN],
    ["bytes", utf8(PIN)],
  ])("are wiped by client and server, %s", async (_, pin) => {
    await using module = await rig.module();
    const slot = await rig.local.slot();
    const session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION);
    const text = jest.spyOn(TextEncoder.prototype, "encodeInto");
    const messages = jest.spyOn(ByteWriter.prototype, "finish");
    const written = jest.spyOn(Socket.prototype, "write");
    const pushed = jest.spyOn(Socket.prototype, "push");
    await module.C_Login(session, CKU.USER, pin);
    // Its answer tells that the server is done with the frame of C_Login.
    await module.C_Logout(session);
    const seen = {
      "encoded text": text.mock.calls.map(([, bytes]) => bytes),
      "messages written": messages.mock.results.map(({ value }) => value as Uint8Array),
      "frames written": written.mock.calls.map(([chunk]) => chunk as Uint8Array),
      "chunks read": pushed.mock.calls.map(([chunk]) => chunk as Uint8Array),
    };
    jest.restoreAllMocks();
    for (const [what, pieces] of Object.entries(seen)) {
      if (what !== "encoded text" || typeof pin === "string") expect([what, pieces.length]).not.toEqual([what, 0]);
      expect([what, pieces.filter(holdsPin)]).toEqual([what, []]);
    }
  });

  // A body that fills its chunk stays a view of it, and the receiver wipes it: a chunk above.
  test.each([
    ["together with another message", [60]],
    ["in a chunk that is mostly another message's", [500, 540]],
    ["in two parts", [15, 60]],
    ["byte by byte", Array.from({ length: 60 }, (_, index) => index + 1)],
  ])("are left only in the body that is handed out, %s", (_, cuts) => {
    const bodies: Uint8Array[] = [];
    const reader = new FrameReader(1000, (_code, body) => bodies.push(body));
    const before = cuts[0] === 500 ? frameOf(1, new Uint8Array(488)) : new Uint8Array();
    const all = concat(before, frameOf(2, utf8(`a login with ${PIN}`)), frameOf(3, utf8("the next")));
    const chunks = [...cuts, all.length].map((end, index) => copySecret(all.subarray(cuts[index - 1] ?? 0, end)));
    for (const chunk of chunks) reader.push(chunk);
    reader.end();
    expect(bodies.slice(-2).map((body) => Buffer.from(body).toString())).toEqual([`a login with ${PIN}`, "the next"]);
    expect(chunks.filter(holdsPin)).toEqual([]);
  });

  test("are wiped also if the rest never comes", () => {
    const reader = new FrameReader(1000, () => undefined);
    const chunk = copySecret(frameOf(2, utf8(`a login with ${PIN} and more`)).subarray(0, 40));
    reader.push(chunk);
    expect(holdsPin(chunk)).toBe(false);
    expect(() => {
      reader.end();
    }).toThrow("the connection ended within a message");
  });
});
