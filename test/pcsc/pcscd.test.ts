import { once } from "node:events";
// eslint-disable-next-line no-restricted-syntax -- the daemon stays away for a while
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { Pcscd, PcscError, type ReaderState, SCARD_DISPOSITION, SCARD_SHARE } from "../../src/pcsc/index.ts";
import {
  type FakeCommand,
  FakeDaemon,
  NO_SMARTCARD,
  NOT_TRANSACTED,
  PROTO_MISMATCH,
  RESET_CARD,
  SHARING_VIOLATION,
  SUCCESS,
  words,
} from "./pcscd-fake.ts";
import { turns, until } from "../until.ts";

const READER = "Fake Reader 00 00";
const COMMAND = Uint8Array.of(0x00, 0xa4, 0x04, 0x00);

let daemon: FakeDaemon;
let pcsc: Pcscd;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
  pcsc = new Pcscd({ socket: daemon.socket, patience: 300 });
});

afterEach(async () => {
  await pcsc.close();
  await daemon[Symbol.asyncDispose]();
});

/** The error that `promise` fails with. */
async function failure(promise: Promise<unknown>): Promise<PcscError> {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (error instanceof PcscError) return error;
  throw error;
}

describe("versions", () => {
  test.each([
    ["4:4 only (pcsc-lite 1.8.24 to 2.2)", [4]],
    ["4:5 only (2.3.0 to 2.4.0)", [5]],
    ["4:4 and 4:5 (2.4.1)", [4, 5]],
    ["4:4 to 4:6 (2.5)", [4, 5, 6]],
    ["4:4 to a later one", [4, 5, 6, 9]],
  ])("a daemon that speaks %s is understood", async (_, versions) => {
    daemon.versions = versions;
    expect(await pcsc.readers()).toMatchObject([{ name: READER, present: true }]);
    const connection = await pcsc.connect(READER);
    expect(await connection.transmit(COMMAND)).toEqual(Uint8Array.of(...COMMAND, 0x90, 0x00));
  });

  test.each([[3], [7]])("a daemon that speaks 4:%d only is refused in plain words", async (minor) => {
    daemon.versions = [minor];
    const error = await failure(pcsc.connect(READER));
    expect(error.is("SCARD_E_UNSUPPORTED_FEATURE")).toBe(true);
    expect(error.message).toContain(`4:${minor}`);
  });

  test("more than sixteen readers are seen where the daemon can list them", async () => {
    daemon.versions = [4, 5, 6];
    daemon.readers = Array.from({ length: 40 }, (_, index) => ({ name: `Reader ${index}` }));
    expect(await pcsc.readers()).toHaveLength(40);
    daemon.versions = [4, 5];
    expect(await pcsc.readers()).toHaveLength(16);
  });

  test.each([4, 5])(
    "48 reader states of a daemon that speaks 4:%d are read, and so is what comes behind them",
    async (minor) => {
      daemon.versions = [minor];
      daemon.entries = 48;
      daemon.readers = Array.from({ length: 20 }, (_, index) => ({
        name: `Reader ${index}`,
        atr: Uint8Array.of(0x3b, 0),
      }));
      expect((await pcsc.readers()).map(({ name }) => name)).toEqual(daemon.readers.map((reader) => reader?.name));
      await using connection = await pcsc.connect("Reader 17");
      expect(await connection.transmit(COMMAND)).toEqual(Uint8Array.of(...COMMAND, 0x90, 0x00));
      expect(await connection.alone()).toBe(false);
      const changes = pcsc.changes()[Symbol.asyncIterator]();
      expect((await changes.next()).value).toHaveLength(20);
      await until(() => daemon.waiting.size > 0);
      daemon.readers = daemon.readers.slice(0, 19);
      daemon.signal();
      expect((await changes.next()).value).toHaveLength(19);
      await changes.return?.();
    },
  );

  test.each([
    [5, 0],
    [-1, -1],
    [4, 3],
  ])("a daemon that agrees to 4:4 and calls itself %d:%d is refused by that name", async (major, minor) => {
    daemon.on.version = ({ socket }) => socket.write(words(major, minor, SUCCESS));
    for (const asked of [pcsc.readers(), pcsc.connect(READER)]) {
      const error = await failure(asked);
      expect(error.is("SCARD_E_UNSUPPORTED_FEATURE")).toBe(true);
      expect(error.message).toContain(`${major}:${minor}`);
    }
  });

  test("a count of readers that no machine has is not believed", async () => {
    daemon.versions = [4, 5, 6];
    daemon.readers = Array.from({ length: 16 }, (_, index) => ({ name: `Reader ${index}` }));
    daemon.on.size = ({ socket }) => socket.write(words(0x7fff_ffff));
    expect((await failure(pcsc.readers())).is("SCARD_F_COMM_ERROR")).toBe(true);
  });
});

