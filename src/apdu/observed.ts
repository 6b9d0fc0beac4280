import type { Concealment } from "../bytes/index.ts";
import { CHANNELS } from "../channels/index.ts";
import { explainCommand } from "./explain/explain.ts";
import { CONCEALED, Concealer } from "./secrets.ts";

/** Bytes of a command's header, which has no data. */
const HEADER = 4;

/** Ends the observation of an exchange: with the answer, or with the error of the transport. */
export type ExchangeEnd = (answer: Uint8Array | undefined, error?: unknown) => void;

/** Publishes the exchanges of one connection, without data. Used only while there are subscribers. */
export class ExchangeObserver {
  readonly #reader: string;
  readonly #concealer = new Concealer();

  constructor(reader: string) {
    this.#reader = reader;
  }

  /** Call it before the command is sent: the caller wipes its bytes afterwards. */
  begin(command: Uint8Array, conceal?: Concealment): ExchangeEnd {
    const copy = Uint8Array.from(command);
    const time = Date.now();
    const begun = performance.now();
    return (answer, error) => {
      const duration = performance.now() - begun;
      const shown = this.#concealer.conceal(copy, answer ?? new Uint8Array(), conceal);
      const [cla = 0, ins = 0] = copy;
      const { name } = explainCommand(copy.subarray(0, HEADER));
      const length = copy.length;
      copy.fill(0);
      const [sw1, sw2] = answer?.subarray(-2) ?? [];
      const { apdu, error: errors } = CHANNELS;
      apdu.publish({
        ...{ time, duration, reader: this.#reader, cla, ins, name, failed: answer === undefined },
        ...(!shown.command.includes(CONCEALED) && { commandLength: length }),
        ...(answer && !shown.answer.includes(CONCEALED) && { answerLength: answer.length }),
        ...(sw1 !== undefined && sw2 !== undefined && { sw: (sw1 << 8) | sw2 }),
      });
      if (answer || !errors.hasSubscribers) return;
      const code = error instanceof Error ? error.name : "unknown";
      errors.publish({ time: Date.now(), layer: "card", code, reader: this.#reader });
    };
  }
}
