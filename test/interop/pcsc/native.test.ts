import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { runInThisContext } from "node:vm";
import { expect, test } from "@jest/globals";
import { openNative, type Pcsc } from "../../../src/pcsc/index.ts";
import { startPcscd } from "../rig/pcscd.ts";
import { insertCard } from "../rig/vpicc.ts";
import { describePcsc } from "./suite.ts";

/** A package of its own has koffi, installed without its install script. */
const home = new URL("../native/package.json", import.meta.url);

// Jest gives tests a copy of the environment, which libpcsclite never sees: this one it does.
(runInThisContext("process") as NodeJS.Process).env["PCSCLITE_NO_BLOCKING"] = "1";

function open(patience: number): Promise<Pcsc> {
  return openNative(createRequire(home)("koffi"), { patience });
}

describePcsc("the system's library by koffi", {
  open,
  module: `
    import { createRequire } from "node:module";
    import { openNative } from ${JSON.stringify(new URL("../../../src/pcsc/index.ts", import.meta.url).href)};
    const pcsc = await openNative(createRequire(${JSON.stringify(home.href)})("koffi"));`,
  lacks: [],
});

/** More than the four threads of Node's pool. */
const MANY = 6;

test("waits of many callers leave a thread free, so that a file can be read", async () => {
  await using daemon = await startPcscd();
  const [reader = ""] = daemon.readers;
  const gate: { begun?: () => void; release?: () => void } = {};
  const begun = new Promise<void>((resolve) => (gate.begun = resolve));
  const released = new Promise<void>((resolve) => (gate.release = resolve));
  const answer = async (command: Uint8Array): Promise<Uint8Array> => {
    gate.begun?.();
    await released;
    return command;
  };
  const card = await insertCard({ port: daemon.port, answer });
  const pcsc = await open(5_000);
  const clients = await Promise.all(Array.from({ length: MANY }, () => open(5_000)));
  try {
    for await (const [first] of pcsc.changes()) if (first?.present && first.atr.length > 0) break;
    const changes = clients.map((client) => client.changes()[Symbol.asyncIterator]());
    await Promise.all(changes.map((each) => each.next()));
    const more = changes.map((each) => each.next());
    const connections = await Promise.all(clients.map((client) => client.connect(reader)));
    const answers = connections.map((connection) => connection.transmit(Uint8Array.of(0, 0xca, 0, 0)));
    await begun;
    // The card gives no answer before the file is read: with all threads taken this would never end.
    expect(await readFile(new URL(import.meta.url), "utf8")).toContain("leave a thread free");
    gate.release?.();
    expect(await Promise.all(answers)).toHaveLength(MANY);
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(more);
  } finally {
    gate.release?.();
    await pcsc.close();
    await card.remove();
  }
}, 1_200_000);
