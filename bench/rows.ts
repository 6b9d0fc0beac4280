import type { CardKind } from "./cards.ts";
import type { Work } from "./work.ts";

/** A line of the table: some work, and how many APDUs it may take. */
export interface Row {
  readonly title: string;
  readonly card: CardKind;
  readonly work: Work;
  /** What is counted: the process up to the first result, or each further signature in the same session. */
  readonly counted: "first" | "next";
  readonly budget?: number;
}

/** Enough further signatures to see that each costs the same. */
const TIMES = 4;

const SIGN_RSA: Work = { name: "sign", key: "9a", times: TIMES };
/** The key that wants its PIN before each use. */
const SIGN_9C: Work = { name: "sign", key: "9c", times: TIMES };
/** The key that wants no PIN. */
const SIGN_9E: Work = { name: "sign", key: "9e", times: TIMES };

export const ROWS: readonly Row[] = [
  { title: "list", card: "short", work: { name: "list" }, counted: "first", budget: 4 },
  { title: "objects", card: "short", work: { name: "objects" }, counted: "first", budget: 17 },
  { title: "sign, RSA-2048", card: "short", work: SIGN_RSA, counted: "first", budget: 10 },
  { title: "next, RSA-2048", card: "short", work: SIGN_RSA, counted: "next", budget: 3 },
  { title: "sign, P-256 in 9C", card: "short", work: SIGN_9C, counted: "first", budget: 7 },
  { title: "next, P-256 in 9C", card: "short", work: SIGN_9C, counted: "next", budget: 2 },
  { title: "sign, P-256 in 9E", card: "short", work: SIGN_9E, counted: "first" },
  { title: "next, P-256 in 9E", card: "short", work: SIGN_9E, counted: "next", budget: 1 },
  { title: "generate, RSA-2048", card: "short", work: { name: "generate", key: "9a" }, counted: "first", budget: 7 },
  { title: "read", card: "short", work: { name: "read", key: "9a" }, counted: "first", budget: 6 },

  { title: "list", card: "extended", work: { name: "list" }, counted: "first" },
  { title: "objects", card: "extended", work: { name: "objects" }, counted: "first", budget: 7 },
  { title: "sign, RSA-2048", card: "extended", work: SIGN_RSA, counted: "first", budget: 5 },
  { title: "next, RSA-2048", card: "extended", work: SIGN_RSA, counted: "next", budget: 1 },
  { title: "sign, P-256 in 9C", card: "extended", work: SIGN_9C, counted: "first" },
  { title: "next, P-256 in 9C", card: "extended", work: SIGN_9C, counted: "next" },
  { title: "read", card: "extended", work: { name: "read", key: "9a" }, counted: "first" },

  { title: "list", card: "unselected", work: { name: "list" }, counted: "first", budget: 4 },
  { title: "objects", card: "unselected", work: { name: "objects" }, counted: "first", budget: 17 },
  { title: "sign, RSA-2048", card: "unselected", work: SIGN_RSA, counted: "first", budget: 10 },
  { title: "sign, P-256 in 9C", card: "unselected", work: SIGN_9C, counted: "first", budget: 7 },
  { title: "read", card: "unselected", work: { name: "read", key: "9a" }, counted: "first", budget: 6 },
];
