import { fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Pcscd } from "../src/pcsc/index.ts";
import type { Pcscd as Daemon } from "../test/interop/rig/pcscd.ts";
import { median } from "./median.ts";

export interface RoundTrip {
  /** Median of one exchange through the socket client, in microseconds. */
  readonly socket: number;
  /** Median of one exchange through the `pcsclite` addon, in microseconds. */
  readonly addon: number;
  /** socket / addon. */
  readonly ratio: number;
  readonly rounds: number;
}

type Transmit = (command: Uint8Array) => Promise<Uint8Array>;

/** Exchanges before any is counted: both paths are compiled by then. */
const WARM_UP = 2_000;
/** GET DATA with Le, as short as a command that asks for something is. */
const COMMAND = Uint8Array.of(0x00, 0xca, 0x00, 0x00, 0x00);

/**
 * The time of one exchange with a card that answers at once, through pcscd, by the socket client and by the `pcsclite`
 * addon: one of each in turn, in one process, over the same daemon, reader and card. The daemon's second slot is empty
 * before and after.
 */
export async function measureRoundTrip(daemon: Daemon, rounds = 10_000): Promise<RoundTrip> {
  const [, reader = ""] = daemon.readers;
  const card = fork(fileURLToPath(new URL("echo-card.ts", import.meta.url)), [String(daemon.port + 1)], {
    execArgv: ["--import", "tsx"],
  });
  await using pcsc = new Pcscd();
  for await (const [, second] of pcsc.changes()) if (second?.present && second.atr.length > 0) break;
  await using connection = await pcsc.connect(reader);
  const addon = await openAddon(reader);
  const paths: readonly Transmit[] = [(command) => connection.transmit(command), addon.transmit];
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < WARM_UP + rounds; round++) {
    // Who goes first finds the caches as the other left them: take turns at that, too.
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    for (const path of order) {
      const started = process.hrtime.bigint();
      await paths[path]?.(COMMAND);
      if (round >= WARM_UP) times[path].push(Number(process.hrtime.bigint() - started) / 1_000);
    }
  }
  await addon.close();
  const gone = once(card, "exit");
  card.disconnect();
  await gone;
  const [socket, other] = [median(times[0]), median(times[1])];
  return { socket, addon: other, ratio: socket / other, rounds };
}

interface AddonReader {
  readonly name: string;
  readonly SCARD_SHARE_SHARED: number;
  readonly SCARD_LEAVE_CARD: number;
  on(event: "error", listener: (error: Error) => void): void;
  connect(options: object, done: (error: Error | null, protocol: number) => void): void;
  disconnect(disposition: number, done: (error: Error | null) => void): void;
  transmit(
    command: Buffer,
    longest: number,
    protocol: number,
    done: (error: Error | null, answer: Buffer) => void,
  ): void;
}

interface Addon {
  on(event: "reader", listener: (reader: AddonReader) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  close(): void;
}

/** The addon as its users use it, without anything of ours around it. */
async function openAddon(name: string): Promise<{ readonly transmit: Transmit; close(): Promise<void> }> {
  const require = createRequire(new URL("../test/interop/addon/", import.meta.url));
  const pcsclite = require("pcsclite") as () => Addon;
  const addon = pcsclite();
  // Closing it ends its waits for changes, which it reports as errors.
  let closing = false;
  const onError = (error: Error): void => {
    if (!closing) throw error;
  };
  addon.on("error", onError);
  const reader = await new Promise<AddonReader>((resolve) => {
    addon.on("reader", (found) => {
      found.on("error", onError);
      if (found.name === name) resolve(found);
    });
  });
  const protocol = await new Promise<number>((resolve, reject) => {
    reader.connect({ share_mode: reader.SCARD_SHARE_SHARED }, (error, active) => {
      if (error) reject(error);
      else resolve(active);
    });
  });
  return {
    transmit: (command) =>
      new Promise((resolve, reject) => {
        reader.transmit(Buffer.from(command), 258, protocol, (error, answer) => {
          if (error) reject(error);
          else resolve(answer);
        });
      }),
    close: async () => {
      await new Promise<void>((resolve) => {
        reader.disconnect(reader.SCARD_LEAVE_CARD, () => {
          resolve();
        });
      });
      closing = true;
      addon.close();
    },
  };
}