describe("readers", () => {
  test("free entries between others are left out", async () => {
    daemon.readers = [undefined, { name: "A" }, undefined, { name: "B", sharing: 2 }];
    const readers = await pcsc.readers();
    expect(readers.map(({ name, sharing }) => [name, sharing])).toEqual([
      ["A", 0],
      ["B", 2],
    ]);
  });

  test("an answer that comes byte by byte is put together", async () => {
    daemon.readers = Array.from({ length: 16 }, (_, index) => ({ name: `Reader ${index}` }));
    daemon.on.states = ({ socket }) => {
      void (async () => {
        const states = daemon.states();
        for (let at = 0; at < states.length; at += 97) {
          socket.write(states.subarray(at, at + 97));
          await turns(2);
        }
      })();
    };
    expect((await pcsc.readers()).at(-1)?.name).toBe("Reader 15");
  });

  test("nothing stays open behind the answer", async () => {
    await pcsc.readers();
    await until(() => daemon.connections === 0);
  });

  test("no listener is SCARD_E_NO_SERVICE, and says what to do", async () => {
    await daemon.stop();
    const error = await failure(pcsc.readers());
    expect(error.codeName).toBe("SCARD_E_NO_SERVICE");
    expect(error.message).toContain(daemon.socket);
    expect(error.message).toContain("start pcscd");
  });

  test("the socket is the one that PCSCLITE_CSOCK_NAME names", async () => {
    const before = process.env["PCSCLITE_CSOCK_NAME"];
    process.env["PCSCLITE_CSOCK_NAME"] = daemon.socket;
    try {
      await using named = new Pcscd();
      expect(await named.readers()).toHaveLength(1);
    } finally {
      if (before === undefined) delete process.env["PCSCLITE_CSOCK_NAME"];
      else process.env["PCSCLITE_CSOCK_NAME"] = before;
    }
  });

  test("a daemon that hangs up at once refuses this user", async () => {
    daemon.on.version = ({ socket }) => socket.destroy();
    expect((await failure(pcsc.readers())).codeName).toBe("SCARD_W_SECURITY_VIOLATION");
  });
});

