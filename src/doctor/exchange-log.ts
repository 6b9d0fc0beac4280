import type { TraceEvent } from "../apdu/index.ts";
import { fromHex, toHex } from "../bytes/index.ts";
import type { Check, Examination } from "./examination.ts";

export const EXCHANGE_CHECKS = {
  EXTENDED: {
    name: "extended-length-refused",
    level: "defect",
    section: "ISO/IEC 7816-4 section 12.1.1.9, table 119; ISO/IEC 7816-3 section 12.1.3",
    consequence: "The card promises long commands and refuses them. Programs that rely on them fail.",
    remedy: "This driver sends the command again in short form. If another reader does better, it is the reader.",
  },
  CHAINING: {
    name: "chaining-refused",
    level: "defect",
    section: "ISO/IEC 7816-4 section 5.3.3",
    consequence: "What no short command holds reaches the card only with extended length, which not every reader has.",
    remedy: "Use a reader with extended length.",
  },
  GET_RESPONSE: {
    name: "get-response-refused",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.7.1",
    consequence: "Answers of more than 256 bytes reach the program only with extended length.",
    remedy: "Use a reader with extended length.",
  },
  LOGOUT: {
    name: "logout-refused",
    level: "note",
    section: "ISO/IEC 7816-4 section 11.6.6 (VERIFY with P1 = FF); SP 800-73-4 part 2 section 3.2.1",
    consequence: "The card forgets a verified PIN only when it is reset, which other programs notice.",
    remedy: "This driver resets the card at a logout where that disturbs nobody else's login.",
  },
} as const satisfies Record<string, Check>;

const VERIFY = 0x20;
const GET_RESPONSE = 0xc0;
const FORGET = 0xff;
/** OpenSC, card-myeid.c, myeid_logout. */
const LOGOUT_OF_MYEID = 0x2e;

interface Exchange {
  /** Class, instruction, P1, P2. */
  readonly header: Uint8Array;
  /** Whether the length fields are extended; false where secret bytes conceal them. */
  readonly extended: boolean;
  /** Bytes behind the header; undefined where they are concealed. */
  readonly rest: number | undefined;
  /** Undefined where the reader gave no answer. */
  readonly sw: number | undefined;
}

/** What was said to the card during an examination, without its secrets: it tells how the card answers, at no cost. */
export class ExchangeLog {
  readonly #exchanges: Exchange[] = [];

  /** Takes the events of a trace. */
  readonly sink = (event: TraceEvent): void => {
    const [shown = ""] = event.command.split("*");
    const command = fromHex(shown.slice(0, shown.length & ~1));
    const concealed = shown.length !== event.command.length;
    const sw = event.answer.slice(-4);
    this.#exchanges.push({
      header: command.subarray(0, 4),
      extended: !concealed && command.length > 6 && command[4] === 0,
      rest: concealed ? undefined : command.length - 4,
      sw: /^[0-9a-f]{4}$/iu.test(sw) ? Number.parseInt(sw, 16) : undefined,
    });
  };

  /** The last answer to an empty VERIFY of each PIN reference. */
  pinStatuses(): ReadonlyMap<number, number> {
    const statuses = new Map<number, number>();
    for (const { header, rest, sw } of this.#exchanges) {
      const [, ins, p1, reference = 0] = header;
      if (ins === VERIFY && p1 === 0 && (rest === 0 || rest === 1) && sw !== undefined) statuses.set(reference, sw);
    }
    return statuses;
  }

  /** How the card takes commands of whatever application. */
  examine(examination: Examination): void {
    this.#examineExtended(examination);
    for (const { header, sw } of this.#exchanges) {
      if (sw !== CHAINING_REFUSED) continue;
      examination.found(EXCHANGE_CHECKS.CHAINING, "card", `It answers 6884 to a command in parts: ${toHex(header)}.`);
      break;
    }
    const refuses = (ins: number, p1?: number): Exchange | undefined =>
      this.#exchanges.find(
        ({ header, sw }) =>
          header[1] === ins &&
          (p1 === undefined || header[2] === p1) &&
          sw !== undefined &&
          sw >> 12 === 6 &&
          sw >> 8 !== 0x61,
      );
    const collected = refuses(GET_RESPONSE);
    if (collected) {
      examination.found(
        EXCHANGE_CHECKS.GET_RESPONSE,
        "card",
        `It answers GET RESPONSE with ${statusText(collected.sw)}.`,
      );
    }
    const left = refuses(VERIFY, FORGET) ?? refuses(LOGOUT_OF_MYEID);
    if (left) {
      examination.found(
        EXCHANGE_CHECKS.LOGOUT,
        "card",
        `It answers ${statusText(left.sw)} when it is told to forget the PIN.`,
      );
    }
  }

  /** A command with extended length fields that was refused, and taken at once in short form. */
  #examineExtended(examination: Examination): void {
    const index = this.#exchanges.findIndex(({ extended, header, sw }, at) => {
      const next = this.#exchanges[at + 1];
      const same = next !== undefined && !next.extended && next.header[1] === header[1];
      return (
        extended && same && (sw === undefined || REFUSALS.has(sw)) && next.sw !== undefined && !REFUSALS.has(next.sw)
      );
    });
    const refused = this.#exchanges[index];
    if (!refused) return;
    const answer =
      refused.sw === undefined ? "the reader gave no answer" : `the card answered ${statusText(refused.sw)}`;
    examination.found(EXCHANGE_CHECKS.EXTENDED, "card and reader", `To a command with extended length ${answer}.`);
  }
}

const CHAINING_REFUSED = 0x6884;

const statusText = (sw = 0): string => sw.toString(16).toUpperCase().padStart(4, "0");

/** Wrong length, instruction not supported, no precise diagnosis: how cards refuse the form. */
const REFUSALS: ReadonlySet<number> = new Set([0x6700, 0x6d00, 0x6f00]);
