import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Socket } from "node:net";
import { utf8 } from "../../src/bytes/index.ts";
import { CKF, CKU } from "../../src/cryptoki/index.ts";
import { type Frame, FrameReader } from "../../src/p11kit/wire/frame.ts";
import { ByteWriter } from "../../src/p11kit/wire/values.ts";
import { testCard } from "../virtual/keys.ts";
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
    // Before the session: the reader waits for the next frame as soon as it has one.
    const frames = jest.spyOn(FrameReader.prototype, "next");
    const slot = await rig.local.slot();
    const session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION);
    const text = jest.spyOn(TextEncoder.prototype, "encodeInto");
    const bodies = jest.spyOn(ByteWriter.prototype, "finish");
    const written = jest.spyOn(Socket.prototype, "write");
    const pushed = jest.spyOn(Socket.prototype, "push");
    await module.C_Login(session, CKU.USER, pin);
    // Its answer tells that the server is done with the frame of C_Login.
    await module.C_Logout(session);
    const received: Frame[] = [];
    for (const { value } of frames.mock.results) {
      // The last one is still waited for.
      const frame = await Promise.race([value as ReturnType<FrameReader["next"]>, Promise.resolve(undefined)]);
      if (frame) received.push(frame);
    }
    const seen = {
      "encoded text": text.mock.calls.map(([, bytes]) => bytes),
      "bodies written": bodies.mock.results.map(({ value }) => value as Uint8Array),
      "frames written": written.mock.calls.map(([chunk]) => chunk as Uint8Array),
      "chunks read": pushed.mock.calls.map(([chunk]) => chunk as Uint8Array),
      "bodies read": received.map(({ body }) => body),
    };
    jest.restoreAllMocks();
    for (const [what, pieces] of Object.entries(seen)) {
      if (what !== "encoded text" || typeof pin === "string") expect([what, pieces.length]).not.toEqual([what, 0]);
      expect([what, pieces.filter(holdsPin)]).toEqual([what, []]);
    }
  });
});
