/** The last argument of PC/SC's calls: { signal }, and nothing else, whatever carries the calls. */
import { describe, expect, test } from "@jest/globals";
import { toHex } from "../../src/bytes/index.ts";
import { type CallOptions, MemoryReaders, openAddon, type Pcsc, Pcscd, record, replay } from "../../src/pcsc/index.ts";
import { FakeService } from "./addon-fake.ts";
import { FakeDaemon } from "./pcscd-fake.ts";
import { OK, ScriptedCard, T1_ATR } from "./scripted-card.ts";

const COMMAND = Uint8Array.of(0x00, 0xa4, 0x04, 0x00);
const READER = "Reader";

function memory(): Pcsc {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, new ScriptedCard());
  return readers.client();
}

function recording(sink: (line: string) => void = () => undefined): Pcsc {
  const conceal = (command: Uint8Array, answer: Uint8Array): { command: string; answer: string } => ({
    command: toHex(command),
    answer: toHex(answer),
  });
  return record(memory(), sink, () => ({ conceal }), "test");
}

async function replayed(): Promise<Pcsc> {
  let text = "";
  const recorded = recording((line) => (text += line));
  await using connection = await recorded.connect(READER);
  await connection.transmit(COMMAND);
  return replay(text);
}

async function addon(): Promise<Pcsc> {
  const service = new FakeService();
  service.plug(READER);
  service.insert(READER, { atr: T1_ATR, answer: () => OK });
  return openAddon(service.module);
}

const CLIENTS = { memory, recording, replayed, addon };

const WRONG: readonly (readonly [unknown, string])[] = [
  [new AbortController().signal, "the last argument is { signal }, and not the AbortSignal itself"],
  [4, "the last argument is { signal }, or left out; lengths are not given"],
  [COMMAND, "the last argument is { signal }, or left out; lengths are not given"],
  [{ signal: new AbortController() }, "signal in { signal }, the last argument, is an AbortSignal"],
];

async function refusesAllElse(pcsc: Pcsc, reader: string): Promise<void> {
  const connection = await pcsc.connect(reader, { signal: new AbortController().signal });
  for (const [last, message] of WRONG) {
    const options = last as CallOptions;
    const told = { message: `SCARD_E_INVALID_PARAMETER: ${message}` };
    expect(() => pcsc.changes(options)).toThrow(told.message);
    await expect(pcsc.connect(reader, options)).rejects.toMatchObject(told);
    await expect(connection.begin(options)).rejects.toMatchObject(told);
    await expect(connection.transmit(COMMAND, options)).rejects.toMatchObject(told);
    await expect(connection.control(0x42000d48, new Uint8Array(), options)).rejects.toMatchObject(told);
  }
  expect(await connection.transmit(COMMAND, { signal: undefined })).toBeInstanceOf(Uint8Array);
  await connection.disconnect();
  await pcsc.close();
}

describe("the last argument", () => {
  test.each(Object.entries(CLIENTS))("is options, and nothing else: %s", async (_name, open) => {
    await refusesAllElse(await open(), READER);
  });

  test("is options, and nothing else: pcscd", async () => {
    await using daemon = await FakeDaemon.start();
    await refusesAllElse(new Pcscd({ socket: daemon.socket }), "Fake Reader 00 00");
  });
});
