/**
 * How many APDUs the command takes, and a client of `serve`. The cards are in the memory of this process: what is counted does not depend
 * on the way to them.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { toHex, utf8 } from "../src/bytes/index.ts";
import { run } from "../src/cli/program.ts";
import { Cryptoki, MemoryReaders, profiles } from "../src/index.ts";
import { P11KitModule, P11KitServer } from "../src/p11kit/index.ts";
import { saveCard, type VirtualPivCard, type VirtualPkcs15Card } from "../src/virtual/index.ts";
import { PIN } from "./cards.ts";
import { CountingCard } from "./counting-card.ts";
import type { CountedRow, CountedTable } from "./report.ts";
import { Walk } from "./walk-calls.ts";

/** The cards: the one of {@link CardFactory}, and the virtual one with two PINs. Their PIN is {@link PIN}. */
export interface CommandCards {
  readonly piv: () => Promise<VirtualPivCard>;
  readonly pkcs15: () => Promise<VirtualPkcs15Card>;
}
type CardName = keyof CommandCards;

/** A command line, and how many APDUs it may take from its start to its end, the logout too. */
interface CommandRow {
  readonly card: CardName;
  readonly args: readonly string[];
  readonly budget: number;
}

const LETTER = "letter";

export const COMMAND_ROWS: readonly CommandRow[] = [
  { card: "piv", args: ["tokens"], budget: 4 },
  { card: "piv", args: ["objects"], budget: 18 },
  { card: "piv", args: ["sign", "--id", "01", LETTER], budget: 10 },
  { card: "piv", args: ["sign", "--id", "02", LETTER], budget: 8 },
  { card: "pkcs15", args: ["tokens"], budget: 9 },
  { card: "pkcs15", args: ["objects"], budget: 23 },
  { card: "pkcs15", args: ["sign", "--id", "01", LETTER], budget: 14 },
];

/** Runs each command line on a card just made. */
export async function countCommandRows(cards: CommandCards): Promise<CountedTable> {
  const folder = await mkdtemp(path.join(tmpdir(), "command-"));
  try {
    await writeFile(path.join(folder, LETTER), "a letter");
    const rows: CountedRow[] = [];
    for (const { card, args, budget } of COMMAND_ROWS) {
      const file = path.join(folder, "card.json");
      await saveCard(await cards[card](), file);
      const placed = args.map((arg) => (arg === LETTER ? path.join(folder, LETTER) : arg));
      const count = await exchangesOf(["--virtual", file, ...placed], path.join(folder, "recording"));
      rows.push({ title: `${NAMES[card]}: \`${args.join(" ")}\``, budget, counts: { cryptoki: count } });
    }
    return { title: "The command, from start to end", rows };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const NAMES: Readonly<Record<CardName, string>> = { piv: "PIV", pkcs15: "PKCS #15" };

/** The exchanges of a command line, which it records in a file. */
async function exchangesOf(args: readonly string[], recording: string): Promise<number> {
  const output = new PassThrough();
  const errors = new PassThrough();
  const { signal } = new AbortController();
  const given = { stdin: new PassThrough().end(), stdout: output, stderr: errors, env: { CRYPTOKI_PIN: PIN }, signal };
  const code = await run(["--record", recording, "--force", ...args], given);
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${code}: ${String(errors.read())}`);
  const lines = (await readFile(recording, "utf8")).split("\n");
  return lines.filter((line) => line.includes('"kind":"transmit"')).length;
}

/** Work as {@link Walk} takes it, for a client of a server and for an application in this process. */
interface ServedRow {
  readonly title: string;
  readonly card: CardName;
  readonly work: readonly string[];
  readonly budget: number;
}

const CKM_SHA256_RSA_PKCS = "0x40";
const signRsa = ["sign", "01", CKM_SHA256_RSA_PKCS, toHex(utf8("data to be signed")), "1"];

export const SERVED_ROWS: readonly ServedRow[] = [
  { title: "list", card: "piv", work: ["list"], budget: 4 },
  { title: "objects", card: "piv", work: ["objects"], budget: 17 },
  { title: "sign, RSA-2048", card: "piv", work: signRsa, budget: 10 },
  { title: "list", card: "pkcs15", work: ["list"], budget: 9 },
  { title: "sign, RSA-2048", card: "pkcs15", work: signRsa, budget: 12 },
];

/** Does each piece of work by a client of a server, and in this process; the server's applications are as `serve` makes them. */
export async function countServedRows(cards: CommandCards): Promise<CountedTable> {
  const rows: CountedRow[] = [];
  for (const { title, card, work, budget } of SERVED_ROWS) {
    const served = await exchangesOfWork(await cards[card](), work, true);
    const inProcess = await exchangesOfWork(await cards[card](), work, false);
    rows.push({ title: `${NAMES[card]}: ${title}`, budget, counts: { cryptoki: served, "in process": inProcess } });
  }
  return { title: "A client of `serve`, and an application in one process", rows };
}

async function exchangesOfWork(
  card: VirtualPivCard | VirtualPkcs15Card,
  work: readonly string[],
  served: boolean,
): Promise<number> {
  const counting = new CountingCard(card);
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", counting);
  const pcsc = readers.client();
  const folder = await mkdtemp(path.join(tmpdir(), "served-"));
  try {
    const { slots } = new Cryptoki({ pcsc, profiles });
    let count = 0;
    // What comes after the work, as the logout, counts nowhere.
    const done = (): Promise<void> => {
      count = counting.take().length;
      return Promise.resolve();
    };
    const options = { done, pin: PIN };
    if (!served) await new Walk(new Cryptoki({ slots }), options).run(work);
    else {
      const socket = path.join(folder, "socket");
      await using server = await P11KitServer.listen(socket, { application: () => new Cryptoki({ slots }) });
      await using module = new P11KitModule({ address: server.address ?? "" });
      await new Walk(module, options).run(work);
    }
    return count;
  } finally {
    await pcsc.close();
    await rm(folder, { recursive: true });
  }
}
