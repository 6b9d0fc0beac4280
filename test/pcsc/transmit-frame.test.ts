import { describe, expect, jest, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { Pcscd } from "../../src/pcsc/index.ts";
import { TransmitFrame } from "../../src/pcsc/pcscd/protocol.ts";
import { FakeDaemon, RESET_CARD, words } from "./pcscd-fake.ts";

const PIN = "87654321";
const VERIFY = Uint8Array.of(0x00, 0x20, 0x00, 0x80, 8, ...utf8(PIN));

const holdsPin = (bytes: Uint8Array): boolean => Buffer.from(bytes.buffer).includes(PIN);

test.each([
  ["a short command", VERIFY],
  ["a command that needs a longer frame", Uint8Array.of(...VERIFY, ...new Uint8Array(400))],
])("a frame forgets %s", (_, command) => {
  const frame = new TransmitFrame(1, 2);
  const bytes = frame.with(command);
  expect(holdsPin(bytes)).toBe(true);
  frame.wipe();
  expect(holdsPin(bytes)).toBe(false);
});

describe("a connection to pcscd", () => {
  test.each(["answered", "refused"])("wipes its frame after a command that is %s", async (outcome) => {
    await using daemon = await FakeDaemon.start();
    if (outcome === "refused")
      daemon.on.transmit = ({ socket }) => socket.write(words(0, 0, 0, 0, 0, 0, 0, RESET_CARD));
    const frames = jest.spyOn(TransmitFrame.prototype, "with");
    await using pcsc = new Pcscd({ socket: daemon.socket });
    const connection = await pcsc.connect("Fake Reader 00 00");
    const done = connection.transmit(VERIFY);
    await (outcome === "answered" ? done : expect(done).rejects.toThrow("SCARD_W_RESET_CARD"));
    const sent = frames.mock.results.map(({ value }) => value as Uint8Array);
    frames.mockRestore();
    expect(sent).toHaveLength(1);
    expect(sent.map(holdsPin)).toEqual([false]);
  });
});
