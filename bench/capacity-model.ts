import { SeededRandom } from "../test/seeded-random.ts";

/**
 * A farm of cards as queues: requests arrive, pass a broker, and wait for a card that has their key. A discrete-event simulation; all times
 * are milliseconds. docs/scale.md says what it is for, and what it was checked against.
 */
export interface Farm {
  readonly keys: number;
  /** Cards with each key. */
  readonly copies: number;
  /** Time of a card for one request. */
  readonly cardTime: number;
  /** `fixed`, as cards are; `exponential` has known formulas for several cards. Default: fixed. */
  readonly spread?: "fixed" | "exponential";
  /**
   * `queue`: one queue for each key, and the next card that is free takes from it. `random`: each request goes to some card with the key and
   * waits for that one.
   */
  readonly placement: "queue" | "random";
  /** Time in which a card does nothing before each request, since the request is still on its way to it. Default: 0. */
  readonly pull?: number;
  /** Time that a request spends on the network beside that, both ways together. Default: 0. */
  readonly hops?: number;
  /** Time of the broker for one request; it handles one at a time. Default: 0. */
  readonly brokerTime?: number;
  /** Share of the requests that come from another site, 0 to 1, and what that adds to their time. */
  readonly far?: { readonly share: number; readonly time: number };
}

/** Requests a second at random times, or clients of which each sends its next request when it has the answer. */
export type Load = { readonly perSecond: number } | { readonly clients: number };

export interface Run {
  /** Requests to simulate. The first fifth, in which the queues fill, is not counted. */
  readonly requests: number;
  readonly seed: number;
}

export interface Outcome {
  /** Answers a second. */
  readonly perSecond: number;
  /** Share of the cards' time in which they compute. */
  readonly used: number;
  /** Mean time between arrival and the beginning of a card's work. */
  readonly wait: number;
  /** Times from request to answer. */
  readonly p50: number;
  readonly p99: number;
}

interface Request {
  readonly sent: number;
  readonly isFar: boolean;
}

type Event =
  | { readonly at: number; readonly kind: "arrival" }
  | { readonly at: number; readonly kind: "brokered"; readonly request: Request }
  | { readonly at: number; readonly kind: "done"; readonly request: Request; readonly group: Group };

/** Cards that take from one queue. */
interface Group {
  free: number;
  readonly waiting: Queue<Request>;
}

/** Simulates the farm under a load. The same seed gives the same outcome. */
export function simulate(farm: Farm, load: Load, { requests, seed }: Run): Outcome {
  const { keys, copies, cardTime, pull = 0, hops = 0, brokerTime = 0, far = { share: 0, time: 0 } } = farm;
  const random = new SeededRandom(seed);
  const exponential = (mean: number): number => -mean * Math.log((random.below(2 ** 32) + 1) / 2 ** 32);
  const service = (): number => (farm.spread === "exponential" ? exponential(cardTime) : cardTime);
  const isShared = farm.placement === "queue";
  const groups = Array.from({ length: isShared ? keys : keys * copies }, (): Group => ({
    free: isShared ? copies : 1,
    waiting: new Queue(),
  }));
  const events = new EventHeap();
  const warm = Math.floor(requests / 5);
  const times: number[] = [];
  let brokerFreeAt = 0;
  let done = 0;
  let waits = 0;
  let started = 0;
  let work = 0;
  let countedFrom = 0;

  const begin = (group: Group, request: Request, now: number): void => {
    const duration = service();
    group.free--;
    if (done >= warm) {
      waits += now + pull - request.sent;
      started++;
      work += duration;
    }
    events.push({ at: now + pull + duration, kind: "done", request, group });
  };
  const arrive = (now: number): void => {
    const request = { sent: now, isFar: random.chance(far.share) };
    brokerFreeAt = Math.max(now, brokerFreeAt) + brokerTime;
    events.push({ at: brokerFreeAt, kind: "brokered", request });
  };
  const nextArrival = (now: number): void => {
    if ("perSecond" in load) events.push({ at: now + exponential(1000 / load.perSecond), kind: "arrival" });
  };
  if ("clients" in load) for (let client = 0; client < load.clients; client++) events.push({ at: 0, kind: "arrival" });
  else nextArrival(0);

  for (let event = events.pop(); ; event = events.pop()) {
    if (!event) throw new Error("a farm without a load");
    const now = event.at;
    if (event.kind === "arrival") {
      arrive(now);
      nextArrival(now);
    } else if (event.kind === "brokered") {
      const group = groups[random.below(groups.length)];
      if (!group) throw new Error("a farm without cards");
      if (group.free > 0) begin(group, event.request, now);
      else group.waiting.push(event.request);
    } else {
      const { group, request } = event;
      const time = now - request.sent + hops + (request.isFar ? far.time : 0);
      done++;
      if (done === warm) countedFrom = now;
      if (done > warm) times.push(time);
      group.free++;
      const next = group.waiting.shift();
      if (next) begin(group, next, now);
      if (done === requests) {
        const elapsed = now - countedFrom;
        times.sort((a, b) => a - b);
        return {
          perSecond: (times.length / elapsed) * 1000,
          used: work / elapsed / (keys * copies),
          wait: waits / started,
          p50: quantile(times, 0.5),
          p99: quantile(times, 0.99),
        };
      }
      if ("clients" in load) events.push({ at: now + hops, kind: "arrival" });
    }
  }
}

/** The most requests a second, to 1 %, at which 99 of 100 have their answer within `limit` ms; 0 if none do. */
export function safeRate(farm: Farm, limit: number, run: Run): number {
  let most = (farm.keys * farm.copies * 1000) / (farm.cardTime + (farm.pull ?? 0));
  if (farm.brokerTime) most = Math.min(most, 1000 / farm.brokerTime);
  const precision = most / 100;
  let [low, high] = [0, most];
  while (high - low > precision) {
    const middle = (low + high) / 2;
    if (simulate(farm, { perSecond: middle }, run).p99 <= limit) low = middle;
    else high = middle;
  }
  return low;
}

const quantile = (sorted: readonly number[], share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;

/** First in, first out, without moving what waits. */
class Queue<T> {
  #items: T[] = [];
  #head = 0;

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head++];
    if (this.#head > 1000 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** Events, the earliest first: a binary heap. */
class EventHeap {
  readonly #events: Event[] = [];

  push(event: Event): void {
    const events = this.#events;
    let index = events.push(event) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = events[above];
      if (!parent || parent.at <= event.at) break;
      events[index] = parent;
      index = above;
    }
    events[index] = event;
  }

  pop(): Event | undefined {
    const events = this.#events;
    const [first] = events;
    const last = events.pop();
    if (!last || events.length === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      const [left, right] = [events[below], events[below + 1]];
      if (!left) break;
      const smaller = right && right.at < left.at ? right : left;
      if (smaller.at >= last.at) break;
      if (smaller === right) below++;
      events[index] = smaller;
      index = below;
    }
    events[index] = last;
    return first;
  }
}