describe("a connection", () => {
  test("tells protocol and answer to reset", async () => {
    await using connection = await pcsc.connect(READER);
    expect(connection).toMatchObject({ reader: READER, protocol: 2, atr: Uint8Array.of(0x3b, 0x00) });
  });

  test("sends a command as the protocol has it", async () => {
    const frames: string[] = [];
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ body, payload, usual }) => {
      frames.push(body.toString("hex"), payload.toString("hex"));
      usual();
    };
    await connection.transmit(COMMAND);
    expect(frames).toEqual(["7700000002000000100000000400000002000000100000000c00010000000000", "00a40400"]);
  });

  test.each([4, 5, 261, 262, 65_544])("carries a command of %d bytes and its answer", async (length) => {
    await using connection = await pcsc.connect(READER);
    const command = Uint8Array.from({ length }, (_, index) => index);
    expect(await connection.transmit(command)).toEqual(Uint8Array.of(...command, 0x90, 0x00));
    expect(await connection.transmit(COMMAND)).toEqual(Uint8Array.of(...COMMAND, 0x90, 0x00));
  });

  test.each([0, 1, 3, 65_549])("refuses a command of %d bytes before the daemon sees it", async (length) => {
    await using connection = await pcsc.connect(READER);
    expect((await failure(connection.transmit(new Uint8Array(length)))).codeName).toBe("SCARD_E_INVALID_PARAMETER");
    expect(daemon.seen).not.toContain("transmit");
  });

  test.each(["", "x".repeat(128), "Fake Reader 00 00\0"])("cannot be opened to a reader called %j", async (name) => {
    expect((await failure(pcsc.connect(name))).codeName).toBe("SCARD_E_UNKNOWN_READER");
  });

  test("has control, attributes, transactions, reconnect and disconnect", async () => {
    const connection = await pcsc.connect(READER, { share: SCARD_SHARE.EXCLUSIVE });
    expect(await connection.control(0x42000d48, Uint8Array.of(1, 2, 3))).toEqual(Uint8Array.of(1, 2, 3));
    expect(await connection.control(0x42000d48, new Uint8Array(0))).toHaveLength(0);
    expect(Buffer.from(await connection.attribute(0x00010100)).toString()).toBe("value");
    await connection.begin();
    await connection.end(SCARD_DISPOSITION.RESET_CARD);
    daemon.readers = [{ name: READER, atr: Uint8Array.of(0x3b, 0x01, 0x02) }];
    await connection.reconnect(1);
    expect(connection).toMatchObject({ protocol: 1, atr: Uint8Array.of(0x3b, 0x01, 0x02) });
    await connection.disconnect(SCARD_DISPOSITION.UNPOWER_CARD);
    await connection.disconnect();
    expect(daemon.seen.filter((command) => command === "disconnect")).toHaveLength(1);
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_E_INVALID_HANDLE");
  });

  test("knows whether it is alone", async () => {
    await using connection = await pcsc.connect(READER);
    for (const [sharing, alone] of [
      [1, true],
      [-1, true],
      [2, false],
    ] as const) {
      daemon.readers = [{ name: READER, sharing }];
      expect(await connection.alone()).toBe(alone);
    }
    daemon.readers = [];
    expect(await connection.alone()).toBe(false);
  });

  test("passes on what the daemon answers", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => socket.write(words(0, 0, 0, 0, 0, 0, 0, RESET_CARD));
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_RESET_CARD");
    delete daemon.on.transmit;
    expect(await connection.transmit(COMMAND)).toHaveLength(6);
  });

  test("has a socket of its own, so that a slow card does not delay others", async () => {
    await using slow = await pcsc.connect(READER);
    await using quick = await pcsc.connect(READER);
    daemon.on.transmit = ({ payload, usual }) => {
      if (payload.length === 4) usual();
    };
    const hanging = failure(slow.transmit(Uint8Array.of(0, 0, 0, 0, 0)));
    expect(await quick.transmit(COMMAND)).toHaveLength(6);
    await pcsc.close();
    expect((await hanging).codeName).toBe("SCARD_E_CANCELLED");
  });
});

describe("an exchange that breaks", () => {
  test.each([
    ["pulled out", []],
    ["swapped for another", [{ name: READER, atr: Uint8Array.of(0x3b, 0x00), events: 2 }]],
    ["pulled out with its reader", []],
  ])("because the card was %s says so", async (_, after) => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => {
      socket.write(words(0, 0, 0, 0, 0, 0, 0, NOT_TRANSACTED));
      // The daemon sees the card later than its exchange fails.
      // eslint-disable-next-line no-restricted-syntax
      setTimeout(() => (daemon.readers = after), 60);
    };
    const error = await failure(connection.transmit(COMMAND));
    expect(error.codeName).toBe("SCARD_W_REMOVED_CARD");
    expect(error.cause).toMatchObject({ codeName: "SCARD_E_NOT_TRANSACTED" });
  });

  test.each([
    ["a protocol that the daemon forgot is a reset", PROTO_MISMATCH, "SCARD_W_RESET_CARD"],
    ["no card where one was is a removal", NO_SMARTCARD, "SCARD_W_REMOVED_CARD"],
  ])("because of %s", async (_, code, name) => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => socket.write(words(0, 0, 0, 0, 0, 0, 0, code));
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe(name);
  });

  test("without a status word is no answer", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => {
      daemon.readers = [];
      socket.write(words(0, 0, 0, 0, 0, 0, 0, SUCCESS));
    };
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_W_REMOVED_CARD");
  });

  test("while the card stays stays what it was", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => socket.write(words(0, 0, 0, 0, 0, 0, 0, NOT_TRANSACTED));
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_E_NOT_TRANSACTED");
  });
});

