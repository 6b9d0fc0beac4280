/**
 * `npm run libcacard`: puts libcacard's card into vpcd's reader, until the signal that ends it. Its PIN is that of the tests. The
 * argument is vpcd's port, if it is another than its own.
 */
import { once } from "node:events";
import { plugIntoVpcd } from "../../../src/virtual/index.ts";
import { startLibcacard } from "./libcacard.ts";

const [, , port] = process.argv;
const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
await using card = await startLibcacard();
await using plugged = await plugIntoVpcd(card, port === undefined ? {} : { port: Number(port) });
process.stdout.write("libcacard's card is in the reader; Ctrl+C takes it out\n");
await Promise.race([stopped, plugged.removed]);
