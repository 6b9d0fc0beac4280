import { Deadline } from "../../src/async/index.ts";
import { CryptokiError } from "../../src/cryptoki/index.ts";
import { MemoryReaders, type Pcsc } from "../../src/pcsc/index.ts";
import { Caller } from "./caller.ts";
import type { Fault } from "./faults.ts";
import { randomFrom } from "./random.ts";
import type { Subject, SweptCard } from "./subject.ts";
import type { Work } from "./work.ts";

const READER = "Memory Reader";
/** Milliseconds for another program's transaction, on a machine that has other work to do. */
const PATIENCE = 20_000;
/** Far more than any run takes. */
const HANGS_AFTER = 120_000;

/** One fault at one exchange of one piece of work. */
export interface Run {
  readonly subject: Subject;
  readonly work: Work;
  readonly fault: Fault;
  /** Which exchange of the work, from 1. */
  readonly position: number;
  readonly seed: number;
}

export interface Outcome {
  /** What went wrong, if anything. The command that was struck stands behind it. */
  readonly failure?: string;
  /** The card was as before only after C_Reinitialize. */
  readonly reinitialised: boolean;
}

/** What an application sees and does on a healthy card. */
interface View {
  readonly tokens: string;
  readonly objects: readonly string[];
  readonly certificates: string;
  readonly uses: string;
}

/** What a subject and a piece of work are without faults. */
interface Healthy {
  readonly view: View;
  readonly result: string;
  readonly exchanges: number;
}

/** A card in a reader, where one exchange may go wrong. */
class Bench {
  readonly card: SweptCard;
  readonly pcsc: Pcsc;
  readonly #readers = new MemoryReaders();
  /** Exchanges since the work began. */
  exchanges = 0;
  /** What was struck, hexadecimal. */
  struck = "";
  #fault: ((command: Uint8Array) => Promise<Uint8Array>) | undefined;
  #position = 0;
  #previous: Uint8Array = new Uint8Array();

  constructor(subject: Subject) {
    this.card = subject.make();
    this.#readers.plug(READER);
    this.#readers.insert(READER, {
      atr: this.card.atr,
      reset: () => {
        this.card.reset();
      },
      transmit: (command) => this.#transmit(command),
    });
    this.pcsc = this.client();
  }

  /** Another program's way to the readers. */
  client(): Pcsc {
    return this.#readers.client({ patience: PATIENCE });
  }

  strikeAt(position: number, { fault, seed, subject, work }: Run, abort: () => void): void {
    this.exchanges = 0;
    this.#position = position;
    const random = randomFrom(`${seed} ${subject.name} ${work.name} ${fault.name} ${position}`);
    this.#fault = (command) =>
      fault.strike({
        command,
        previous: this.#previous,
        perform: () => this.card.transmit(command),
        resetCard: () => {
          this.card.reset();
        },
        abort,
        random,
      });
  }

  heal(): void {
    this.#fault = undefined;
  }

  async #transmit(command: Uint8Array): Promise<Uint8Array> {
    this.exchanges++;
    if (this.#fault && this.exchanges === this.#position) {
      this.struck = Buffer.from(command.subarray(0, 12)).toString("hex");
      return this.#fault(command);
    }
    const answer = await this.card.transmit(command);
    this.#previous = answer.slice();
    return answer;
  }
}

const healthy = new Map<string, Promise<Healthy>>();

/** What a piece of work does without faults; done once in a process. */
export function withoutFaults(subject: Subject, work: Work): Promise<Healthy> {
  const key = `${subject.name} ${work.name}`;
  const known = healthy.get(key) ?? measure(subject, work);
  healthy.set(key, known);
  return known;
}

