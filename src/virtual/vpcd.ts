import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { onAbort, SerialQueue } from "../async/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import type { VirtualCard } from "./card.ts";

/** The longest message that the two length bytes can announce. */
const MAX_MESSAGE = 65_535;

/**
 * A message of the vpcd protocol: two bytes of length, most significant first, and the bytes (vsmartcard, vpcd.c).
 * @throws {DataError} if it is empty or does not fit.
 */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const { length } = message;
  if (length === 0 || length > MAX_MESSAGE) throw new DataError(`vpcd message: ${length} bytes, 1 to ${MAX_MESSAGE}`);
  return concat(Uint8Array.of(length >> 8, length & 0xff), message);
}

/** Puts messages together from a byte stream, however TCP cut it. */
export class FrameReader {
  #parts: Uint8Array[] = [];
  #buffered = 0;

  /** The messages that `chunk` completes. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#parts.push(chunk);
    this.#buffered += chunk.length;
    const messages: Uint8Array[] = [];
    for (let message = this.#next(); message !== undefined; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): Uint8Array | undefined {
    const wanted = this.#wanted();
    if (this.#buffered < wanted || wanted < 2) return undefined;
    const [first, ...more] = this.#parts;
    const all = first && more.length === 0 ? first : concat(...this.#parts);
    this.#parts = [all.subarray(wanted)];
    this.#buffered -= wanted;
    return all.subarray(2, wanted);
  }

  /** Length of the next message with its length bytes, as far as it is known; they may come in two parts. */
  #wanted(): number {
    if (this.#buffered < 2) return Number.POSITIVE_INFINITY;
    if ((this.#parts[0]?.length ?? 0) < 2) this.#parts = [concat(...this.#parts)];
    const [high = 0, low = 0] = this.#parts[0] ?? [];
    return 2 + ((high << 8) | low);
  }
}

/** Where vpcd's first slot listens, unless its reader configuration says otherwise; the next slots are the next ports. */
export const VPCD_PORT = 35_963;

export interface VpcdOptions {
  /** Default: "127.0.0.1". */
  readonly host?: string;
  /** Default: {@link VPCD_PORT}. */
  readonly port?: number;
  /** Takes the card out, or ends the attempt to plug it in. */
  readonly signal?: AbortSignal;
}

/** The virtual reader cannot be reached, or broke off. What to do comes with the message, the socket's error as `cause`. */
export class VpcdError extends Error {
  override readonly name = "VpcdError";
}

/** A card in a virtual reader; disposing takes it out. */
export interface PluggedCard extends AsyncDisposable {
  /**
   * Settles when the card is out: because of {@link remove}, the signal, or the reader's end.
   * @throws {VpcdError} (as a rejection) if the connection failed.
   */
  readonly removed: Promise<void>;
  /** Takes the card out. Idempotent. */
  remove(): Promise<void>;
}

/** One-byte messages from the reader; anything longer is a command APDU. */
const CONTROL = { POWER_OFF: 0x00, POWER_ON: 0x01, RESET: 0x02, GET_ATR: 0x04 } as const;

/**
 * Plugs a virtual card into the virtual reader of a real pcscd (vsmartcard's vpcd, Debian package vsmartcard-vpcd). The
 * reader notices at its next look, after half a second at most. Plugging in again after a break is the caller's affair.
 * @throws {VpcdError} if the reader cannot be reached; the reason of `signal` if that aborts first.
 */
export async function plugIntoVpcd(card: VirtualCard, options: VpcdOptions = {}): Promise<PluggedCard> {
  const { host = "127.0.0.1", port = VPCD_PORT, signal } = options;
  signal?.throwIfAborted();
  const socket = connect({ host, port, noDelay: true });
  try {
    await once(socket, "connect", { signal });
  } catch (cause) {
    socket.destroy();
    signal?.throwIfAborted();
    throw new VpcdError(
      `no virtual reader at ${host}:${port}; start pcscd with the vpcd driver (Debian package vsmartcard-vpcd)`,
      { cause },
    );
  }
  return new Plug(socket, card, signal);
}

class Plug implements PluggedCard {
  readonly removed: Promise<void>;
  readonly #socket: Socket;
  readonly #card: VirtualCard;
  readonly #frames = new FrameReader();
  readonly #queue = new SerialQueue();

  constructor(socket: Socket, card: VirtualCard, signal?: AbortSignal) {
    this.#socket = socket;
    this.#card = card;
    card.reset();
    this.removed = this.#end(signal);
    // Nobody has to ask why the card is out.
    this.removed.catch(() => undefined);
    socket.on("data", (chunk: Buffer) => {
      for (const message of this.#frames.push(chunk)) void this.#queue.run(() => this.#answer(message));
    });
  }

  async remove(): Promise<void> {
    this.#socket.destroy();
    await this.removed.catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  async #end(signal?: AbortSignal): Promise<void> {
    const stop = onAbort(signal, () => void this.#socket.destroy());
    try {
      await new Promise<void>((resolve, reject) => {
        this.#socket.on("error", reject).on("close", resolve);
      });
    } catch (cause) {
      throw new VpcdError("the virtual reader or the card in it failed; see whether pcscd still runs", { cause });
    } finally {
      stop();
      this.#card.reset();
    }
  }

  /** A card that fails, or says what no frame can hold, is as good as out. */
  async #answer(message: Uint8Array): Promise<void> {
    try {
      const answer = message.length === 1 ? this.#control(message[0]) : await this.#card.transmit(message);
      if (answer !== undefined && this.#socket.writable) this.#socket.write(encodeFrame(answer));
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : undefined);
    }
  }

  /** Power and reset have no answer; unknown controls neither. */
  #control(code: number | undefined): Uint8Array | undefined {
    if (code === CONTROL.GET_ATR) return this.#card.atr;
    if (code === CONTROL.POWER_OFF || code === CONTROL.POWER_ON || code === CONTROL.RESET) this.#card.reset();
    return undefined;
  }
}
