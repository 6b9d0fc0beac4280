import { createRequire } from "node:module";
import { openAddon } from "../../../src/pcsc/index.ts";
import { describePcsc } from "./suite.ts";

/** A package of its own has the addon, which is built when it is installed. */
const home = new URL("../addon/package.json", import.meta.url);

describePcsc("the pcsclite addon", {
  open: (patience) => openAddon(createRequire(home)("pcsclite"), { patience }),
  module: `
    import { createRequire } from "node:module";
    import { openAddon } from ${JSON.stringify(new URL("../../../src/pcsc/index.ts", import.meta.url).href)};
    const pcsc = await openAddon(createRequire(${JSON.stringify(home.href)})("pcsclite"));`,
  lacks: ["attributes", "transactions"],
});
