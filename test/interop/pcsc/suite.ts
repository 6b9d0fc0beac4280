import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import {
  type Pcsc,
  Pcscd,
  PcscError,
  type ReaderState,
  SCARD_DISPOSITION,
  SCARD_SHARE,
} from "../../../src/pcsc/index.ts";
import { pcscSuite } from "../../../src/testing/index.ts";
import { plugIntoVpcd, type PluggedCard } from "../../../src/virtual/index.ts";
import { type Pcscd as Daemon, startPcscd } from "../rig/pcscd.ts";
import { run } from "../rig/run.ts";
import { insertCard, type VirtualPicc } from "../rig/vpicc.ts";
import { startOther } from "./other.ts";

const MINUTE = 60_000;
const COMMAND = Uint8Array.of(0x00, 0xca, 0x00, 0x00);
/** TAG_IFD_SLOTS_NUMBER, the one attribute that the virtual reader has. */
const SLOTS_NUMBER = 0x0fae;
const GET_FEATURE_REQUEST = 0x42000d48;
/** Milliseconds that calls of the suite wait for other programs. */
const PATIENCE = 1_000;

export interface Subject {
  /** A new one, which waits `patience` milliseconds for other programs. */
  open(patience: number): Promise<Pcsc>;
  /** The source of a module that has `pcsc`, a new one. */
  readonly module: string;
  /** What SCardTransmit and its like cannot do where this subject stands: reconnect apart, all is done or refused. */
  readonly lacks: readonly ("attributes" | "transactions")[];
}

async function failure(promise: Promise<unknown>): Promise<PcscError> {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (error instanceof PcscError) return error;
  throw error;
}

/** The first state that `wanted` accepts. */
async function waitFor(
  pcsc: Pcsc,
  wanted: (readers: readonly ReaderState[]) => boolean,
): Promise<readonly ReaderState[]> {
  for await (const readers of pcsc.changes({ signal: AbortSignal.timeout(10_000) }))
    if (wanted(readers)) return readers;
  throw new Error("the readers never came to be as they should");
}

