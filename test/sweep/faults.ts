import { concat } from "../../src/bytes/index.ts";
import { PcscError, type ScardErrorName } from "../../src/pcsc/index.ts";

/**
 * What a fault may leave behind.
 *
 * - accident: nothing. The call fails or succeeds, and the next one is as if the fault had not been.
 * - answer: it is an answer about the file or object, which may be remembered until C_Reinitialize.
 * - garbled: what came is no answer. This one call may take it for a broken object and pass it over; the next asks again.
 * - lie: a well-formed answer with other data. Where it parses, it cannot be told from the truth, and may be remembered
 *   until C_Reinitialize.
 */
type FaultKind = "accident" | "garbled" | "answer" | "lie";

/** One exchange that goes wrong. */
interface Exchange {
  readonly command: Uint8Array;
  /** The answer before this one; empty if there was none. */
  readonly previous: Uint8Array;
  /** Gives the command to the healthy card. */
  readonly perform: () => Promise<Uint8Array>;
  readonly resetCard: () => void;
  /** Aborts the signal of the call under way. */
  readonly abort: () => void;
  /** A number below `bound` that belongs to this run. */
  readonly random: (bound: number) => number;
}

export interface Fault {
  readonly name: string;
  readonly kind: FaultKind;
  /** The card forgets what was selected and verified. */
  readonly resets?: true;
  readonly strike: (exchange: Exchange) => Promise<Uint8Array>;
}

const words = (sw: number): Uint8Array => Uint8Array.of(sw >> 8, sw & 0xff);
const OK = words(0x9000);
const body = (answer: Uint8Array): Uint8Array => answer.slice(0, -2);

/** The card does not do what it was asked, and says so. */
function refusal(sw: number, kind: FaultKind = "accident"): Fault {
  const name = sw.toString(16).toUpperCase().padStart(4, "0");
  return { name, kind, strike: () => Promise.resolve(words(sw)) };
}

/** The command does not reach the card. */
function lost(code: ScardErrorName): Fault {
  return { name: code, kind: "accident", strike: () => Promise.reject(new PcscError(code)) };
}

/** The card does what it was asked; its answer does not come back as it was. */
function distorted(
  name: string,
  kind: FaultKind,
  distort: (answer: Uint8Array, exchange: Exchange) => Uint8Array,
): Fault {
  return { name, kind, strike: async (exchange) => distort(await exchange.perform(), exchange) };
}

function garbage(length: number): Fault {
  return {
    name: `9000 with ${length} bytes of garbage`,
    kind: "lie",
    strike: ({ random }) =>
      Promise.resolve(
        concat(
          Uint8Array.from({ length }, () => random(256)),
          OK,
        ),
      ),
  };
}

function flipped(answer: Uint8Array, at: number, bit: number): Uint8Array {
  return answer.map((octet, index) => (index === at ? octet ^ (1 << bit) : octet));
}

/** The size of the longest answer that PC/SC carries, and a byte more. */
const BEYOND_PCSC = 65_557;

const RESET: Fault = {
  name: "SCARD_W_RESET_CARD",
  kind: "accident",
  resets: true,
  strike: ({ resetCard }) => {
    resetCard();
    return Promise.reject(new PcscError("SCARD_W_RESET_CARD"));
  },
};

/** The card does what it was asked, but its answer is lost. */
const ANSWER_LOST: Fault = {
  name: "SCARD_E_NOT_TRANSACTED after the command",
  kind: "accident",
  strike: async ({ perform }) => {
    await perform();
    throw new PcscError("SCARD_E_NOT_TRANSACTED");
  },
};

const ABORT: Fault = {
  name: "abort",
  kind: "accident",
  strike: ({ abort, perform }) => {
    abort();
    return perform();
  },
};

const ANSWER_BEFORE: Fault = {
  name: "the answer before, again",
  kind: "lie",
  strike: ({ previous }) => Promise.resolve(previous.length > 0 ? previous.slice() : OK.slice()),
};

export const FAULTS: readonly Fault[] = [
  ...[0x6f00, 0x6581, 0x6400, 0x6985, 0x6a80, 0x6a86, 0x6b00, 0x6d00, 0x6e00, 0x6700].map((sw) => refusal(sw)),
  // It is impossible to tell a wrong length from the right one, nor a success that promises more from one that has it.
  ...[0x6c00, 0x6c10, 0x6100, 0x6110].map((sw) => refusal(sw, "lie")),
  ...[0x6982, 0x6a82, 0x6a83, 0x6a88].map((sw) => refusal(sw, "answer")),
  ...(["SCARD_E_NOT_TRANSACTED", "SCARD_F_COMM_ERROR", "SCARD_E_SHARING_VIOLATION"] as const).map(lost),
  // The connection is given up then, and the card is reset with it.
  { ...lost("SCARD_E_TIMEOUT"), resets: true },
  RESET,
  ANSWER_LOST,
  { name: "a thrown Error", kind: "accident", strike: () => Promise.reject(new Error("the driver of the reader")) },
  ABORT,
  distorted("empty answer", "garbled", () => new Uint8Array()),
  distorted("answer of one byte", "garbled", () => Uint8Array.of(0x90)),
  distorted("answer longer than PC/SC carries", "accident", () => new Uint8Array(BEYOND_PCSC)),
  distorted("cut answer", "garbled", (answer) => answer.slice(0, Math.ceil(answer.length / 2))),
  distorted("cut answer with its status", "lie", (answer) =>
    concat(answer.slice(0, Math.floor((answer.length - 2) / 2)), answer.slice(-2)),
  ),
  distorted("too long answer", "lie", (answer) => concat(body(answer), new Uint8Array(300).fill(0xa5), OK)),
  { name: "9000 without data", kind: "lie", strike: () => Promise.resolve(OK.slice()) },
  ...[1, 2, 16, 256].map(garbage),
  ANSWER_BEFORE,
  distorted("first bit flipped", "lie", (answer) => flipped(answer, 0, 7)),
  distorted("a bit flipped", "lie", (answer, { random }) => flipped(answer, random(answer.length), random(8))),
  distorted("a bit of the status flipped", "lie", (answer, { random }) =>
    flipped(answer, answer.length - 1 - random(2), random(8)),
  ),
];
