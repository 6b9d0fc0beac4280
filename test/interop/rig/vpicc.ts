import { once } from "node:events";
import { createConnection, type Socket } from "node:net";

/** Control bytes of vpcd, the virtual reader: power off, power on and reset need no answer. */
const GET_ATR = 4;

export interface VirtualPicc extends AsyncDisposable {
  /** Commands that came, in order. */
  readonly commands: readonly Uint8Array[];
  /** Power-ups and resets so far. */
  readonly resets: number;
  /** Pulls the card out, at once. */
  remove(): Promise<void>;
}

export interface PiccOptions {
  readonly port: number;
  readonly atr?: Uint8Array;
  /** Answers a command APDU, in its own time; default: an echo of the command and 9000. */
  readonly answer?: (command: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

/** TS, T0 = 80, TD1 = 01 (T=1), TCK. */
const SMALLEST_T1_ATR = Uint8Array.of(0x3b, 0x80, 0x01, 0x81);

const echo = (command: Uint8Array): Uint8Array => Buffer.concat([command, Uint8Array.of(0x90, 0x00)]);

/** Puts a card, which the test answers for, into the virtual reader at `port`. The daemon sees it within half a second. */
export async function insertCard({ port, atr = SMALLEST_T1_ATR, answer = echo }: PiccOptions): Promise<VirtualPicc> {
  const socket = createConnection(port, "127.0.0.1");
  const commands: Uint8Array[] = [];
  let resets = 0;
  let received = Buffer.alloc(0);
  socket.setNoDelay(true);
  await once(socket, "connect");
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
      const message = received.subarray(2, 2 + received.readUInt16BE());
      received = received.subarray(2 + message.length);
      if (message.length > 1) {
        commands.push(message);
        void Promise.resolve(answer(message)).then((response) => {
          send(socket, response);
        });
      } else if (message[0] === GET_ATR) send(socket, atr);
      else if (message[0] !== 0) resets++;
    }
  });
  const remove = async (): Promise<void> => {
    if (socket.destroyed) return;
    const closed = once(socket, "close");
    socket.destroy();
    await closed;
  };
  return {
    commands,
    get resets() {
      return resets;
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}

function send(socket: Socket, message: Uint8Array): void {
  if (!socket.writable) return;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  socket.write(Buffer.concat([length, message]));
}
