import { equalBytes, fromHex, toHex } from "../bytes/index.ts";
import {
  type CardConnection,
  type InProcessCard,
  type Pcsc,
  PcscError,
  type ReaderState,
  SCARD_SHARE,
  type ScardErrorName,
} from "../pcsc/index.ts";
import { check, checkEqual, type ConformanceTest, errorText, failureOf } from "./check.ts";
import { ScriptedCard } from "./scripted-card.ts";

/** An implementation of {@link Pcsc}, and a reader to try it with. */
export interface PcscSubject {
  /** A new client; each is a program of its own. It waits `patience` milliseconds for another program's transaction. */
  open(patience: number): Promise<Pcsc>;
  /** A reader that is empty before and after each test. */
  readonly reader: string;
  /** Puts a card into the reader. */
  insert(card: InProcessCard): Promise<void>;
  /** Takes the card out of the reader. */
  remove(): Promise<void>;
  /** What the implementation cannot do; default: nothing. */
  readonly lacks?: readonly "transactions"[];
}

/** Milliseconds. */
const PATIENCE = 500;
const SETTLES_WITHIN = 10_000;
/** SELECT without data. */
const COMMAND = fromHex("00a40400");
const OK = fromHex("9000");

/** A card that answers each command with itself and 9000. */
const echo = (): ScriptedCard => new ScriptedCard((command) => Uint8Array.of(...command, ...OK));

/** Where a test has its clients from, and what it inserts. */
interface Bench {
  readonly reader: string;
  readonly client: () => Promise<Pcsc>;
  readonly insert: (card: InProcessCard) => Promise<void>;
  readonly remove: () => Promise<void>;
}

type Body = (bench: Bench) => Promise<void>;

/** What every implementation of {@link Pcsc} does: readers, connections, sharing, transactions, resets, removal, aborts. */
export function pcscSuite(subject: PcscSubject): readonly ConformanceTest[] {
  const hasTransactions = !(subject.lacks ?? []).includes("transactions");
  const tests = Object.entries<Body>({ ...TESTS, ...(hasTransactions && WITH_TRANSACTIONS) });
  return tests.map(([name, body]) => ({ name, run: () => runIn(subject, body) }));
}

async function runIn(subject: PcscSubject, body: Body): Promise<void> {
  const clients: Pcsc[] = [];
  let isIn = false;
  const client = async (): Promise<Pcsc> => {
    const opened = await subject.open(PATIENCE);
    clients.push(opened);
    return opened;
  };
  const watcher = await client();
  const remove = async (): Promise<void> => {
    if (!isIn) return;
    isIn = false;
    await subject.remove();
    await until(watcher, subject.reader, ({ present }) => !present);
  };
  const insert = async (card: InProcessCard): Promise<void> => {
    isIn = true;
    await subject.insert(card);
    await until(watcher, subject.reader, ({ present, atr }) => present && atr.length > 0);
  };
  try {
    await body({ reader: subject.reader, client, insert, remove });
  } finally {
    for (const opened of clients.slice(1)) await opened.close();
    await until(watcher, subject.reader, ({ sharing }) => sharing === 0 || sharing === undefined);
    await remove();
    await watcher.close();
  }
}

/** Waits until the reader is as `wanted` says. */
async function until(pcsc: Pcsc, name: string, wanted: (state: ReaderState) => boolean): Promise<void> {
  for await (const readers of pcsc.changes({ signal: AbortSignal.timeout(SETTLES_WITHIN) })) {
    const state = readers.find((reader) => reader.name === name);
    if (state && wanted(state)) return;
  }
  check(false, `reader "${name}" did not come to the state that was waited for within ${SETTLES_WITHIN} ms`);
}

async function checkCode(work: Promise<unknown>, code: ScardErrorName, what: string): Promise<void> {
  const error = await failureOf(work, what);
  check(error instanceof PcscError && error.is(code), `${what} fails with ${errorText(error)}, and not with ${code}`);
}

async function checkAnswer(connection: CardConnection, command: Uint8Array): Promise<void> {
  const answer = await connection.transmit(command);
  check(
    equalBytes(answer, Uint8Array.of(...command, ...OK)),
    `a command of ${command.length} bytes has an answer of ${answer.length} bytes that is not the card's`,
  );
}

