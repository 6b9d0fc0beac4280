import path from "node:path";

const shared = process.env["TEST_SHARED"] ?? "";

/** The file of the command, as the package has it: built before all suites (scripts/jest-setup.js), and quick to start. */
export const MAIN = path.join(shared, "dist", "cli", "main.cjs");

/** The folder for its compiled code (XDG_CACHE_HOME), so that the tests leave nothing in the user's. */
export const CACHE = path.join(shared, "cache");
