/** A setup file of Jest if TEST_SEED is given: property tests begin with the seed that a failed one printed. */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["TEST_SEED"]) });
