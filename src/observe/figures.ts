import { type ChannelName, type ChannelPayloads, CHANNELS_BY_NAME } from "../channels/index.ts";

/** Durations that are kept of each kind, the newest: enough for a 99th percentile. */
const KEPT = 1024;
/** Errors that are kept. */
const KEPT_ERRORS = 20;
/** Seconds over which rates are counted. */
const WINDOW = 10;

/** Durations in milliseconds, of the newest 1024. */
export interface DurationFigures {
  /** All since the start, also those that are not among the newest. */
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

export interface ReaderFigures {
  readonly reader: string;
  readonly present: boolean;
  readonly apdus: DurationFigures;
  /** Waits of callers for the card, in this process and for other programs. */
  readonly waits: DurationFigures;
}

export interface ErrorFigures {
  readonly layer: "cryptoki" | "card";
  readonly code: string;
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly last: number;
}

/** What this process did since its figures were begun. */
export interface FiguresReport {
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly calls: DurationFigures & {
    /** Calls in a second, over the last ten seconds. */
    readonly perSecond: number;
  };
  readonly apdus: DurationFigures & { readonly perSecond: number };
  readonly readers: readonly ReaderFigures[];
  readonly logins: { readonly accepted: number; readonly refused: number };
  /** The 20 newest kinds, the newest first. */
  readonly errors: readonly ErrorFigures[];
}

/** Durations of one kind. */
class Durations {
  readonly #newest: number[] = [];
  #count = 0;

  add(duration: number): void {
    this.#newest[this.#count++ % KEPT] = duration;
  }

  get figures(): DurationFigures {
    const sorted = this.#newest.toSorted((a, b) => a - b);
    const at = (part: number): number => round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0);
    return { count: this.#count, p50: at(0.5), p99: at(0.99) };
  }
}

/** Events of the last seconds, counted second by second. */
class Rate {
  readonly #counts = new Map<number, number>();
  readonly #now: () => number;
  readonly #begun: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#begun = now() / 1000;
  }

  add(): void {
    const second = Math.floor(this.#now() / 1000);
    for (const one of this.#counts.keys()) if (one <= second - WINDOW) this.#counts.delete(one);
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + 1);
  }

  get perSecond(): number {
    const now = this.#now() / 1000;
    const counted = [...this.#counts]
      .filter(([second]) => second > now - WINDOW)
      .reduce((sum, [, one]) => sum + one, 0);
    return round(counted / Math.min(WINDOW, Math.max(1, now - this.#begun)));
  }
}

const round = (value: number): number => Math.round(value * 100) / 100;

interface ReaderState {
  present: boolean;
  readonly apdus: Durations;
  readonly waits: Durations;
}

/** Figures of this process from its channels: counts, rates and percentiles. They use a bounded amount of memory. */
export class Figures implements Disposable {
  readonly #now: () => number;
  readonly #since: number;
  readonly #calls = new Durations();
  readonly #callRate: Rate;
  readonly #apdus = new Durations();
  readonly #apduRate: Rate;
  readonly #readers = new Map<string, ReaderState>();
  readonly #errors = new Map<string, ErrorFigures>();
  #accepted = 0;
  #refused = 0;
  readonly #ends: (() => void)[] = [];

  /** @param now Milliseconds since 1970; for tests. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#since = now();
    this.#callRate = new Rate(now);
    this.#apduRate = new Rate(now);
    this.#follow();
  }

  get report(): FiguresReport {
    const readers = [...this.#readers].map(([reader, { present, apdus, waits }]) => ({
      ...{ reader, present },
      apdus: apdus.figures,
      waits: waits.figures,
    }));
    return {
      since: this.#since,
      calls: { ...this.#calls.figures, perSecond: this.#callRate.perSecond },
      apdus: { ...this.#apdus.figures, perSecond: this.#apduRate.perSecond },
      readers,
      logins: { accepted: this.#accepted, refused: this.#refused },
      errors: [...this.#errors.values()].reverse(),
    };
  }

  #follow(): void {
    this.#on("cryptoki:call", ({ duration }) => {
      this.#calls.add(duration);
      this.#callRate.add();
    });
    this.#on("cryptoki:apdu", ({ reader, duration }) => {
      this.#apdus.add(duration);
      this.#apduRate.add();
      // A card that answers is in, also if it was there before the figures began.
      const state = this.#reader(reader, true);
      state.apdus.add(duration);
    });
    this.#on("cryptoki:queue", ({ reader, queued, transaction }) => {
      this.#reader(reader, true).waits.add(queued + transaction);
    });
    this.#on("cryptoki:card", ({ reader, change }) => {
      this.#reader(reader, false).present = change === "inserted";
    });
    this.#on("cryptoki:login", ({ outcome }) => {
      if (outcome === "accepted") this.#accepted++;
      else this.#refused++;
    });
    this.#on("cryptoki:error", ({ layer, code }) => {
      const name = `${layer} ${code}`;
      const count = (this.#errors.get(name)?.count ?? 0) + 1;
      this.#errors.delete(name);
      this.#errors.set(name, { layer, code, count, last: this.#now() });
      const [oldest] = this.#errors.keys();
      if (this.#errors.size > KEPT_ERRORS && oldest !== undefined) this.#errors.delete(oldest);
    });
  }

  #reader(reader: string, present: boolean): ReaderState {
    let state = this.#readers.get(reader);
    if (!state) {
      state = { present, apdus: new Durations(), waits: new Durations() };
      this.#readers.set(reader, state);
    }
    return state;
  }

  #on<Name extends ChannelName>(name: Name, listener: (event: ChannelPayloads[Name]) => void): void {
    this.#ends.push(follow(name, listener));
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

/** Subscribes to a channel with the type of its payload. @returns Ends the subscription. */
export function follow<Name extends ChannelName>(
  name: Name,
  listener: (event: ChannelPayloads[Name]) => void,
): () => void {
  const untyped = (event: unknown): void => {
    listener(event as ChannelPayloads[Name]);
  };
  const channel = CHANNELS_BY_NAME[name];
  channel.subscribe(untyped);
  return () => void channel.unsubscribe(untyped);
}