/** What every `Pcsc` over a real daemon does, whatever carries it there. */
export function describePcsc(name: string, subject: Subject): void {
  describe(`${name}, with a real pcscd`, () => {
    let daemon: Daemon;
    let pcsc: Pcsc;
    let card: VirtualPicc | undefined;
    let reader: string;
    let plugged: PluggedCard | undefined;

    jest.setTimeout(20_000);

    beforeAll(async () => {
      daemon = await startPcscd();
      [reader = ""] = daemon.readers;
    }, 20 * MINUTE);

    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
    });

    beforeEach(async () => {
      pcsc = await subject.open(PATIENCE);
    });

    afterEach(async () => {
      // vpcd hangs if the card goes while pcscd still resets it, for a program that was killed.
      await using observer = new Pcscd();
      await waitFor(observer, ([first]) => first?.sharing === 0);
      await card?.remove();
      card = undefined;
      await waitFor(pcsc, ([first]) => first?.present === false);
      await pcsc.close();
    });

    async function insert(answer?: (command: Uint8Array) => Uint8Array | Promise<Uint8Array>): Promise<VirtualPicc> {
      card = await insertCard({ port: daemon.port, ...(answer && { answer }) });
      await waitFor(pcsc, ([first]) => first?.present === true && first.atr.length > 0);
      return card;
    }

    describe("readers", () => {
      test("are listed", async () => {
        expect((await pcsc.readers()).map(({ name, present }) => [name, present])).toEqual(
          daemon.readers.map((name) => [name, false]),
        );
      });

      test("tell of cards that come and go", async () => {
        const seen: boolean[] = [];
        const watching = (async () => {
          for await (const [first] of pcsc.changes()) {
            if (first && seen.at(-1) !== first.present) seen.push(first.present);
            if (seen.length === 4) break;
          }
        })();
        await insert();
        await card?.remove();
        await waitFor(pcsc, ([first]) => first?.present === false);
        await insert();
        await watching;
        expect(seen).toEqual([false, true, false, true]);
      });

      test("are told to many who ask at once", async () => {
        const answers = await Promise.all(Array.from({ length: 100 }, () => pcsc.readers()));
        expect(answers.every((readers) => readers.length === 2)).toBe(true);
      });

      test("tell the answer to reset", async () => {
        await insert();
        const [first] = await pcsc.readers();
        expect(first).toMatchObject({ name: reader, mute: false, atr: Uint8Array.of(0x3b, 0x80, 0x01, 0x81) });
      });
    });

    describe("connecting", () => {
      test("to a card gives protocol and answer to reset", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        expect(connection).toMatchObject({ reader, protocol: 2, atr: Uint8Array.of(0x3b, 0x80, 0x01, 0x81) });
      });

      test("to the reader alone needs no card", async () => {
        await using connection = await pcsc.connect(reader, { share: SCARD_SHARE.DIRECT });
        expect(connection.atr).toHaveLength(0);
      });

      test("exclusively keeps others out", async () => {
        await insert();
        await using first = await pcsc.connect(reader, { share: SCARD_SHARE.EXCLUSIVE });
        await using other = await startOther(reader);
        expect(await other.do("connect")).toBe("SCARD_E_SHARING_VIOLATION");
        await first.disconnect();
        expect(await other.do("connect")).toBe("done");
        expect((await failure(pcsc.connect(reader, { share: SCARD_SHARE.EXCLUSIVE }))).codeName).toBe(
          "SCARD_E_SHARING_VIOLATION",
        );
      });
    });

    describe("a connection", () => {
      test("reconnects, with a reset if told", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await connection.reconnect();
        expect(await connection.transmit(COMMAND)).toHaveLength(6);
        const before = card?.resets ?? 0;
        await connection.reconnect(1);
        expect(card?.resets).toBeGreaterThan(before);
        expect(await connection.transmit(COMMAND)).toHaveLength(6);
      });

      test("resets the card when it ends, if told", async () => {
        await insert();
        const connection = await pcsc.connect(reader);
        const before = card?.resets ?? 0;
        await connection.disconnect(SCARD_DISPOSITION.RESET_CARD);
        expect(card?.resets).toBeGreaterThan(before);
        await connection.disconnect();
      });

      test("asks the reader itself, which says what it cannot do", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        const error = await failure(connection.control(GET_FEATURE_REQUEST, new Uint8Array(0)));
        expect(error.codeName).toBe("SCARD_E_UNSUPPORTED_FEATURE");
        expect(await connection.transmit(COMMAND)).toHaveLength(6);
      });

      test("reads attributes of the reader", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        if (subject.lacks.includes("attributes")) {
          expect((await failure(connection.attribute(SLOTS_NUMBER))).codeName).toBe("SCARD_E_UNSUPPORTED_FEATURE");
          return;
        }
        expect(await connection.attribute(SLOTS_NUMBER)).toEqual(Uint8Array.of(2));
        expect((await failure(connection.attribute(0x00010100))).codeName).toBe("SCARD_E_UNSUPPORTED_FEATURE");
      });

      test("is given up in the middle of an exchange", async () => {
        let begin = (): void => undefined;
        const begun = new Promise<void>((resolve) => (begin = resolve));
        let answer = (): void => undefined;
        const answered = new Promise<void>((resolve) => (answer = resolve));
        await insert((command) => {
          begin();
          return answered.then(() => command);
        });
        await using connection = await pcsc.connect(reader);
        const controller = new AbortController();
        const pending = failure(connection.transmit(COMMAND, { signal: controller.signal }));
        await begun;
        controller.abort();
        // The card has not answered yet.
        expect((await pending).codeName).toBe("SCARD_E_CANCELLED");
        answer();
        expect(await connection.transmit(COMMAND)).toEqual(COMMAND);
      });
    });

    describe("a card pulled out", () => {
      test("between two exchanges is noticed", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await card?.remove();
        await waitFor(pcsc, ([first]) => first?.present === false);
        expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_REMOVED_CARD");
      });

      test("during an exchange is noticed, and another card is taken up", async () => {
        await insert(async () => {
          await card?.remove();
          return new Uint8Array(0);
        });
        await using connection = await pcsc.connect(reader);
        expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_REMOVED_CARD");
        await insert();
        expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_REMOVED_CARD");
        await using again = await pcsc.connect(reader);
        expect(await again.transmit(COMMAND)).toHaveLength(6);
      });
    });

    describe("another program", () => {
      test("that resets the card is noticed, and its reset is taken up", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await using other = await startOther(reader);
        expect(await other.do("connect")).toBe("done");
        expect(await other.do("reset")).toBe("done");
        expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_RESET_CARD");
        await connection.reconnect();
        expect(await connection.transmit(COMMAND)).toHaveLength(6);
      });

      test("that keeps the card is waited for, not for ever", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await using other = await startOther(reader);
        await other.do("connect");
        expect(await other.do("begin")).toBe("done");
        const started = performance.now();
        expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_E_SHARING_VIOLATION");
        expect(performance.now() - started).toBeGreaterThan(PATIENCE / 2);
        expect(performance.now() - started).toBeLessThan(PATIENCE + 1_000);
        const patient = connection.transmit(COMMAND);
        await sleep(200);
        expect(await other.do("end")).toBe("done");
        expect(await patient).toHaveLength(6);
      });

      test("that keeps the card keeps others from connecting, not for ever", async () => {
        await insert();
        await using other = await startOther(reader);
        await other.do("connect");
        await other.do("begin");
        const started = performance.now();
        expect((await failure(pcsc.connect(reader))).codeName).toBe("SCARD_E_SHARING_VIOLATION");
        expect(performance.now() - started).toBeLessThan(5_000);
        await other.do("end");
        await using connection = await pcsc.connect(reader);
        expect(await connection.transmit(COMMAND)).toHaveLength(6);
      });

      test("that keeps the card is waited for only until the caller gives up", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await using other = await startOther(reader);
        await other.do("connect");
        await other.do("begin");
        expect((await failure(connection.transmit(COMMAND, { signal: AbortSignal.timeout(150) }))).codeName).toBe(
          "SCARD_E_CANCELLED",
        );
      });

      test("that crashes with the card in its hands lets go of it", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await using other = await startOther(reader);
        await other.do("connect");
        await other.do("begin");
        await other.kill();
        // pcscd resets the card that a crashed program was using, and a reconnect may come in the middle of that.
        expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_RESET_CARD");
        await connection.reconnect();
        const answer = await connection.transmit(COMMAND).catch(async (error: unknown) => {
          expect(error).toMatchObject({ codeName: "SCARD_W_RESET_CARD" });
          await connection.reconnect();
          return connection.transmit(COMMAND);
        });
        expect(answer).toHaveLength(6);
      });

      test("waits for a transaction of ours", async () => {
        await insert();
        await using connection = await pcsc.connect(reader);
        await using other = await startOther(reader);
        await other.do("connect");
        if (subject.lacks.includes("transactions")) return;
        await connection.begin();
        await connection.begin();
        const theirs = other.do("transmit");
        await sleep(300);
        expect(card?.commands).toHaveLength(0);
        await connection.transmit(Uint8Array.of(0, 1, 0, 0));
        await connection.end();
        await connection.end();
        expect(await theirs).toBe("done");
        expect(card?.commands.map((command) => command[1])).toEqual([1, 0xca]);
        expect((await failure(connection.end())).codeName).toBe("SCARD_E_NOT_TRANSACTED");
      });
    });

    describe("the daemon", () => {
      test("is missed by name, and may start later", async () => {
        await daemon.kill();
        expect((await failure(pcsc.readers())).codeName).toBe("SCARD_E_NO_SERVICE");
        expect((await failure(pcsc.connect(reader))).codeName).toBe("SCARD_E_NO_SERVICE");
        const changes = pcsc.changes()[Symbol.asyncIterator]();
        expect((await changes.next()).value).toEqual([]);
        const back = changes.next();
        await daemon.restart();
        expect((await back).value).toHaveLength(2);
        await changes.return?.();
      });

      test("may be killed and come back, under a connection and a watcher", async () => {
        await insert();
        const connection = await pcsc.connect(reader);
        const changes = pcsc.changes()[Symbol.asyncIterator]();
        expect((await changes.next()).value).toHaveLength(2);
        await daemon.kill();
        let gone: readonly ReaderState[];
        do gone = ((await changes.next()) as IteratorYieldResult<readonly ReaderState[]>).value;
        while (gone.length > 0);
        const lost = await failure(connection.transmit(COMMAND));
        expect(["SCARD_E_SERVICE_STOPPED", "SCARD_E_NO_SERVICE", "SCARD_F_COMM_ERROR"]).toContain(lost.codeName);
        await connection.disconnect();
        await daemon.restart();
        expect((await changes.next()).value).toHaveLength(2);
        await card?.remove();
        await insert();
        await using again = await pcsc.connect(reader);
        expect(await again.transmit(COMMAND)).toHaveLength(6);
        await changes.return?.();
      });

      test("may be killed during an exchange", async () => {
        await insert(async (command) => {
          await daemon.kill();
          return command;
        });
        const connection = await pcsc.connect(reader);
        const lost = await failure(connection.transmit(COMMAND));
        expect(["SCARD_E_SERVICE_STOPPED", "SCARD_E_NO_SERVICE", "SCARD_F_COMM_ERROR"]).toContain(lost.codeName);
        await connection.disconnect();
        await daemon.restart();
        await waitFor(pcsc, (readers) => readers.length === 2);
      });

      test("may lose a reader and get it back", async () => {
        await insert();
        const connection = await pcsc.connect(reader);
        await daemon.restart({ reader: false });
        await waitFor(pcsc, (readers) => readers.length === 0);
        await expect(connection.transmit(COMMAND)).rejects.toBeInstanceOf(PcscError);
        const none = await failure(pcsc.connect(reader));
        expect(["SCARD_E_UNKNOWN_READER", "SCARD_E_NO_READERS_AVAILABLE"]).toContain(none.codeName);
        await daemon.restart({ reader: true });
        await waitFor(pcsc, (readers) => readers.length === 2);
        await card?.remove();
        await insert();
        await using again = await pcsc.connect(reader);
        expect(await again.transmit(COMMAND)).toHaveLength(6);
      });
    });

    describe("the conformance suite", () => {
      const suite = pcscSuite({
        open: (patience) => subject.open(patience),
        // The daemon's first reader, which is known once it runs.
        get reader() {
          return reader;
        },
        insert: async (inserted) => {
          plugged = await plugIntoVpcd(inserted, { port: daemon.port });
        },
        remove: async () => {
          await plugged?.[Symbol.asyncDispose]();
          plugged = undefined;
        },
        lacks: subject.lacks.filter((one) => one === "transactions"),
      });
      for (const { name: check, run: runCheck } of suite) test(check, runCheck);
    });

    test("a process that closed everything ends by itself", async () => {
      await insert();
      const script = `${subject.module}
        const connection = await pcsc.connect(${JSON.stringify(reader)});
        await connection.transmit(new Uint8Array(4));
        void (async () => { for await (const readers of pcsc.changes()); })();
        await new Promise((resolve) => setTimeout(resolve, 50));
        await pcsc.close();
        console.log("closed");`;
      const args = ["--import", "tsx", "--input-type=module", "--eval", script];
      const ended = await run(process.execPath, args, { env: { NODE_OPTIONS: "" }, timeout: 10_000 });
      expect(ended).toMatchObject({ code: 0, stdout: "closed\n" });
    });
  });
}
