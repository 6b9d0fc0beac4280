import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Cryptoki, CryptokiError, Pcscd, profiles } from "../../../src/index.ts";
import { requirePrograms } from "../rig/require.ts";
import { report, SeededRandom } from "../../seeded-random.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { type Between, Client, type PublicContents, readAsNewProgram, WrongResult } from "./program.ts";
import { SharedCard } from "../../virtual/shared-card.ts";
import { cacSubject, pivSubject, pkcs15Subject, type Subject } from "./subjects.ts";
import { type Act, Visitor } from "./visitor.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(1_800_000);

const SUBJECTS = [
  { profile: "PIV", make: pivSubject, operations: 180 },
  { profile: "PKCS #15", make: pkcs15Subject, operations: 180 },
  { profile: "CAC", make: cacSubject, operations: 140 },
];
const REFUSALS = ["CKR_USER_NOT_LOGGED_IN", "CKR_DEVICE_REMOVED"];
/** Commands after which a visitor comes at the latest, counted from the beginning of an operation. */
const LATEST = 12;

interface Operation {
  readonly name: string;
  /** Whose login it wants, if any. */
  readonly client?: number;
  readonly logsIn?: boolean;
  run(between: Between): Promise<void>;
}

describe.each(SUBJECTS)("$profile, while others come and go", ({ profile, make, operations }) => {
  let subject: Subject;
  let card: SharedCard;
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let clients: readonly Client[];
  let visitor: Visitor;
  let undisturbed: PublicContents;

  beforeAll(async () => {
    requirePrograms("opensc-tool");
    subject = await make();
    card = new SharedCard(subject.card);
    plugged = await plugIn(card, "Virtual PCD");
    pcsc = new Pcscd({ patience: 600_000 });
    cryptoki = new Cryptoki({ pcsc, profiles });
    await cryptoki.C_Initialize();
    const slots = await cryptoki.C_GetSlotList(true);
    clients = subject.tokens.map((token) => new Client(cryptoki, slots[token.index] ?? -1, token));
    const [reader] = await pcsc.readers();
    visitor = new Visitor(reader?.name ?? "");
    undisturbed = await readAsNewProgram(() => Promise.resolve());
  });
  afterAll(async () => {
    await cryptoki.C_Finalize();
    await visitor[Symbol.asyncDispose]();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
    await subject[Symbol.asyncDispose]();
  });

  function choose(random: SeededRandom): Operation {
    const index = random.below(clients.length);
    const client = clients[index];
    const token = subject.tokens[index];
    if (!client || !token) throw new Error("no token");
    const kind = random.below(10);
    if (kind === 0) {
      return {
        name: "a new program reads certificates and UpdateCount",
        run: async (between) => {
          expectContents(await readAsNewProgram(between), subject.certificates, undisturbed);
        },
      };
    }
    if (kind === 1) {
      const name = "logout and login";
      return { name, client: index, logsIn: true, run: (between) => client.loginAgain(between) };
    }
    if (kind === 2 && token.privateData) {
      const name = `reads ${token.privateData.label}`;
      return { name, client: index, run: (between) => client.readPrivateData(between) };
    }
    const key = random.pick(token.keys);
    const use = random.pick(key.uses);
    const other = random.chance(0.5);
    const name = `${use} with ${key.id}${other ? ", the other padding" : ""}`;
    switch (use) {
      case "sign":
        return { name, client: index, run: (between) => client.sign(key, other, between) };
      case "decrypt":
        return { name, client: index, run: (between) => client.decrypt(key, other, between) };
      case "agree":
        return { name, client: index, run: (between) => client.agree(key, between) };
    }
  }

  test(`${operations} operations end with their own keys' and files' results`, async () => {
    const random = new SeededRandom();
    const counts = { operations, visits: 0, refused: 0, wrong: 0 };
    const wrong: string[] = [];
    /** Of each login, whether a visitor may have ended it. */
    const doubtful = clients.map(() => false);
    for (const client of clients) await client.enter();

    for (let number = 0; number < operations; number++) {
      const operation = choose(random);
      const visits: Act[] = [];
      const course: string[] = [];
      const underWay: Promise<void>[] = [];
      const visit = (when: string, act: Act): Promise<void> => {
        counts.visits++;
        visits.push(act);
        course.push(`${when}: ${act.name}`);
        if (act.dropsLogin === true) doubtful.fill(true);
        const visiting = visitor.visit(act);
        underWay.push(visiting);
        // Its failure is looked at when the operation has ended.
        visiting.catch(() => undefined);
        return visiting;
      };
      const sometimes = async (when: string): Promise<void> => {
        if (random.chance(0.4)) await visit(when, random.pick(subject.acts));
      };

      await sometimes("before");
      if (random.chance(0.5)) {
        const act = random.pick(subject.acts);
        const moment = card.received + 1 + random.below(LATEST);
        card.onCommand = () => {
          if (card.received < moment) return;
          card.onCommand = undefined;
          void visit(`at command ${moment}`, act);
        };
      }
      const outcome = await outcomeOf(operation.run(() => sometimes("between")));
      card.onCommand = undefined;
      for (const failed of (await Promise.allSettled(underWay)).filter(({ status }) => status === "rejected")) {
        wrong.push(
          `${number} ${operation.name}: a visitor failed: ${String((failed as PromiseRejectedResult).reason)}`,
        );
      }
      const { client = -1 } = operation;
      if (outcome === undefined) {
        if (operation.logsIn === true && !visits.some(({ dropsLogin }) => dropsLogin)) doubtful[client] = false;
        continue;
      }

      const excused = REFUSALS.includes(outcome) && (doubtful[client] ?? doubtful.includes(true));
      if (excused) counts.refused++;
      else wrong.push(`${number} ${operation.name} [${course.join("; ")}]: ${outcome}`);
      // With a new login, and without other programs, it succeeds.
      const again = await outcomeOf(recover(operation, outcome));
      if (again !== undefined) {
        wrong.push(`${number} ${operation.name} [${course.join("; ")}]: ${outcome}, and after a new login: ${again}`);
        // What is wrong here is not to be counted at the next operation again.
        await clients[client]?.enter().catch(() => undefined);
      }
      if (client >= 0) doubtful[client] = false;
    }

    counts.wrong = wrong.length;
    report(`visitors, ${profile}`, random, counts);
    expect({ wrong, strayPins: strayPins(card) }).toEqual({ wrong: [], strayPins: [] });
  });

  async function recover(operation: Operation, outcome: string): Promise<void> {
    if (operation.client !== undefined) {
      const wasLoggedIn = await clients[operation.client]?.enter();
      if (wasLoggedIn === true && outcome === "CKR_USER_NOT_LOGGED_IN") {
        throw new WrongResult("the user counts as logged in after CKR_USER_NOT_LOGGED_IN");
      }
    }
    await operation.run(() => Promise.resolve());
  }
});

/** Undefined if all went well; the name of the error otherwise, and what is wrong if the result is. */
async function outcomeOf(operation: Promise<void>): Promise<string | undefined> {
  try {
    await operation;
    return undefined;
  } catch (error) {
    if (error instanceof CryptokiError) return REFUSALS.includes(error.code) ? error.code : error.message;
    if (error instanceof WrongResult) return `wrong: ${error.message}`;
    return String(error);
  }
}

/** Commands with a PIN in them that reached another application, or that the card refused. */
function strayPins({ pinCommands }: SharedCard): string[] {
  const stray = pinCommands.filter(({ application, status }) => application !== "own" || status !== "9000");
  return stray.map(({ application, command, status }) => `${command} at ${application}: ${status}`);
}

function expectContents(read: PublicContents, certificates: readonly string[], undisturbed: PublicContents): void {
  if (read.certificates.join() !== certificates.join()) throw new WrongResult("other certificates");
  if (read.updateCounts.join() !== undisturbed.updateCounts.join()) {
    throw new WrongResult(`UpdateCount ${read.updateCounts.join()}, not ${undisturbed.updateCounts.join()}`);
  }
}
