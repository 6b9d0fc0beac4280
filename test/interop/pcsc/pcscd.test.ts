import { Pcscd } from "../../../src/pcsc/index.ts";
import { describePcsc } from "./suite.ts";

describePcsc("the socket client", {
  open: (patience) => Promise.resolve(new Pcscd({ patience })),
  module: `
    import { Pcscd } from ${JSON.stringify(new URL("../../../src/pcsc/index.ts", import.meta.url).href)};
    const pcsc = new Pcscd();`,
  lacks: [],
});