const TESTS = {
  "an empty reader is listed": async ({ client, reader }) => {
    const state = (await (await client()).readers()).find(({ name }) => name === reader);
    check(state !== undefined, `reader "${reader}" is not listed`);
    checkEqual([state.present, toHex(state.atr)], [false, ""], "the empty reader's state");
  },

  "changes begin with the readers now, and tell of cards that come and go": async ({
    client,
    reader,
    insert,
    remove,
  }) => {
    const pcsc = await client();
    const seen: boolean[] = [];
    const watching = (async (): Promise<void> => {
      for await (const readers of pcsc.changes({ signal: AbortSignal.timeout(SETTLES_WITHIN) })) {
        const state = readers.find(({ name }) => name === reader);
        if (state && seen.at(-1) !== state.present) seen.push(state.present);
        if (seen.length === 3) return;
      }
    })();
    await insert(echo());
    await remove();
    await watching;
    // What happens before the first look is not told.
    checkEqual(seen.slice(-2), [true, false], "what changes() told");
  },

  "connecting needs the reader and a card": async ({ client, reader }) => {
    const pcsc = await client();
    await checkCode(pcsc.connect(reader), "SCARD_E_NO_SMARTCARD", "connecting without a card");
    await checkCode(pcsc.connect("No Such Reader 00 00"), "SCARD_E_UNKNOWN_READER", "connecting to no reader");
  },

  "a connection has the card's answer to reset and a protocol": async ({ client, reader, insert }) => {
    const card = echo();
    await insert(card);
    await using connection = await (await client()).connect(reader);
    checkEqual([connection.reader, toHex(connection.atr)], [reader, toHex(card.atr)], "reader and answer to reset");
    check(connection.protocol === 1 || connection.protocol === 2, `the protocol is ${connection.protocol}`);
  },

  "commands and answers of all lengths come through": async ({ client, reader, insert }) => {
    await insert(echo());
    await using connection = await (await client()).connect(reader);
    for (const length of [4, 5, 255, 261, 262, 4_096, 60_000]) {
      await checkAnswer(
        connection,
        Uint8Array.from({ length }, (_, index) => index % 251),
      );
    }
  },

  "no command is an error": async ({ client, reader, insert }) => {
    await insert(echo());
    await using connection = await (await client()).connect(reader);
    await checkCode(connection.transmit(new Uint8Array()), "SCARD_E_INVALID_PARAMETER", "an empty command");
    await checkAnswer(connection, COMMAND);
  },

  "calls made at once keep their order": async ({ client, reader, insert }) => {
    const card = echo();
    await insert(card);
    await using connection = await (await client()).connect(reader);
    const commands = Array.from({ length: 20 }, (_, index) => Uint8Array.of(0, index, 0, 0));
    const answers = await Promise.all(commands.map((command) => connection.transmit(command)));
    checkEqual(
      answers.map((answer) => answer[1]),
      commands.map((command) => command[1]),
      "the order of the answers",
    );
    checkEqual(
      card.received,
      commands.map((command) => toHex(command)),
      "the order of the commands",
    );
  },

  "two programs share a card": async ({ client, reader, insert }) => {
    await insert(echo());
    await using one = await (await client()).connect(reader);
    await using other = await (await client()).connect(reader);
    await checkAnswer(one, COMMAND);
    await checkAnswer(other, COMMAND);
    check(!(await one.alone()), "a connection is alone while another program is connected");
  },

  "an exclusive connection keeps other programs out": async ({ client, reader, insert }) => {
    await insert(echo());
    const other = await client();
    const exclusive = await (await client()).connect(reader, { share: SCARD_SHARE.EXCLUSIVE });
    await checkCode(other.connect(reader), "SCARD_E_SHARING_VIOLATION", "connecting beside an exclusive connection");
    await exclusive.disconnect();
    await using connection = await other.connect(reader);
    await checkAnswer(connection, COMMAND);
  },

  "a reset by another program is noticed, and taken up by reconnect": async ({ client, reader, insert }) => {
    const card = echo();
    await insert(card);
    await using one = await (await client()).connect(reader);
    await using other = await (await client()).connect(reader);
    const before = card.resets;
    await other.reconnect(1);
    check(card.resets > before, "reconnect(1) does not reset the card");
    await checkCode(one.transmit(COMMAND), "SCARD_W_RESET_CARD", "a command after another program's reset");
    await one.reconnect();
    await checkAnswer(one, COMMAND);
  },

  "a card that is taken out is noticed, even if another one is put in": async ({ client, reader, insert, remove }) => {
    await insert(echo());
    const pcsc = await client();
    await using connection = await pcsc.connect(reader);
    await remove();
    await checkCode(connection.transmit(COMMAND), "SCARD_W_REMOVED_CARD", "a command after the removal");
    await insert(echo());
    await checkCode(connection.transmit(COMMAND), "SCARD_W_REMOVED_CARD", "a command to the card that came after");
    await using again = await pcsc.connect(reader);
    await checkAnswer(again, COMMAND);
  },

  "a signal that was aborted before sends nothing": async ({ client, reader, insert }) => {
    const card = echo();
    await insert(card);
    const pcsc = await client();
    await using connection = await pcsc.connect(reader);
    const signal = AbortSignal.abort();
    await checkCode(connection.transmit(COMMAND, { signal }), "SCARD_E_CANCELLED", "an aborted command");
    await checkCode(pcsc.connect(reader, { signal }), "SCARD_E_CANCELLED", "an aborted connect");
    checkEqual(card.received, [], "what the card received");
    await checkAnswer(connection, COMMAND);
  },

  "an abort ends the wait, the command may be wiped, and the exchange is finished behind the caller": async ({
    client,
    reader,
    insert,
  }) => {
    const gate: { begun?: () => void; release?: () => void } = {};
    const begun = new Promise<void>((resolve) => (gate.begun = resolve));
    const released = new Promise<void>((resolve) => (gate.release = resolve));
    const card = new ScriptedCard(async (command) => {
      gate.begun?.();
      await released;
      return Uint8Array.of(...command, ...OK);
    });
    await insert(card);
    await using connection = await (await client()).connect(reader);
    const controller = new AbortController();
    const command = COMMAND.slice();
    const pending = checkCode(
      connection.transmit(command, { signal: controller.signal }),
      "SCARD_E_CANCELLED",
      "a command that is aborted under way",
    );
    await begun;
    controller.abort();
    await pending;
    command.fill(0);
    gate.release?.();
    await checkAnswer(connection, fromHex("00b00000"));
    checkEqual(card.received, [toHex(COMMAND), "00b00000"], "what the card received");
  },

  "disconnect may be called twice, and nothing can be sent after it": async ({ client, reader, insert }) => {
    await insert(echo());
    const connection = await (await client()).connect(reader);
    await connection.disconnect();
    await connection.disconnect();
    await checkCode(connection.transmit(COMMAND), "SCARD_E_INVALID_HANDLE", "a command after disconnect");
  },

  "close ends connections and iterations": async ({ client, reader, insert }) => {
    await insert(echo());
    const pcsc = await client();
    const connection = await pcsc.connect(reader);
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    await changes.next();
    await pcsc.close();
    await pcsc.close();
    while ((await changes.next()).done !== true);
    const error = await failureOf(connection.transmit(COMMAND), "a command after close");
    check(error instanceof PcscError, `a command after close fails with ${errorText(error)}, which is no PcscError`);
  },
} satisfies Readonly<Record<string, Body>>;

