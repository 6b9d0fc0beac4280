/** Tells of readers and cards as they come and go: for ten seconds, `--seconds 60`, or until interrupted. */
import { parseArgs } from "node:util";
import { openReaders } from "./cards.ts";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" }, pcscd: { type: "boolean" } } });
const stop = new AbortController();
const end = (): void => {
  stop.abort();
};
process.once("SIGINT", end);

const pcsc = await openReaders();
const timer = setTimeout(end, 1000 * Number(values.seconds));
for await (const readers of pcsc.changes({ signal: stop.signal })) {
  const states = readers.map(({ name, present }) => `${name}: ${present ? "card" : "empty"}`);
  console.log(states.join("; ") || "no reader");
}
clearTimeout(timer);
await pcsc.close();
