/** A setup file of Jest for TEST_SEED, with which property tests begin as a failed one did, and TEST_SHARE, their share of the usual runs. */
import fc from "fast-check";
import { givenSeed, shareOf } from "./seeded-random.ts";

/** What fast-check does if it is told nothing. */
const USUAL_RUNS = 100;

const seed = givenSeed();
fc.configureGlobal({ numRuns: shareOf(USUAL_RUNS), ...(seed !== undefined && { seed }) });