async function measure(subject: Subject, work: Work): Promise<Healthy> {
  const bench = new Bench(subject);
  await using caller = new Caller(bench.pcsc, subject);
  await caller.cryptoki.C_Initialize();
  const step = await work.prepare({ caller, subject, card: bench.card });
  bench.exchanges = 0;
  const result = await step();
  const { exchanges } = bench;
  // The view is that of the card before it was changed.
  const untouched = new Bench(subject);
  await using other = new Caller(untouched.pcsc, subject);
  await other.cryptoki.C_Initialize();
  return { view: await look(other, untouched.card), result, exchanges };
}

/** All that can be seen and used, by a user who logs in. */
async function look(caller: Caller, card: SweptCard): Promise<View> {
  const tokens = await caller.tokens();
  await caller.ensureLogin(card.pin());
  const objects = [...(await caller.objects())].sort();
  const certificates = await caller.certificates();
  return { tokens, objects, certificates, uses: await caller.useKeys() };
}

/** Does the work with its fault, and then looks whether the card is as before. */
export async function perform(run: Run): Promise<Outcome> {
  const bench = new Bench(run.subject);
  const late = new Deadline(HANGS_AFTER);
  let outcome: Outcome;
  try {
    outcome = await late.race(strike(run, bench), () => new Error("the run hangs"));
  } catch (error) {
    outcome = { failure: `the run itself failed: ${say(error)}`, reinitialised: false };
  }
  return outcome.failure === undefined ? outcome : { ...outcome, failure: `${outcome.failure} [${bench.struck}]` };
}

async function strike(run: Run, bench: Bench): Promise<Outcome> {
  const { subject, work, position } = run;
  const expected = await withoutFaults(subject, work);
  const caller = new Caller(bench.pcsc, subject);
  try {
    await caller.cryptoki.C_Initialize();
    const step = await work.prepare({ caller, subject, card: bench.card });
    const triesBefore = bench.card.tries();
    bench.strikeAt(position, run, () => {
      caller.abort();
    });
    const during = await attempt(step);
    bench.heal();
    caller.renewSignal();
    const spent = triesBefore - bench.card.tries();
    const failure =
      judge(run, during, expected) ?? (spent > (work.spends ?? 0) ? `${spent} PIN tries spent` : undefined);
    if (failure !== undefined) return { failure, reinitialised: false };
    return await compare(run, bench, caller, expected.view);
  } finally {
    await caller[Symbol.asyncDispose]();
  }
}

type Attempt = { readonly result: string } | { readonly error: unknown };

async function attempt(step: () => Promise<string>): Promise<Attempt> {
  try {
    return { result: await step() };
  } catch (error) {
    return { error };
  }
}

/** Return values that an accident never has: a wrong PIN, a card of an unknown kind, a mistake of this library. */
const NEVER = new Set(["CKR_GENERAL_ERROR", "CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_TOKEN_NOT_RECOGNIZED"]);

/** Whether the work that was struck went as it may. */
function judge({ fault, work }: Run, during: Attempt, { result }: Healthy): string | undefined {
  if ("result" in during) {
    const lines = during.result.split("\n");
    // After a reset no user is logged in, and no private objects are visible.
    const isRight =
      work.partly || fault.resets ? lines.every((line) => result.split("\n").includes(line)) : during.result === result;
    const isWrong = fault.kind === "accident" && !isRight;
    return isWrong ? `the struck work gives another result: ${difference(result, during.result)}` : undefined;
  }
  const { error } = during;
  if (!(error instanceof CryptokiError)) {
    // The test's own: an object is missing, which only an answer explains, or that a reset ended the login.
    return fault.kind === "accident" && !fault.resets ? `the struck work: ${say(error)}` : undefined;
  }
  if (error.code === "CKR_GENERAL_ERROR") return `a foreign error: ${say(error.cause)}`;
  // So cards say that the data of a VERIFY are wrong, and libcacard that the PIN is: no try is spent here.
  if ((fault.name === "6A80" || fault.name === "6985") && error.code === "CKR_PIN_INCORRECT") return undefined;
  if (fault.kind === "accident" && NEVER.has(error.code) && work.spends === undefined)
    return `the struck work: ${say(error)}`;
  return undefined;
}

