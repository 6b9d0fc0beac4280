/**
 * A process that is a card: libcacard with the options that its arguments are, one APDU for each message. A process of its
 * own, because libcacard keeps its card in globals, computes on the thread that calls it, and ends the process where it asserts.
 */
import { createRequire } from "node:module";

interface Koffi {
  load(file: string): {
    func(name: string, result: string, parameters: readonly string[]): (...args: readonly unknown[]) => unknown;
  };
}

/** What the parent asks: a reset, or an answer to a command. */
export type CardRequest = { readonly reset: true } | { readonly command: Uint8Array };

/** What the functions of libcacard return when they succeed, or find a card. */
const OK = 0;
const LONGEST = { atr: 40, response: 65_538 } as const;

const [, , file = "", options = ""] = process.argv;
const library = (createRequire(import.meta.url)("koffi") as Koffi).load(file);
const parseOptions = library.func("vcard_emul_options", "void *", ["str"]);
const initialise = library.func("vcard_emul_init", "int", ["void *"]);
const readerList = library.func("vreader_get_reader_list", "void *", []);
const firstEntry = library.func("vreader_list_get_first", "void *", ["void *"]);
const nextEntry = library.func("vreader_list_get_next", "void *", ["void *"]);
const readerOf = library.func("vreader_list_get_reader", "void *", ["void *"]);
const cardIsPresent = library.func("vreader_card_is_present", "int", ["void *"]);
const powerOn = library.func("vreader_power_on", "int", ["void *", "void *", "void *"]);
const exchange = library.func("vreader_xfr_bytes", "int", ["void *", "void *", "int", "void *", "void *"]);

/** The first reader with a card in it; null if there is none. */
function findReader(): unknown {
  for (let entry = firstEntry(readerList()); entry !== null; entry = nextEntry(entry)) {
    const reader = readerOf(entry);
    if (cardIsPresent(reader) === OK) return reader;
  }
  return null;
}

const reader = initialise(parseOptions(options)) === OK ? findReader() : null;
if (reader === null) {
  console.error(`libcacard made no card of: ${options}`);
  process.exit(1);
}

/** Calls a function that writes into a buffer, whose length it takes and gives by reference. */
function filled(length: number, call: (buffer: Uint8Array, length: Int32Array) => unknown): Uint8Array {
  const buffer = new Uint8Array(length);
  const written = Int32Array.of(length);
  return call(buffer, written) === OK ? buffer.slice(0, written[0]) : new Uint8Array();
}

const power = (): Uint8Array => filled(LONGEST.atr, (buffer, length) => powerOn(reader, buffer, length));

process.on("message", (request: CardRequest) => {
  if ("reset" in request) power();
  else {
    const { command } = request;
    process.send?.(
      filled(LONGEST.response, (buffer, length) => exchange(reader, command, command.length, buffer, length)),
    );
  }
});
process.on("disconnect", () => process.exit());
process.send?.(power());