describe("a daemon that goes wrong", () => {
  test("and ends in the middle of an answer has stopped", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => socket.end(words(0, 0, 0, 0, 0, 0, 10, SUCCESS));
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_E_SERVICE_STOPPED");
    expect((await failure(connection.begin())).codeName).toBe("SCARD_E_SERVICE_STOPPED");
  });

  test("and resets the socket in the middle of an answer has stopped", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => {
      socket.write(words(0, 0, 0));
      // Destroyed with bytes unread: the other side sees ECONNRESET.
      socket.pause();
      // Once the answer is under way.
      // eslint-disable-next-line no-restricted-syntax
      setTimeout(() => socket.destroy(), 20);
    };
    const pending = [failure(connection.transmit(COMMAND)), failure(connection.transmit(COMMAND))];
    for (const error of await Promise.all(pending)) expect(error.codeName).toBe("SCARD_E_SERVICE_STOPPED");
  });

  test("and announces more than it may is not believed", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket }) => socket.write(words(0, 0, 0, 0, 0, 0, 65_549, SUCCESS));
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_F_COMM_ERROR");
  });

  test("and announces a longer attribute than fits is not believed", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.attribute = ({ body, socket }) =>
      socket.write(Buffer.concat([body.subarray(0, 272), words(265, SUCCESS)]));
    expect((await failure(connection.attribute(1))).codeName).toBe("SCARD_F_COMM_ERROR");
  });

  test("and sends an answer without a request is disconnected", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.transmit = ({ socket, usual }) => {
      usual();
      socket.write(words(0, 0));
    };
    await connection.transmit(COMMAND);
    await until(() => daemon.connections === 0);
    expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_F_COMM_ERROR");
  });
});

describe("a daemon that takes the connection and says nothing", () => {
  const TEN_SECONDS = 10_000;
  const silence = (...commands: readonly FakeCommand[]): void => {
    for (const command of commands) daemon.on[command] = () => undefined;
  };
  const heard = (command: FakeCommand): Promise<void> => until(() => daemon.seen.includes(command));

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask", "performance"] });
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  test.each([
    ["anything", ["version", "states"]],
    ["the question for readers", ["states"]],
  ] as const)("to %s is no service, and what to do is said", async (_, commands) => {
    silence(...commands);
    const pending = failure(pcsc.readers());
    await heard("states");
    jest.advanceTimersByTime(TEN_SECONDS);
    const error = await pending;
    expect(error.codeName).toBe("SCARD_E_NO_SERVICE");
    expect(error.message).toContain("restart");
    await until(() => daemon.connections === 0);
  });

  test("is no service to connect to", async () => {
    silence("version", "establish");
    const pending = failure(pcsc.connect(READER));
    await heard("establish");
    jest.advanceTimersByTime(TEN_SECONDS);
    expect((await pending).codeName).toBe("SCARD_E_NO_SERVICE");
  });

  test("does not keep the end of a transaction", async () => {
    const connection = await pcsc.connect(READER);
    await connection.begin();
    silence("end");
    const pending = failure(connection.end());
    await heard("end");
    jest.advanceTimersByTime(TEN_SECONDS);
    expect((await pending).codeName).toBe("SCARD_E_NO_SERVICE");
  });

  test.each([
    ["version", [4]],
    ["wait", [4]],
    ["events", [4, 5, 6]],
    ["states", [4, 5, 6]],
  ] as const)("to %s has no readers, until it comes to itself", async (command, versions) => {
    daemon.versions = versions;
    silence(command);
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    const first = changes.next();
    await heard(command);
    jest.advanceTimersByTime(TEN_SECONDS);
    expect((await first).value).toEqual([]);
    daemon.on[command] = ({ usual }) => {
      usual();
    };
    jest.useRealTimers();
    expect((await changes.next()).value).toHaveLength(1);
  });
});