/** Looks at the healthy card. */
async function compare(run: Run, bench: Bench, caller: Caller, before: View): Promise<Outcome> {
  const { subject, work, fault } = run;
  const first = await lookAgain(run, bench, caller);
  const wanted = work.writes ? await freshView(bench, subject) : before;
  const lost = work.writes ? lostIn(wanted, before, work) : undefined;
  // A card that says that it wrote what it did not, or gives another file for the one that is written to, cannot be helped.
  if (lost !== undefined && fault.kind === "lie") return { reinitialised: true };
  if (lost !== undefined) return { failure: lost, reinitialised: false };
  const failure = differences(first, wanted);
  if (failure === undefined) return { reinitialised: false };
  if (fault.kind === "accident" || fault.kind === "garbled")
    return { failure: `afterwards: ${failure}`, reinitialised: false };
  try {
    const [slot] = await caller.cryptoki.C_GetSlotList(false);
    await caller.cryptoki.C_Reinitialize(slot ?? 0);
  } catch (error) {
    return { failure: `C_Reinitialize: ${say(error)}, after: ${failure}`, reinitialised: true };
  }
  const again = differences(await lookAgain(run, bench, caller), wanted);
  return again === undefined
    ? { reinitialised: true }
    : { failure: `after C_Reinitialize: ${again}`, reinitialised: true };
}

/** The error for a caller that is not logged in any more: private objects have gone with the login. */
const LOGGED_OUT = new Set(["CKR_USER_NOT_LOGGED_IN", "CKR_OBJECT_HANDLE_INVALID", "CKR_KEY_HANDLE_INVALID"]);

/** A login may have ended with the fault; the caller then logs in again and goes on. */
async function lookAgain({ fault, work }: Run, bench: Bench, caller: Caller): Promise<View | Error> {
  const mayEndLogin = fault.resets ?? (fault.kind !== "accident" || /login|logout|PIN|beginning/u.test(work.name));
  try {
    return await look(caller, bench.card);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!mayEndLogin || !(error instanceof CryptokiError) || !LOGGED_OUT.has(error.code)) return error;
  }
  try {
    return await look(caller, bench.card);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error;
  }
}

/** As another program sees the card, which knows nothing from before. */
async function freshView(bench: Bench, subject: Subject): Promise<View | Error> {
  await using caller = new Caller(bench.client(), subject);
  await caller.cryptoki.C_Initialize();
  try {
    return await look(caller, bench.card);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error;
  }
}

/** Work that fails half way harms nothing that was there. */
function lostIn(now: View | Error, before: View, work: Work): string | undefined {
  if (now instanceof Error) return `the card itself is broken: ${say(now)}`;
  const missing = before.objects.filter((object) => !now.objects.includes(object));
  const may = work.name === "delete" || work.name === "change a label" ? 3 : 0;
  return missing.length > may ? `lost on the card: ${missing.join(", ")}` : undefined;
}

function differences(view: View | Error, wanted: View | Error): string | undefined {
  if (wanted instanceof Error) return `the card itself is broken: ${say(wanted)}`;
  if (view instanceof Error) return say(view);
  for (const part of ["tokens", "objects", "certificates", "uses"] as const) {
    const [seen, right] = [String(view[part]), String(wanted[part])];
    if (seen !== right) return `other ${part}: ${difference(right, seen)}`;
  }
  return undefined;
}

function difference(right: string, seen: string): string {
  const split = (text: string): readonly string[] => text.split(/[\n,]/u);
  const missing = split(right).filter((line) => !split(seen).includes(line));
  const added = split(seen).filter((line) => !split(right).includes(line));
  return `missing ${JSON.stringify(missing)}, added ${JSON.stringify(added)}`.slice(0, 300);
}

function say(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` <- ${error.cause.name}: ${error.cause.message}` : "";
  return `${error.name}: ${error.message}${cause}`;
}
