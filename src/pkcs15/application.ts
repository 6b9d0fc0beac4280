import { SerialQueue } from "../async/index.ts";
import { type PinPadReader, PinState } from "../card/index.ts";
import type { Dialect } from "./dialect.ts";
import { dialectOf } from "./dialects/table.ts";
import type { Pkcs15Session } from "./files/session.ts";
import type { CardContents } from "./objects/contents.ts";
import { OfficerPin } from "./initialising/officer-pin.ts";
import { ObjectList } from "./objects/objects.ts";
import { type Pins, sortPins } from "./pins/pins.ts";
import { historicalText } from "./recognition/makes.ts";
import type { PinEntry } from "./syntax/authentication.ts";

/** An application of ISO/IEC 7816-15 on a card. */
export interface FoundApplication {
  readonly contents: CardContents;
  /** The name for SELECT; undefined if the files are reachable without one. */
  readonly aid: Uint8Array | undefined;
  /** The card's answer to that SELECT. */
  readonly selectAnswer: Uint8Array;
}

/** State that the tokens of one application share. */
export class Pkcs15Application {
  readonly contents: CardContents;
  readonly dialect: Dialect;
  readonly pins: Pins;
  readonly objects: ObjectList;
  readonly #pinStates = new Map<PinEntry, PinState>();
  /** PINs that the card may treat as verified after a change, without a login. */
  readonly #changed = new Set<PinEntry>();
  /** PINs whose logout waits for the last of them. */
  readonly #leaving = new Set<PinEntry>();
  readonly #changes = new SerialQueue();
  /** Whether the card has no command that makes it forget a PIN. */
  refusesLogout = false;

  readonly officer = new OfficerPin();
  /** The reader's keypad. */
  readonly pinPad: PinPadReader | undefined;

  private constructor(contents: CardContents, dialect: Dialect, pins: Pins, pinPad: PinPadReader | undefined) {
    this.contents = contents;
    this.pinPad = pinPad;
    this.dialect = dialect;
    this.pins = pins;
    this.objects = new ObjectList(contents, dialect, pins);
  }

  /** Reads the AODF: it says which tokens there are. @param dialects Those of the program. */
  static async read(
    { contents, aid, selectAnswer }: FoundApplication,
    pinPad: PinPadReader | undefined,
    dialects?: readonly Dialect[],
  ): Promise<Pkcs15Application> {
    const { atr } = contents.session.card;
    const dialect = dialectOf({ atr, historical: historicalText(atr), aid, selectAnswer }, dialects);
    if (dialect.extended === true) contents.session.card.takesExtended();
    const items = await contents.directory("authentication");
    const pins = sortPins(items, (where, problem) => {
      contents.report(where, problem);
    });
    return new Pkcs15Application(contents, dialect, pins, pinPad);
  }

  get session(): Pkcs15Session {
    return this.contents.session;
  }

  /**
   * Changes of the card run one after the other. Each has the directories read before it takes the card, and they may
   * not be forgotten until it ends: reading them again would wait for its own transaction.
   */
  inTurn<T>(change: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#changes.run(change, signal);
  }

  /** The state of a PIN. */
  pinState(pin: PinEntry): PinState {
    let state = this.#pinStates.get(pin);
    if (!state) {
      state = new PinState(this.session.card);
      this.#pinStates.set(pin, state);
    }
    return state;
  }

  isVerified(pin: PinEntry): boolean {
    return this.pinState(pin).isVerified;
  }

  /**
   * Runs `command`, which presents the PIN ({@link PinState.present}). Afterwards files that were refused without it
   * are read again.
   */
  async present(pin: PinEntry, command: () => Promise<void>): Promise<void> {
    this.#changed.delete(pin);
    await this.pinState(pin).present(command);
    this.#leaving.delete(pin);
    if (this.contents.forgetRefused()) this.objects.forget();
  }

  changed(pin: PinEntry): void {
    this.#changed.add(pin);
  }

  /** Whether the card must forget the PIN when its user logs out. */
  mayHold(pin: PinEntry): boolean {
    return this.isVerified(pin) || this.#changed.has(pin);
  }

  /** Makes the card forget the PIN. */
  forget(pin: PinEntry): void {
    this.pinState(pin).forget();
    this.#changed.delete(pin);
  }

  /**
   * Whether the card may be reset to make it forget `pin`: not while another PIN is verified, because that would log
   * its user out too. Then the last logout resets it.
   */
  mayReset(pin: PinEntry): boolean {
    this.#leaving.add(pin);
    const others = [...this.#pinStates].some(([other, state]) => other !== pin && state.isVerified);
    if (!others) this.#leaving.clear();
    return !others;
  }

  /** Whether a PIN that should be forgotten is still verified on the card. */
  get hasLeavers(): boolean {
    return this.#leaving.size > 0;
  }
}