const WITH_TRANSACTIONS = {
  "a transaction keeps other programs waiting": async ({ client, reader, insert }) => {
    const card = echo();
    await insert(card);
    await using one = await (await client()).connect(reader);
    await using other = await (await client()).connect(reader);
    await one.begin();
    const waiting = other.transmit(fromHex("00b00000"));
    await checkAnswer(one, COMMAND);
    await one.end();
    await waiting;
    checkEqual(card.received, [toHex(COMMAND), "00b00000"], "the order of the commands");
  },

  "another program's transaction is not waited for longer than the patience": async ({ client, reader, insert }) => {
    await insert(echo());
    await using one = await (await client()).connect(reader);
    await using other = await (await client()).connect(reader);
    await one.begin();
    await checkCode(other.transmit(COMMAND), "SCARD_E_SHARING_VIOLATION", "a command during another's transaction");
    const signal = AbortSignal.timeout(PATIENCE / 5);
    await checkCode(other.begin({ signal }), "SCARD_E_CANCELLED", "an aborted wait for a transaction");
    await one.end();
    await checkAnswer(other, COMMAND);
  },

  "transactions nest, and end once for each beginning": async ({ client, reader, insert }) => {
    await insert(echo());
    await using connection = await (await client()).connect(reader);
    await connection.begin();
    await connection.begin();
    await connection.end();
    await connection.end();
    await checkCode(connection.end(), "SCARD_E_NOT_TRANSACTED", "the end of no transaction");
  },
} satisfies Readonly<Record<string, Body>>;
