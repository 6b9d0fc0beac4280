import { FarmWorker } from "../../../src/farm/index.ts";
import { MemoryReaders } from "../../../src/pcsc/index.ts";
import { profiles } from "../../../src/profiles.ts";
import { loadCard } from "../../../src/virtual/index.ts";

/** A worker over one virtual card: `worker-main.ts URL FILE`. With HANG, the card says when it is asked for a signature, and never answers. */
const [, , servers = "", file = ""] = process.argv;
const PIN = "123456";
const GENERAL_AUTHENTICATE = 0x87;

const card = await loadCard(file, () => undefined);
const readers = new MemoryReaders();
readers.plug("Reader");
readers.insert("Reader", {
  atr: card.atr,
  reset: () => {
    card.reset();
  },
  transmit: (command) => {
    if (process.env["HANG"] === undefined || command[1] !== GENERAL_AUTHENTICATE) return card.transmit(command);
    process.stdout.write("asked\n");
    return new Promise(() => undefined);
  },
});
await FarmWorker.start({
  nats: { servers },
  pcsc: readers.client(),
  profiles,
  acknowledgeWithin: 2000,
  pin: () => Promise.resolve(new TextEncoder().encode(PIN)),
});
process.stdout.write("ready\n");