describe("a card that another program keeps", () => {
  const refusal = (length: number): Buffer => Buffer.concat([Buffer.alloc(length - 4), words(SHARING_VIOLATION)]);

  test("is tried again, in the order of the calls", async () => {
    await using connection = await pcsc.connect(READER);
    const payloads: number[] = [];
    let refusals = 2;
    daemon.on.transmit = ({ payload, socket, usual }) => {
      payloads.push(payload[0] ?? -1);
      if (refusals-- > 0) socket.write(refusal(32));
      else usual();
    };
    await Promise.all([connection.transmit(Uint8Array.of(1, 0, 0, 0)), connection.transmit(Uint8Array.of(2, 0, 0, 0))]);
    expect(payloads).toEqual([1, 1, 1, 2]);
  });

  test("is given up in the end", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.begin = ({ socket }) => socket.write(refusal(8));
    const error = await failure(connection.begin());
    expect(error.codeName).toBe("SCARD_E_SHARING_VIOLATION");
    expect(error.message).toContain("another program");
    expect(daemon.seen.filter((command) => command === "begin").length).toBeGreaterThan(3);
  });

  test("is given up when the caller gives up", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.begin = ({ socket }) => socket.write(refusal(8));
    const stop = new AbortController();
    const begun = connection.begin({ signal: stop.signal });
    await until(() => daemon.seen.includes("begin"));
    stop.abort();
    expect((await failure(begun)).codeName).toBe("SCARD_E_CANCELLED");
    delete daemon.on.begin;
    await connection.begin();
  });

  test("cannot be connected to while the daemon accepts no client, and not for ever", async () => {
    daemon.on.connect = () => undefined;
    expect((await failure(pcsc.connect(READER))).codeName).toBe("SCARD_E_SHARING_VIOLATION");
    await until(() => daemon.connections === 0);
  });

  test("cannot be connected to while it is held exclusively: told at once, as control and attributes in its transaction are", async () => {
    await using connection = await pcsc.connect(READER);
    daemon.on.connect = ({ socket }) => socket.write(refusal(152));
    daemon.on.control = ({ socket }) => socket.write(refusal(24));
    daemon.on.attribute = ({ socket }) => socket.write(refusal(280));
    const asked = daemon.seen.length;
    expect((await failure(pcsc.connect(READER))).codeName).toBe("SCARD_E_SHARING_VIOLATION");
    expect((await failure(connection.control(1, COMMAND))).codeName).toBe("SCARD_E_SHARING_VIOLATION");
    expect((await failure(connection.attribute(1))).codeName).toBe("SCARD_E_SHARING_VIOLATION");
    const seen = daemon.seen.slice(asked);
    expect(["connect", "control", "attribute"].map((name) => seen.filter((one) => one === name).length)).toEqual([
      1, 1, 1,
    ]);
  });
});

