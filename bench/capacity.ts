/**
 * `npm run capacity`: what a farm of cards can do, by the simulation of capacity-model.ts, as tables in Markdown. docs/scale.md explains
 * them and has them as this prints them.
 *
 *   npm run capacity -- --card-time 600 --copies 10     other cards, each key on ten of them
 */
import { parseArgs } from "node:util";
import { type Farm, safeRate, simulate } from "./capacity-model.ts";

const { values } = parseArgs({
  options: {
    "card-time": { type: "string", default: "200" },
    pull: { type: "string", default: "5" },
    "broker-time": { type: "string", default: "0.1" },
    copies: { type: "string", default: "5" },
    seed: { type: "string", default: "1" },
  },
});
const cardTime = Number(values["card-time"]);
const pull = Number(values.pull);
const brokerTime = Number(values["broker-time"]);
const copies = Number(values.copies);
const seed = Number(values.seed);

/** 99 of 100 answers come within this time: three times that of a card. */
const LIMIT = 3 * cardTime;
/** Milliseconds there and back between two sites. */
const DISTANCE = 30;

const runOf = (cards: number): { requests: number; seed: number } => ({ requests: Math.max(50_000, 30 * cards), seed });
const percent = (share: number): string => `${Math.round(share * 100)} %`;
const ms = (time: number): string => `${Math.round(time)} ms`;
const rate = (perSecond: number): string => (perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond)));

function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  process.stdout.write(`### ${title}\n\n${lines.join("\n")}\n\n`);
}

const six: Farm = { keys: 1, copies: 6, cardTime: 50, placement: "queue", pull: 5 };
const placements: readonly (readonly [string, Farm])[] = [
  ["one queue, a free card takes the next", six],
  ["each request to a random card", { ...six, placement: "random", pull: 0, hops: 5 }],
];
table(
  "Six cards of 50 ms, each client sending one request after the other",
  ["placement", "clients", "cards' time used", "p50", "p99"],
  placements.flatMap(([name, farm]) =>
    [6, 24].map((clients) => {
      const { used, p50, p99 } = simulate(farm, { clients }, runOf(6));
      return [name, String(clients), percent(used), ms(p50), ms(p99)];
    }),
  ),
);

const base: Farm = { keys: 1, copies, cardTime, placement: "queue", pull };
table(
  `Cards with one key, ${cardTime} ms each: the load at which 99 of 100 answers come within ${LIMIT} ms`,
  ["cards with the key", "requests a second", "a second and card", "cards' time used"],
  [1, 2, 3, 5, 10, 20, 50].map((cards) => {
    const farm = { ...base, copies: cards };
    const safe = safeRate(farm, LIMIT, runOf(cards));
    return [String(cards), rate(safe), (safe / cards).toFixed(2), percent((safe / cards) * (cardTime / 1000))];
  }),
);

/** A site with its own broker. */
function site(cards: number): Farm {
  const each = Math.min(copies, cards);
  return { ...base, copies: each, keys: Math.max(1, Math.round(cards / each)), brokerTime };
}

table(
  `One site, each key on ${copies} cards, a broker with ${brokerTime} ms for a request`,
  ["cards", "requests a second", "cards' time used", "broker's time used", "p50", "p99"],
  [1, 10, 100, 1000, 10_000].map((cards) => {
    const safe = safeRate(site(cards), LIMIT, runOf(cards));
    const { used, p50, p99 } = simulate(site(cards), { perSecond: safe }, runOf(cards));
    return [String(cards), rate(safe), percent(used), percent((safe * brokerTime) / 1000), ms(p50), ms(p99)];
  }),
);

table(
  `10,000 cards at one to five sites, each with a broker and ${copies} cards for each key; ${DISTANCE} ms between sites`,
  ["sites", "cards at each", "requests a second", "without one site", "p99 then"],
  [1, 2, 3, 4, 5].map((sites) => {
    const cards = Math.floor(10_000 / sites / copies) * copies;
    const all = safeRate(site(cards), LIMIT, runOf(cards)) * sites;
    if (sites === 1) return ["1", String(cards), rate(all), "0", "-"];
    const far = { share: 1 / sites, time: DISTANCE };
    const left = safeRate({ ...site(cards), far }, LIMIT, runOf(cards));
    const { p99 } = simulate({ ...site(cards), far }, { perSecond: left }, runOf(cards));
    return [String(sites), String(cards), rate(all), rate(left * (sites - 1)), ms(p99)];
  }),
);
