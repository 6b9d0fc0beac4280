import { createRequire } from "node:module";
import { runInThisContext } from "node:vm";
import { expect, test } from "@jest/globals";
import { openAddon, type Pcsc } from "../../../src/pcsc/index.ts";
import { startPcscd } from "../rig/pcscd.ts";
import { insertCard } from "../rig/vpicc.ts";
import { startOther } from "./other.ts";
import { describePcsc } from "./suite.ts";

/** A package of its own has the addon, which is built when it is installed. */
const home = new URL("../addon/package.json", import.meta.url);

// Jest gives tests a copy of the environment, which libpcsclite never sees: this one it does.
(runInThisContext("process") as NodeJS.Process).env["PCSCLITE_NO_BLOCKING"] = "1";

function open(patience: number): Promise<Pcsc> {
  return openAddon(createRequire(home)("pcsclite"), { patience });
}

describePcsc("the pcsclite addon", {
  open,
  module: `
    import { createRequire } from "node:module";
    import { openAddon } from ${JSON.stringify(new URL("../../../src/pcsc/index.ts", import.meta.url).href)};
    const pcsc = await openAddon(createRequire(${JSON.stringify(home.href)})("pcsclite"));`,
  lacks: ["attributes", "transactions"],
});

test("a transaction through the addon, which has none, notices what other programs do with the card", async () => {
  await using daemon = await startPcscd();
  const [reader = ""] = daemon.readers;
  const card = await insertCard({ port: daemon.port });
  const pcsc = await open(500);
  try {
    for await (const [first] of pcsc.changes()) if (first?.present) break;
    await using connection = await pcsc.connect(reader);
    await connection.begin();
    await connection.end();
    await using other = await startOther(reader);
    await other.do("connect");
    await other.do("begin");
    await expect(connection.begin()).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    const patient = connection.begin();
    await other.do("end");
    await patient;
    await connection.end();
    await other.do("reset");
    await expect(connection.begin()).rejects.toMatchObject({ codeName: "SCARD_W_RESET_CARD" });
    await connection.reconnect();
    await connection.begin();
    expect(card.commands).toEqual([]);
  } finally {
    await pcsc.close();
    await card.remove();
  }
}, 1_200_000);
