import { concealExchange } from "../apdu/index.ts";
import { fromHex, toHex } from "../bytes/index.ts";
import type { InProcessCard } from "../pcsc/index.ts";
import { ConformanceError } from "./check.ts";

/** Hexadecimal digits, with spaces at will. */
export type Hex = string;

/** What a scripted card answers: exchanges in their order, or a function that answers each command. */
export type CardScript =
  | readonly (readonly [command: Hex, answer: Hex])[]
  | ((command: Uint8Array) => Hex | Uint8Array | Promise<Hex | Uint8Array>);

/** What a scripted card is besides its script. */
export interface ScriptedCardOptions {
  /** Answer to reset; default: 3B800181, a card that speaks T=1. */
  readonly atr?: Hex;
  /** Called at each reset, the first when the card is inserted: what is volatile is forgotten. */
  readonly onReset?: () => void;
}

/** A card that speaks T=1, and says nothing else. */
const USUAL_ATR = "3b800181";

/**
 * A card for tests that answers by a script. Insert it into a reader of {@link MemoryReaders}:
 *
 *     const card = new ScriptedCard([["00a4 0400 05 a000000001", "9000"]]);
 *     readers.insert("Reader", card);
 *     ...
 *     card.verify();
 */
export class ScriptedCard implements InProcessCard {
  readonly atr: Uint8Array;
  /** The commands that came, hexadecimal. */
  readonly received: Hex[] = [];
  /** How often it was reset; inserting it is the first time. */
  resets = 0;
  readonly #script: CardScript;
  readonly #onReset: (() => void) | undefined;
  #problem: ConformanceError | undefined;

  constructor(script: CardScript, options: ScriptedCardOptions = {}) {
    this.#script = script;
    this.#onReset = options.onReset;
    this.atr = bytes(options.atr ?? USUAL_ATR);
  }

  reset(): void {
    this.resets++;
    this.#onReset?.();
  }

  /** @throws {ConformanceError} for a command that the script does not expect; the reader passes it on as the cause of its own error. */
  async transmit(command: Uint8Array): Promise<Uint8Array> {
    const number = this.received.push(toHex(command));
    if (typeof this.#script === "function") return bytes(await this.#script(command));
    const [expected, answer] = this.#script[number - 1] ?? [];
    if (expected === undefined || answer === undefined)
      throw this.#fail(number, command, "after the end of the script");
    if (toHex(bytes(expected)) !== toHex(command)) {
      throw this.#fail(number, command, `where the script has ${shown(bytes(expected))}`);
    }
    return bytes(answer);
  }

  /**
   * Whether all went by the script.
   * @throws {ConformanceError} that names the first command that was not expected, or the first that did not come.
   */
  verify(): void {
    if (this.#problem) throw this.#problem;
    if (typeof this.#script === "function") return;
    const [missing] = this.#script[this.received.length] ?? [];
    if (missing !== undefined) {
      throw new ConformanceError(
        `command ${this.received.length + 1} of the script did not come: ${shown(bytes(missing))}`,
      );
    }
  }

  #fail(number: number, command: Uint8Array, where: string): ConformanceError {
    const problem = new ConformanceError(`unexpected command ${number}: ${shown(command)} ${where}`);
    this.#problem ??= problem;
    return problem;
  }
}

function bytes(given: Hex | Uint8Array): Uint8Array {
  return typeof given === "string" ? fromHex(given.replaceAll(" ", "")) : given;
}

/** A command without its secrets: ** stands for them. */
function shown(command: Uint8Array): string {
  return concealExchange(command, new Uint8Array()).command;
}
