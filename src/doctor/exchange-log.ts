import { SW, type TraceEvent, type Transmit } from "../apdu/index.ts";
import { fromHex, toHex } from "../bytes/index.ts";
import type { Check, Examination } from "./examination.ts";

export const EXCHANGE_CHECKS = {
  EXTENDED: {
    name: "extended-length-refused",
    level: "defect",
    section: "ISO/IEC 7816-4 section 12.1.1.9, table 119; ISO/IEC 7816-3 section 12.1.3",
    consequence: "The card announces long commands and refuses them. Programs that rely on them fail.",
    remedy: "This driver sends the command again in short form. If another reader works, the reader is the cause.",
  },
  CHAINING: {
    name: "chaining-refused",
    level: "defect",
    section: "ISO/IEC 7816-4 section 5.3.3",
    consequence:
      "Data that are too long for a short command reach the card only with extended length, which not every reader supports.",
    remedy: "Use a reader that supports extended length.",
  },
  GET_RESPONSE: {
    name: "get-response-refused",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.7.1",
    consequence: "Answers of more than 256 bytes reach the program only with extended length.",
    remedy: "Use a reader that supports extended length.",
  },
  LOGOUT: {
    name: "logout-refused",
    level: "note",
    section: "ISO/IEC 7816-4 section 11.6.6 (VERIFY with P1 = FF); SP 800-73-4 part 2 section 3.2.1",
    consequence: "The card forgets a verified PIN only when it is reset, which other programs notice.",
    remedy: "This driver resets the card at a logout, unless another application is logged in.",
  },
} as const satisfies Record<string, Check>;

const SELECT = 0xa4;
const VERIFY = 0x20;
/** PERFORM SECURITY OPERATION, GENERAL AUTHENTICATE. */
const KEY_USES: ReadonlySet<number> = new Set([0x2a, 0x86]);
const CHAINING = 0x10;
const GET_RESPONSE = 0xc0;
const FORGET = 0xff;
/** OpenSC, card-myeid.c, myeid_logout. */
const LOGOUT_OF_MYEID = 0x2e;

interface Exchange {
  /** Class, instruction, P1, P2. */
  readonly header: Uint8Array;
  /** Whether the length fields are extended; false if secret bytes conceal them. */
  readonly extended: boolean;
  /** Bytes after the header; undefined if they are concealed. */
  readonly rest: number | undefined;
  /** Undefined if the reader gave no answer. */
  readonly sw: number | undefined;
  /** Hexadecimal digits before the status word; undefined if any of them are concealed. */
  readonly data: string | undefined;
  /** Bytes before the status word; undefined if the answer is concealed and was not measured. */
  readonly length: number | undefined;
}

/** The card's result of a key operation. */
export interface KeyAnswer {
  /** In bytes. */
  readonly length: number;
  /** Hexadecimal digits; undefined for a secret. */
  readonly data: string | undefined;
}

/** The exchanges of an examination, without their secrets: shows how the card answers, without further exchanges. */
export class ExchangeLog {
  readonly #exchanges: Exchange[] = [];
  /** Of the last answer, bytes before the status word. */
  #measured: number | undefined;

  /** Measures the answers before the trace conceals them: of secret ones, only the length is kept. */
  readonly measure =
    (transmit: Transmit): Transmit =>
    async (command, options) => {
      this.#measured = undefined;
      const answer = await transmit(command, options);
      this.#measured = answer.length - 2;
      return answer;
    };

  /** Receives the events of a trace. */
  readonly sink = (event: TraceEvent): void => {
    const [shown = ""] = event.command.split("*");
    const command = fromHex(shown.slice(0, shown.length & ~1));
    const concealed = shown.length !== event.command.length;
    const sw = event.answer.slice(-4);
    const shownData = event.answer.slice(0, -4);
    const secret = shownData.includes("*");
    this.#exchanges.push({
      header: command.subarray(0, 4),
      extended: !concealed && command.length > 6 && command[4] === 0,
      rest: concealed ? undefined : command.length - 4,
      sw: /^[0-9a-f]{4}$/iu.test(sw) ? Number.parseInt(sw, 16) : undefined,
      data: secret ? undefined : shownData,
      length: secret ? this.#measured : shownData.length / 2,
    });
  };

  /** Exchanges so far. */
  get length(): number {
    return this.#exchanges.length;
  }

  /**
   * The card's result of the last key operation after the first `mark` exchanges, before the driver normalises it: by
   * PERFORM SECURITY OPERATION or GENERAL AUTHENTICATE.
   * @returns Undefined if there was none, the card refused, or a secret result was not measured.
   */
  resultSince(mark: number): KeyAnswer | undefined {
    const since = this.#exchanges.slice(mark);
    const begin = since.findLastIndex(({ header: [cla = 0, ins = 0] }) => KEY_USES.has(ins) && (cla & CHAINING) === 0);
    if (begin < 0) return undefined;
    const [, ...collected] = since.slice(begin);
    const end = collected.findIndex(({ header }) => header[1] !== GET_RESPONSE);
    const parts = since.slice(begin, end < 0 ? undefined : begin + 1 + end);
    if (parts.at(-1)?.sw !== SW.OK || parts.some(({ length }) => length === undefined)) return undefined;
    const shown = parts.every(({ data }) => data !== undefined);
    return {
      length: parts.reduce((sum, { length = 0 }) => sum + length, 0),
      data: shown ? parts.map(({ data = "" }) => data).join("") : undefined,
    };
  }

  /** The last answer to an empty VERIFY of each PIN reference. */
  pinStatuses(): ReadonlyMap<number, number> {
    const statuses = new Map<number, number>();
    for (const { header, rest, sw } of this.#exchanges) {
      const [, ins, p1, reference = 0] = header;
      if (ins === VERIFY && p1 === 0 && (rest === 0 || rest === 1) && sw !== undefined) statuses.set(reference, sw);
    }
    return statuses;
  }

  /** Checks of the card's transmission, independent of the application. */
  examine(examination: Examination): void {
    this.#examineExtended(examination);
    for (const { header, sw } of this.#exchanges) {
      // A SELECT in parts is a probe.
      if (sw !== CHAINING_REFUSED || header[1] === SELECT) continue;
      examination.found(EXCHANGE_CHECKS.CHAINING, "card", `It answers 6884 to a command in parts: ${toHex(header)}.`);
      break;
    }
    const collected = this.#exchanges.find(
      ({ header, sw }, at) => header[1] === GET_RESPONSE && isRefusal(sw) && this.#waits(at),
    );
    const refuses = (ins: number, p1?: number): Exchange | undefined =>
      this.#exchanges.find(
        ({ header, sw }) => header[1] === ins && (p1 === undefined || header[2] === p1) && isRefusal(sw),
      );
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
        `It answers ${statusText(left.sw)} to the command to forget the PIN.`,
      );
    }
  }

  /** Whether the answer before an exchange announced more bytes. */
  #waits(at: number): boolean {
    return (this.#exchanges[at - 1]?.sw ?? 0) >> 8 === BYTES_AVAILABLE;
  }

  /** A command that was refused with extended length fields, and succeeded in short form directly afterwards. */
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
const BYTES_AVAILABLE = 0x61;

const isRefusal = (sw: number | undefined): boolean =>
  sw !== undefined && sw >> 12 === 6 && sw >> 8 !== BYTES_AVAILABLE;

const statusText = (sw = 0): string => sw.toString(16).toUpperCase().padStart(4, "0");

/** Wrong length, instruction not supported, no precise diagnosis: how cards refuse the form. */
const REFUSALS: ReadonlySet<number> = new Set([0x6700, 0x6d00, 0x6f00]);
