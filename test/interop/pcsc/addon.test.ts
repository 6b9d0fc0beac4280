import { once } from "node:events";
import { createRequire } from "node:module";
import { runInThisContext } from "node:vm";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { afterAll, beforeAll } from "@jest/globals";
import { openAddon } from "../../../src/pcsc/index.ts";
import { describePcsc } from "./suite.ts";

/** Built by scripts/setup.js. */
const addonPackage = new URL("../addon/package.json", import.meta.url);
const pcsclite: unknown = createRequire(addonPackage)("pcsclite");

/**
 * openAddon sets this for libpcsclite to read, but in a test it sets it in Jest's copy of the environment. A worker that
 * shares the environment reaches the real one.
 */
async function setRealEnvironment(code: string): Promise<void> {
  await once(new Worker(code, { eval: true, env: SHARE_ENV }), "exit");
}

beforeAll(() => setRealEnvironment(`process.env.PCSCLITE_NO_BLOCKING = "1"`));
afterAll(() => setRealEnvironment(`delete process.env.PCSCLITE_NO_BLOCKING`));

// Jest gives tests a copy of the environment, which libpcsclite never sees: this one it does.
(runInThisContext("process") as NodeJS.Process).env["PCSCLITE_NO_BLOCKING"] = "1";

describePcsc("the pcsclite addon", {
  open: (patience) => openAddon(pcsclite, { patience }),
  module: `
    import { createRequire } from "node:module";
import { runInThisContext } from "node:vm";
    import { openAddon } from ${JSON.stringify(new URL("../../../src/pcsc/index.ts", import.meta.url).href)};
    const pcsc = await openAddon(createRequire(${JSON.stringify(addonPackage.href)})("pcsclite"));`,
  lacks: ["attributes", "transactions"],
});