describe("a call that is given up", () => {
  test("in the middle of an exchange is finished behind its caller, and the connection goes on", async () => {
    await using connection = await pcsc.connect(READER);
    let answer = (): void => undefined;
    daemon.on.transmit = ({ usual }) => {
      delete daemon.on.transmit;
      answer = usual;
    };
    const controller = new AbortController();
    const pending = failure(connection.transmit(COMMAND, { signal: controller.signal }));
    await until(() => daemon.seen.includes("transmit"));
    controller.abort(new Error("enough"));
    const error = await pending;
    expect(error.codeName).toBe("SCARD_E_CANCELLED");
    expect(error.cause).toMatchObject({ message: "enough" });
    const next = connection.transmit(COMMAND);
    answer();
    expect(await next).toHaveLength(6);
    expect(daemon.connections).toBe(1);
  });

  test("a control command has the time that it says itself", async () => {
    await using patient = new Pcscd({ socket: daemon.socket, exchangeTimeout: 60_000, longExchangeTimeout: 60_000 });
    const connection = await patient.connect(READER);
    daemon.on.control = () => undefined;
    const error = await failure(connection.control(1, COMMAND, { answersWithin: 20 }));
    expect(error.message).toContain("did not answer for 0.02 seconds");
  });

  test.each(["transmit", "control", "begin", "reconnect"] as const)(
    "%s without an answer ends with the connection",
    async (silent) => {
      await using impatient = new Pcscd({ socket: daemon.socket, exchangeTimeout: 20, longExchangeTimeout: 30 });
      const connection = await impatient.connect(READER);
      daemon.on[silent] = () => undefined;
      const calls = {
        transmit: () => connection.transmit(COMMAND),
        control: () => connection.control(1, COMMAND, { long: true }),
        begin: () => connection.begin(),
        reconnect: () => connection.reconnect(),
      };
      const error = await failure(calls[silent]());
      expect(error.codeName).toBe("SCARD_E_TIMEOUT");
      expect(error.message).toContain(silent === "control" ? "0.03 seconds" : "0.02 seconds");
      await until(() => daemon.connections === 0);
      expect((await failure(connection.transmit(COMMAND))).codeName).toBe("SCARD_E_TIMEOUT");
      await connection.disconnect();
    },
  );

  test("a connection closes although an exchange has no answer", async () => {
    const connection = await pcsc.connect(READER);
    daemon.on.transmit = () => undefined;
    const pending = failure(connection.transmit(COMMAND));
    await until(() => daemon.seen.includes("transmit"));
    await connection.disconnect();
    expect((await pending).codeName).toBe("SCARD_E_CANCELLED");
    await until(() => daemon.connections === 0);
  });

  test("while it waits for its turn leaves the call before it alone", async () => {
    await using connection = await pcsc.connect(READER);
    let answer = (): void => undefined;
    daemon.on.transmit = ({ usual }) => (answer = usual);
    const first = connection.transmit(COMMAND);
    const controller = new AbortController();
    const second = failure(connection.transmit(COMMAND, { signal: controller.signal }));
    await until(() => daemon.seen.includes("transmit"));
    controller.abort();
    expect((await second).codeName).toBe("SCARD_E_CANCELLED");
    answer();
    expect(await first).toHaveLength(6);
    expect(daemon.seen.filter((command) => command === "transmit")).toHaveLength(1);
  });

  test("before it began sends nothing", async () => {
    await using connection = await pcsc.connect(READER);
    expect((await failure(connection.transmit(COMMAND, { signal: AbortSignal.abort() }))).codeName).toBe(
      "SCARD_E_CANCELLED",
    );
    expect((await failure(pcsc.connect(READER, { signal: AbortSignal.abort() }))).codeName).toBe("SCARD_E_CANCELLED");
    expect(daemon.seen).not.toContain("transmit");
  });

  test("while a transaction is being granted gives it back", async () => {
    await using connection = await pcsc.connect(READER);
    const controller = new AbortController();
    daemon.on.begin = ({ usual }) => {
      controller.abort();
      usual();
    };
    expect((await failure(connection.begin({ signal: controller.signal }))).codeName).toBe("SCARD_E_CANCELLED");
    await until(() => daemon.seen.includes("end"));
  });

  test("while it connects hangs up", async () => {
    daemon.on.connect = () => undefined;
    const controller = new AbortController();
    const pending = failure(pcsc.connect(READER, { signal: controller.signal }));
    await until(() => daemon.seen.includes("connect"));
    controller.abort();
    expect((await pending).codeName).toBe("SCARD_E_CANCELLED");
    await until(() => daemon.connections === 0);
  });
});

describe("closing", () => {
  test("ends connections and iterations, twice if asked, and nothing opens after it", async () => {
    await pcsc.connect(READER);
    const iteration = (async () => {
      for await (const readers of pcsc.changes()) expect(readers).toHaveLength(1);
    })();
    await until(() => daemon.waiting.size === 1);
    await Promise.all([pcsc.close(), pcsc.close()]);
    await iteration;
    await until(() => daemon.connections === 0);
    expect((await failure(pcsc.readers())).codeName).toBe("SCARD_E_INVALID_HANDLE");
    expect((await failure(pcsc.connect(READER))).codeName).toBe("SCARD_E_INVALID_HANDLE");
    expect((await pcsc.changes()[Symbol.asyncIterator]().next()).done).toBe(true);
  });

  test("is what a call under way fails with", async () => {
    daemon.on.states = () => undefined;
    const pending = failure(pcsc.readers());
    await until(() => daemon.seen.includes("states"));
    await pcsc.close();
    const error = await pending;
    expect(error.codeName).toBe("SCARD_E_INVALID_HANDLE");
    expect(error.message).toContain("closed");
  });

  test("takes leave of the card in words", async () => {
    await pcsc.connect(READER);
    await pcsc.close();
    expect(daemon.seen.at(-1)).toBe("disconnect");
  });

  test("does not wait for a daemon that does not answer", async () => {
    const connection = await pcsc.connect(READER);
    daemon.on.disconnect = () => undefined;
    await connection.disconnect();
    expect((await failure(connection.begin())).is("SCARD_E_SHARING_VIOLATION", "SCARD_E_INVALID_HANDLE")).toBe(true);
  });
});

