import { CardError, type CardChannel, type CommandApdu, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import type { Card } from "../card/index.ts";
import { wantsSelection } from "./answer-to-reset.ts";
import { getData, readData, select } from "./commands.ts";
import { CONTAINER } from "./containers.ts";
import { type Discovery, NO_DISCOVERY, readDiscovery } from "./discovery.ts";

/**
 * Status words that may come from another application, which some other program selected meanwhile: the object, key or
 * instruction is unknown there, or its PIN is not verified.
 */
const DOUBTFUL: ReadonlySet<number> = new Set([
  SW.SECURITY_STATUS_NOT_SATISFIED,
  SW.CONDITIONS_NOT_SATISFIED,
  SW.WRONG_DATA,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.FILE_NOT_FOUND,
  SW.INCORRECT_P1_P2,
  SW.REFERENCED_DATA_NOT_FOUND,
  SW.WRONG_P1_P2,
  SW.INSTRUCTION_NOT_SUPPORTED,
  SW.CLASS_NOT_SUPPORTED,
]);

/**
 * Milliseconds within which no program is taken to connect, select another application, and leave again unseen: the resource manager
 * tells who is connected now, and not who was.
 */
const COME_AND_GO = 2_000;

/** Sends a command to the PIV application and gives the answer, whatever its status word; `enough` as of the channel. */
export type PivExchange = (command: CommandApdu, enough?: number) => Promise<ResponseApdu>;

/**
 * The PIV application on a card that others may use as well. As long as nothing speaks against it, the application counts as
 * selected, and no exchange is spent on asking.
 */
export class PivSession {
  readonly #card: Card;
  /** {@link Card.resets} when the application was last selected, or seen to be. */
  #selectedAt: number | undefined;
  /** When the application last gave an answer that no other gives, in milliseconds of the clock. */
  #confirmedAt = -Infinity;
  #discovery: Discovery | undefined;

  constructor(card: Card) {
    this.#card = card;
  }

  /** What was verified at one value of this is forgotten at another. */
  get resets(): number {
    return this.#card.resets;
  }

  get atr(): Uint8Array {
    return this.#card.atr;
  }

  /**
   * Runs `work` with the application selected and the card to itself. If the card refuses as another application would, the
   * application is looked for, selected if it had gone, and `work` runs once more: it must bear that.
   * @param signal Aborts the wait for the card and the exchange under way.
   */
  run<T>(work: (send: PivExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#card.exclusively(async (channel) => {
      const selectNow = this.#selectedAt !== this.#card.resets;
      if (selectNow) await this.#select(channel, signal);
      try {
        return await work(this.#doubtingExchange(channel, selectNow, signal));
      } catch (error) {
        if (!(error instanceof ApplicationLost)) throw error;
        await this.#select(channel, signal);
        return await work((command, enough) => channel.send(command, signal, enough));
      }
    }, signal);
  }

  /**
   * Runs `work`, which must not reach another application even once because it could spend a try of a PIN there. The application
   * is confirmed or selected first, unless it answered just now and nobody else is connected.
   */
  runCarefully<T>(work: (send: PivExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#card.exclusively(async (channel) => {
      const known = this.#selectedAt === this.#card.resets;
      const certain = known && ((await this.#isUndisturbed()) || (await this.#isSelected(channel, signal)));
      if (!certain) await this.#select(channel, signal);
      return work((command, enough) => channel.send(command, signal, enough));
    }, signal);
  }

  /** Forgets, on the card, all that was verified. */
  reset(): Promise<void> {
    return this.#card.reset();
  }

  /** Whether no other program can have selected another application: none is connected, and none had the time to come and go. */
  async #isUndisturbed(): Promise<boolean> {
    return Date.now() - this.#confirmedAt < COME_AND_GO && (await this.#card.alone());
  }

  /**
   * Finds the application. A card that has it selected says so in its discovery object, which is wanted anyway for its PIN
   * policy; any other is asked by SELECT. Where another program is at the card, SELECT comes last: it may drop a verified PIN.
   * @returns Whether the card carries the application.
   */
  claim(): Promise<boolean> {
    return this.#card.exclusively(async (channel) => {
      const selects = wantsSelection(this.#card.atr) && (await this.#card.alone());
      if (!selects && (await this.#isSelected(channel))) return true;
      const { sw } = await channel.send(select());
      if (sw === SW.OK) this.#confirmed();
      return sw === SW.OK;
    });
  }

  /** The PIN policy; read once. */
  async discovery(): Promise<Discovery> {
    this.#discovery ??= await this.run(async (send) => parseDiscovery(await send(getData(CONTAINER.DISCOVERY.tag))));
    return (this.#discovery ??= NO_DISCOVERY);
  }

  /** An exchange that does not take a refusal for an answer of the PIV application until one of its answers was not refused. */
  #doubtingExchange(channel: CardChannel, selected: boolean, signal?: AbortSignal): PivExchange {
    let certain = selected;
    return async (command, enough) => {
      const answer = await channel.send(command, signal, enough);
      if (!certain && DOUBTFUL.has(answer.sw)) {
        if (!(await this.#stillSelected(channel, signal))) throw new ApplicationLost();
        certain = true;
      }
      if (answer.sw === SW.OK) {
        certain = true;
        this.#confirmed();
      }
      return answer;
    };
  }

  /** A card without a discovery object cannot be asked; it is believed as long as nobody else is connected. */
  async #stillSelected(channel: CardChannel, signal?: AbortSignal): Promise<boolean> {
    return this.#discovery?.piv ? this.#isSelected(channel, signal) : this.#card.alone();
  }

  /** Asks with a command that changes nothing in any application, and drops no verified PIN as a SELECT may. */
  async #isSelected(channel: CardChannel, signal?: AbortSignal): Promise<boolean> {
    const discovery = parseDiscovery(await channel.send(getData(CONTAINER.DISCOVERY.tag), signal));
    if (!discovery?.piv) return false;
    this.#discovery = discovery;
    this.#confirmed();
    return true;
  }

  async #select(channel: CardChannel, signal?: AbortSignal): Promise<void> {
    const { sw } = await channel.send(select(), signal);
    if (sw !== SW.OK) throw new StatusError("SELECT of the PIV application", sw);
    this.#confirmed();
  }

  #confirmed(): void {
    this.#selectedAt = this.#card.resets;
    this.#confirmedAt = Date.now();
  }
}

/** Ends `work` when another application answered; caught where it runs again. */
class ApplicationLost extends CardError {
  constructor() {
    super("another program selected another application on this card");
  }
}

/** Undefined for a refusal and for what is no discovery object: another application may answer anything. */
function parseDiscovery({ data, sw }: ResponseApdu): Discovery | undefined {
  if (sw !== SW.OK) return undefined;
  try {
    const value = readData(CONTAINER.DISCOVERY.tag, data);
    return value && readDiscovery(value);
  } catch (error) {
    if (error instanceof DataError || error instanceof CardError) return undefined;
    throw error;
  }
}
