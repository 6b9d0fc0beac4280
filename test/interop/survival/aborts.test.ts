import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { pause } from "../../../src/async/index.ts";
import { Cryptoki, CryptokiError, Pcscd, profiles } from "../../../src/index.ts";
import { report, SeededRandom } from "../../seeded-random.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { OtherProgram } from "./other-program.ts";
import { Client, type KnownKey, WrongResult } from "./program.ts";
import { SharedCard } from "../../virtual/shared-card.ts";
import { pivSubject, type Subject } from "./subjects.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(1_800_000);

/** Calls that an abort ends; others end before it comes. */
const ABORTS = 300;
const MOST_OPERATIONS = 3_000;
/** Commands and turns of the event loop after which a call is aborted at the latest. */
const LATEST = { command: 3, turn: 12 };
/** Milliseconds for which the card holds back an answer at most, while the call that was aborted ought to end. */
const LONGEST_HOLD = 5_000;

const nothingBetween = (): Promise<void> => Promise.resolve();

/** When a call is aborted. */
type Moment =
  { readonly at: "turn" | "command"; readonly number: number } | { readonly at: "exchange"; readonly number: number };

interface Operation {
  readonly name: string;
  /** It has a C_Login of its own: if that is cancelled, the operation is still active. */
  readonly consent?: boolean;
  run(): Promise<void>;
}

describe("calls that are aborted over pcscd", () => {
  let subject: Subject;
  let card: SharedCard;
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let applications: readonly Cryptoki[];
  let clients: readonly Client[];
  let otherProgram: OtherProgram;
  let signingKey: KnownKey;

  beforeAll(async () => {
    subject = await pivSubject();
    card = new SharedCard(subject.card);
    plugged = await plugIn(card, "Virtual PCD");
    pcsc = new Pcscd();
    const first = new Cryptoki({ pcsc, profiles });
    applications = [first, new Cryptoki({ slots: first.slots })];
    const [token] = subject.tokens;
    const [key] = token?.keys ?? [];
    if (!token || !key) throw new Error("no token");
    signingKey = key;
    clients = await Promise.all(
      applications.map(async (application) => {
        await application.C_Initialize();
        const [slot = -1] = await application.C_GetSlotList(true);
        const client = new Client(application, slot, token);
        await client.enter();
        return client;
      }),
    );
    otherProgram = await OtherProgram.start(token.pin, key.id, key.publicKey);
  });
  afterAll(async () => {
    for (const application of applications) await application.C_Finalize();
    await otherProgram[Symbol.asyncDispose]();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
  });

  function chooseOperation(random: SeededRandom, client: Client): Operation {
    const kind = random.below(8);
    if (kind === 0) return { name: "login", run: () => client.loginAgain(nothingBetween) };
    if (kind === 1) return { name: "reading", run: () => client.readPrivateData(nothingBetween) };
    const key = random.pick(subject.tokens[0]?.keys ?? []);
    const other = random.chance(0.5);
    switch (random.pick(key.uses)) {
      case "sign":
        return {
          name: `signature with ${key.id}`,
          consent: key.consent === true,
          run: () => client.sign(key, other, nothingBetween),
        };
      case "decrypt":
        return { name: `decryption with ${key.id}`, run: () => client.decrypt(key, other, nothingBetween) };
      case "agree":
        return { name: `agreement with ${key.id}`, run: () => client.agree(key, nothingBetween) };
    }
  }

  function chooseMoment(random: SeededRandom): Moment {
    const at = random.pick(["turn", "command", "exchange"] as const);
    return { at, number: 1 + random.below(at === "turn" ? LATEST.turn : LATEST.command) };
  }

  /**
   * Runs an operation and aborts it at a moment.
   * @returns What went wrong, if anything; whether the operation was cancelled.
   */
  async function runAborted(
    client: Client,
    run: () => Promise<void>,
    moment: Moment,
  ): Promise<{ readonly wrong?: string; readonly cancelled: boolean }> {
    const abort = new AbortController();
    const exchange = { outlasted: false };
    const operation = (async (): Promise<void> => {
      client.signal = abort.signal;
      try {
        await run();
      } finally {
        client.signal = undefined;
      }
    })();
    const ended = operation.catch(() => undefined);
    if (moment.at === "turn") {
      for (let turn = 0; turn < moment.number; turn++) await nextTurn();
      abort.abort();
    } else {
      const last = card.received + moment.number;
      card.onCommand = async () => {
        if (card.received < last) return;
        card.onCommand = undefined;
        abort.abort();
        if (moment.at === "command") return;
        // The answer comes only after the caller's wait has ended: it must not wait for it.
        const done = new AbortController();
        const given = pause(LONGEST_HOLD, done.signal).then(
          () => true,
          () => false,
        );
        void ended.then(() => {
          done.abort();
        });
        exchange.outlasted = await given;
      };
    }
    try {
      await operation;
      return { cancelled: false };
    } catch (error) {
      const cancelled = error instanceof CryptokiError && error.code === "CKR_FUNCTION_CANCELED";
      if (exchange.outlasted) return { cancelled, wrong: "the caller waited for the exchange that was under way" };
      return cancelled ? { cancelled } : { cancelled, wrong: String(error) };
    } finally {
      card.onCommand = undefined;
    }
  }

  test(`${ABORTS} aborts: the next call of every program succeeds, and no login is lost`, async () => {
    const random = new SeededRandom();
    const counts = { operations: 0, cancelled: 0, wrong: 0 };
    const wrong: string[] = [];
    for (let number = 0; counts.cancelled < ABORTS && number < MOST_OPERATIONS; number++) {
      counts.operations++;
      const index = random.below(clients.length);
      const [client, other] = [clients[index], clients[1 - index]];
      if (!client || !other) throw new Error("no client");
      const operation = chooseOperation(random, client);
      const { name } = operation;
      const moment = chooseMoment(random);
      const course = `${number} ${name}, aborted at ${moment.at} ${moment.number}`;
      const outcome = await runAborted(client, () => operation.run(), moment);
      if (outcome.cancelled) counts.cancelled++;
      if (outcome.wrong !== undefined) wrong.push(`${course}: ${outcome.wrong}`);
      if (outcome.cancelled && operation.consent === true) await client.cancelOperations();
      // Whose login was aborted has none now; everybody else still has.
      const again = outcome.cancelled && name === "login" ? client.enter().then(() => undefined) : Promise.resolve();
      const [same, otherApplication, otherProcess] = await Promise.all([
        again.then(() => failureOf(client.sign(signingKey, false, nothingBetween)), String),
        failureOf(other.sign(signingKey, false, nothingBetween)),
        otherProgram.sign(),
      ]);
      if (same !== undefined) wrong.push(`${course}: then the same application: ${same}`);
      if (otherApplication !== undefined) wrong.push(`${course}: then the other application: ${otherApplication}`);
      if (otherProcess !== "ok") wrong.push(`${course}: then the other program: ${otherProcess}`);
      if (same !== undefined) await client.enter().catch(() => undefined);
      if (otherApplication !== undefined) await other.enter().catch(() => undefined);
    }
    counts.wrong = wrong.length;
    report("aborts", random, counts);
    expect(wrong).toEqual([]);
    expect(counts.cancelled).toBe(ABORTS);
  });
});

async function failureOf(work: Promise<void>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof WrongResult ? `wrong: ${error.message}` : String(error);
  }
}