describe.each([
  ["4:4", [4]],
  ["4:5", [4, 5]],
  ["4:6", [4, 5, 6]],
])("changes, told by a daemon of version %s", (_, versions) => {
  let changes: AsyncIterator<readonly ReaderState[]>;
  let controller: AbortController;

  beforeEach(() => {
    daemon.versions = versions;
    controller = new AbortController();
    changes = pcsc.changes({ signal: controller.signal })[Symbol.asyncIterator]();
  });

  afterEach(() => {
    controller.abort();
  });

  async function next(): Promise<readonly ReaderState[] | "end"> {
    const result = await changes.next();
    return result.done === true ? "end" : result.value;
  }

  test("begin with how things stand, and follow", async () => {
    expect(await next()).toMatchObject([{ name: READER, present: true }]);
    daemon.readers = [{ name: READER }];
    daemon.signal();
    expect(await next()).toMatchObject([{ name: READER, present: false }]);
    daemon.readers = [];
    daemon.signal();
    expect(await next()).toEqual([]);
    daemon.readers = [{ name: READER }, { name: "Another" }];
    await until(() => daemon.waiting.size === 1);
    daemon.signal();
    expect(await next()).toHaveLength(2);
  });

  test("are told once, however often the daemon signals", async () => {
    await next();
    const pending = next();
    for (let signals = 0; signals < 5; signals++) {
      await until(() => daemon.waiting.size === 1);
      daemon.signal();
    }
    await until(() => daemon.waiting.size === 1);
    daemon.readers = [{ name: READER, events: 9 }];
    daemon.signal();
    expect(await pending).toMatchObject([{ events: 9 }]);
  });

  test("show a card that was swapped between two looks", async () => {
    await next();
    daemon.readers = [{ name: READER, atr: Uint8Array.of(0x3b, 0x00), events: 2 }];
    daemon.signal();
    expect(await next()).toMatchObject([{ events: 2, present: true }]);
  });

  test("survive the daemon, twice", async () => {
    await next();
    for (let round = 0; round < 2; round++) {
      await daemon.stop();
      expect(await next()).toEqual([]);
      const back = next();
      // For some attempts to connect.
      await sleep(120);
      await daemon.listen();
      expect(await back).toMatchObject([{ name: READER }]);
    }
  });

  test("end with the signal, whatever they wait for", async () => {
    await next();
    const pending = next();
    await until(() => daemon.waiting.size === 1);
    controller.abort();
    expect(await pending).toBe("end");
    await until(() => daemon.connections === 0);
  });

  test("end when the loop is left", async () => {
    for await (const readers of pcsc.changes()) {
      expect(readers).toHaveLength(1);
      break;
    }
    await until(() => daemon.connections === 0);
  });

  test("end when the consumer leaves while it waits", async () => {
    await next();
    const pending = next();
    await until(() => daemon.waiting.size === 1);
    expect(await changes.return?.()).toEqual({ done: true, value: undefined });
    expect(await pending).toBe("end");
    expect(await next()).toBe("end");
    await until(() => daemon.connections === 0);
  });

  test("end while there is no daemon", async () => {
    await daemon.stop();
    expect(await next()).toEqual([]);
    const pending = next();
    controller.abort();
    expect(await pending).toBe("end");
  });
});

