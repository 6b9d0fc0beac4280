/**
 * `npm run libcacard`: puts libcacard's card into vpcd's reader, until the signal that ends it. Its PIN is that of the tests. The
 * argument is vpcd's port, if it is another than its own.
 */
import { once } from "node:events";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { plugIntoVpcd } from "../../../src/virtual/index.ts";
import { CAC_PIN, startLibcacard } from "./libcacard.ts";

const HELP = `npm run libcacard [-- PORT]

Puts libcacard's CAC into the virtual reader of pcscd, where vpcd listens at PORT (default: 35963), until Ctrl+C. Its PIN is ${CAC_PIN}.
Needs pcscd, and the Debian packages vsmartcard-vpcd, libcacard0 and libnss3-tools.
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { help: { type: "boolean", short: "h" } },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const [port] = positionals;
  requireKoffi();
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await using card = await startLibcacard();
  await using plugged = await plugIntoVpcd(card, port === undefined ? {} : { port: Number(port) });
  process.stdout.write(`libcacard's card (PIN ${CAC_PIN}) is in the reader. Ctrl+C takes it out.\n`);
  await Promise.race([stopped, plugged.removed]);
}

/** @throws {Error} with the command that installs it. */
function requireKoffi(): void {
  try {
    createRequire(import.meta.url).resolve("koffi");
  } catch (cause) {
    throw new Error("the library that calls libcacard is not installed; run: npm ci --prefix test/interop/cac", {
      cause,
    });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`libcacard: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
