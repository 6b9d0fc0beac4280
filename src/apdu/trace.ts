import { type Concealment, toHex } from "../bytes/index.ts";
import type { Transmit } from "./channel.ts";
import { commandText, explainCommand, type CommandExplanation } from "./explain/explain.ts";
import { Concealer } from "./secrets.ts";
import { explainStatus, type StatusExplanation } from "./status.ts";

/** One exchange with a card, without its secrets. */
export interface TraceEvent {
  /** Time of the command: milliseconds since 1970. */
  readonly time: number;
  /** Milliseconds until the answer, or the error. */
  readonly duration: number;
  readonly reader: string;
  /** Hexadecimal digits; `**` replaces secret bytes. */
  readonly command: string;
  readonly explanation: CommandExplanation;
  /** As `command`; empty without an answer. */
  readonly answer: string;
  /** Of the answer, if it has a status word. */
  readonly status?: StatusExplanation;
  /** The transport's error, if there was no answer. */
  readonly error?: string;
}

/** Receives the events in order. It must not throw: the exchange has happened. */
export type TraceSink = (event: TraceEvent) => void;

/** The clock of a trace; for tests. */
export interface TraceClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds that never decrease. */
  monotonic(): number;
}

const CLOCK: TraceClock = { now: () => Date.now(), monotonic: () => performance.now() };

/** Wraps `transmit` so that each exchange is reported to `sink`, secrets concealed. One for each connection. */
export function traceTransmit(
  transmit: Transmit,
  sink: TraceSink,
  reader: string,
  clock: TraceClock = CLOCK,
): Transmit {
  const concealer = new Concealer();
  const explainer = new ChainExplainer();
  return async (command, options) => {
    const conceal = options?.conceal;
    const time = clock.now();
    const begun = clock.monotonic();
    const explanation = explainer.explain(command, conceal);
    const event = (answer: Uint8Array): TraceEvent => ({
      time,
      duration: clock.monotonic() - begun,
      reader,
      explanation,
      ...concealer.conceal(command, answer, conceal),
    });
    let answer: Uint8Array;
    try {
      answer = await transmit(command, options);
    } catch (error) {
      sink({ ...event(new Uint8Array()), error: error instanceof Error ? error.message : String(error) });
      throw error;
    }
    sink({ ...event(answer), ...statusOf(answer) });
    return answer;
  };
}

function statusOf(answer: Uint8Array): Pick<TraceEvent, "status"> {
  const [sw1, sw2] = answer.subarray(-2);
  return sw1 === undefined || sw2 === undefined ? {} : { status: explainStatus((sw1 << 8) | sw2) };
}

const CHAINING = 0x10;

/** Explains commands in order: the data of a chain's later parts means nothing by itself and is not explained. */
class ChainExplainer {
  #chain: string | undefined;

  explain(command: Uint8Array, conceal?: Concealment): CommandExplanation {
    const header = toHex(command.subarray(1, 4));
    const continues = this.#chain === header;
    this.#chain = ((command[0] ?? 0) & CHAINING) === 0 ? undefined : header;
    const isSecret = conceal === "command" || conceal === "both";
    if (!continues && !isSecret) return explainCommand(command);
    const details = [continues ? "continues the chain" : "data concealed"];
    return { ...explainCommand(command.subarray(0, 4)), details };
  }
}

/** Default for the bytes of a command or an answer that {@link traceText} shows. */
const SHOWN = 32;

/**
 * An event in two lines for people:
 *
 *     -> 00 20 00 80 **  VERIFY: reference 80: local 0 (PIV: application PIN), data concealed
 *     <- 90 00  success  (12 ms)
 *
 * @param shown Most bytes of a command or an answer that are printed.
 */
export function traceText(event: TraceEvent, shown = SHOWN): string {
  const { command, answer, explanation, status, error, duration } = event;
  const outcome = error ?? status?.name ?? "no status word";
  return [
    `-> ${spaced(command, shown)}  ${commandText(explanation)}`,
    `<- ${[...(answer === "" ? [] : [spacedAnswer(answer, shown)]), outcome].join("  ")}  (${Math.round(duration)} ms)`,
  ].join("\n");
}

/** Digits in pairs, among them the concealment mark. */
function spaced(digits: string, shown: number): string {
  const pairs = digits.toUpperCase().match(/../gu) ?? [];
  const rest = pairs.length - shown;
  return (rest > 0 ? [...pairs.slice(0, shown), `... ${rest} more`] : pairs).join(" ");
}

/** Always shows the status word, however long the data is. */
function spacedAnswer(digits: string, shown: number): string {
  return [spaced(digits.slice(0, -4), shown), spaced(digits.slice(-4), 2)].filter(Boolean).join(" ");
}