describe("a daemon of 2.5 that signals in front of its answers", () => {
  test("is followed all the same", async () => {
    daemon.versions = [4, 5, 6];
    let disturb = true;
    daemon.on.events = ({ usual }) => {
      // The change comes after the registration and before the answer that the client waits for.
      if (disturb) {
        daemon.readers = [{ name: READER, events: 5 }];
        daemon.signal();
      }
      disturb = false;
      usual();
    };
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    expect((await changes.next()).value).toMatchObject([{ events: 5 }]);
    const pending = changes.next();
    await until(() => daemon.waiting.size === 1);
    daemon.readers = [];
    daemon.signal();
    expect((await pending).value).toEqual([]);
  });
});

test("any number of calls and retries leaves no listener behind", async () => {
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warn);
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 30 }, () => pcsc.readers()));
  for (let count = 0; count < 30; count++) {
    await using connection = await pcsc.connect(READER, { signal });
    await connection.transmit(COMMAND, { signal });
    for await (const readers of pcsc.changes({ signal })) if (readers.length > 0) break;
  }
  await turns(2);
  process.off("warning", warn);
  expect(warnings).toEqual([]);
});

test("an impossible version ends the changes with an error", async () => {
  daemon.versions = [3];
  const changes = pcsc.changes()[Symbol.asyncIterator]();
  expect((await failure(changes.next())).codeName).toBe("SCARD_E_UNSUPPORTED_FEATURE");
});

describe("a refusal at the door", () => {
  test("that comes twice ends the changes: this user may not use the daemon", async () => {
    daemon.on.version = ({ socket }) => socket.destroy();
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    const error = await failure(changes.next());
    expect(error.codeName).toBe("SCARD_W_SECURITY_VIOLATION");
    expect(error.message).toContain("polkit");
  });

  test("that comes once is that of a daemon that is stopping", async () => {
    let refused = 0;
    daemon.on.version = ({ socket, usual }) => {
      if (refused++ === 0) socket.destroy();
      else usual();
    };
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    expect((await changes.next()).value).toHaveLength(1);
    expect(refused).toBeGreaterThan(1);
  });

  test("is survived where the daemon answered before", async () => {
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    expect((await changes.next()).value).toHaveLength(1);
    let refused = 0;
    daemon.on.version = ({ socket, usual }) => {
      if (refused++ < 3) socket.destroy();
      else usual();
    };
    await daemon.stop();
    await daemon.listen();
    expect((await changes.next()).value).toEqual([]);
    expect((await changes.next()).value).toHaveLength(1);
    expect(refused).toBeGreaterThan(3);
  });
});

describe("a refusal at the question for a context", () => {
  test("by a hang-up names the refusal, and no card that was taken out", async () => {
    daemon.on.establish = ({ socket }) => socket.end();
    const error = await failure(pcsc.connect(READER));
    expect(error.codeName).toBe("SCARD_W_SECURITY_VIOLATION");
    expect(error.message).toContain("request for a context");
  });

  test("by its code likewise", async () => {
    daemon.on.establish = ({ body, socket }) =>
      socket.write(Buffer.concat([body.subarray(0, 4), words(0, 0x8010006a)]));
    expect((await failure(pcsc.connect(READER))).codeName).toBe("SCARD_W_SECURITY_VIOLATION");
  });

  test("is none where the daemon stops later", async () => {
    daemon.on.connect = ({ socket }) => socket.destroy();
    expect((await failure(pcsc.connect(READER))).codeName).toBe("SCARD_E_SERVICE_STOPPED");
  });
});

test("a process that closed everything ends by itself", async () => {
  const { spawn } = await import("node:child_process");
  const script = `
    import { Pcscd } from ${JSON.stringify(new URL("../../src/pcsc/index.ts", import.meta.url).href)};
    const pcsc = new Pcscd();
    const connection = await pcsc.connect(${JSON.stringify(READER)});
    await connection.transmit(new Uint8Array(4));
    for await (const readers of pcsc.changes()) break;
    void (async () => { for await (const readers of pcsc.changes()); })();
    await pcsc.readers();
    await pcsc.close();`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script], {
    env: { ...process.env, PCSCLITE_CSOCK_NAME: daemon.socket, NODE_OPTIONS: "" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  expect(await once(child, "exit")).toEqual([0, null]);
}, 20_000);
