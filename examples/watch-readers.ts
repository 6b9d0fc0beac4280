/** Tells of readers and cards as they come and go, for some seconds (`--seconds 60`) or until interrupted. */
import { parseArgs } from "node:util";
import { openReaders } from "./cards.ts";

const { values } = parseArgs({ options: { seconds: { type: "string" }, pcscd: { type: "boolean" } } });
const stop = new AbortController();
process.once("SIGINT", () => {
  stop.abort();
});

const pcsc = await openReaders();
const { seconds } = values;
const end =
  seconds === undefined ? stop.signal : AbortSignal.any([stop.signal, AbortSignal.timeout(1000 * Number(seconds))]);
for await (const readers of pcsc.changes(end)) {
  const states = readers.map(({ name, present }) => `${name}: ${present ? "card" : "empty"}`);
  console.log(states.join("; ") || "no reader");
}
await pcsc.close();
