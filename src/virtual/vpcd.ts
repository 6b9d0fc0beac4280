import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { onAbort, SerialQueue } from "../async/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import type { VirtualCard } from "./card.ts";

/** The longest message that the two length bytes can announce. */
const MAX_MESSAGE = 65_535;

/**
 * Encodes a message of the vpcd protocol: two bytes of length, most significant first, and the bytes (vsmartcard,
 * vpcd.c).
 * @throws {DataError} if it is empty or too long.
 */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const { length } = message;
  if (length === 0 || length > MAX_MESSAGE)
    throw new DataError(`vpcd message: ${length} bytes; it has 1 to ${MAX_MESSAGE}`);
  return concat(Uint8Array.of(length >> 8, length & 0xff), message);
}

/** Reassembles messages from a byte stream, however TCP split it. */
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

  /** Length of the next message with its length bytes, as far as known; they may arrive separately. */
  #wanted(): number {
    if (this.#buffered < 2) return Number.POSITIVE_INFINITY;
    if ((this.#parts[0]?.length ?? 0) < 2) this.#parts = [concat(...this.#parts)];
    const [high = 0, low = 0] = this.#parts[0] ?? [];
    return 2 + ((high << 8) | low);
  }
}

/**
 * The port of vpcd's first slot, unless its reader configuration says otherwise; the next slots have the next ports.
 */
export const VPCD_PORT = 35_963;

export interface VpcdOptions {
  /** Default: "127.0.0.1". */
  readonly host?: string;
  /** Default: {@link VPCD_PORT}. */
  readonly port?: number;
  /** Removes the card, or ends the attempt to insert it. */
  readonly signal?: AbortSignal;
}

/**
 * The virtual reader cannot be reached, or closed the connection. The message says what to do; the socket's error is
 * the `cause`.
 */
export class VpcdError extends Error {
  override readonly name = "VpcdError";
}

/** A card in a virtual reader; disposing removes it. */
export interface PluggedCard extends AsyncDisposable {
  /**
   * Settles when the card is removed: by {@link remove}, the signal, or the reader's end.
   * @throws {VpcdError} (as a rejection) if the connection failed.
   */
  readonly removed: Promise<void>;
  /** Removes the card. Idempotent. */
  remove(): Promise<void>;
}

/** One-byte messages from the reader; anything longer is a command APDU. */
const CONTROL = { POWER_OFF: 0x00, POWER_ON: 0x01, RESET: 0x02, GET_ATR: 0x04 } as const;

/**
 * Inserts a virtual card into the virtual reader of a real pcscd (vsmartcard's vpcd, Debian package vsmartcard-vpcd).
 * The reader polls, and notices within half a second. Inserting it again after a failure is the caller's task.
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
    // The caller may ignore the promise without an unhandled rejection.
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
      throw new VpcdError("the virtual reader or its card failed; check whether pcscd still runs", { cause });
    } finally {
      stop();
      this.#card.reset();
    }
  }

  /** On a card error, or an answer that does not fit a frame, disconnects: vpcd sees a removal. */
  async #answer(message: Uint8Array): Promise<void> {
    try {
      const answer = message.length === 1 ? this.#control(message[0]) : await this.#card.transmit(message);
      if (answer !== undefined && this.#socket.writable) this.#socket.write(encodeFrame(answer));
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : undefined);
    }
  }

  /** Power and reset have no answer; unknown control messages neither. */
  #control(code: number | undefined): Uint8Array | undefined {
    if (code === CONTROL.GET_ATR) return this.#card.atr;
    if (code === CONTROL.POWER_OFF || code === CONTROL.POWER_ON || code === CONTROL.RESET) this.#card.reset();
    return undefined;
  }
}
