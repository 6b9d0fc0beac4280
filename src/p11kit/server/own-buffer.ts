import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import { copySecret, secretBytes } from "../../bytes/index.ts";

/** Bytes of one read. */
const READ_SIZE = 65_536;

/** Undocumented fields of Node's sockets. */
interface HandleHolder {
  _handle?: object | null;
}

interface UndocumentedOptions {
  readonly handle: object;
  readonly readableHighWaterMark: number;
  readonly onread: OnReadOpts;
}

/**
 * Returns the same connection, read through our own buffer, which is wiped after each read. Otherwise Node reads into
 * blocks of memory that it frees with a PIN still in them (node, src/stream_base.cc,
 * `EmitToJSStreamListener::OnStreamRead`). Its `onread` option is meant for this, but a server cannot set it for
 * accepted sockets, so the handle moves to a new socket that has it.
 *
 * Chunks are delivered one by one: a stream that joins several leaves the originals in memory.
 * @param socket Nothing may have been read from it yet (`pauseOnConnect`).
 * @returns `socket` itself if it has no handle that can move.
 */
export function readThroughOwnBuffer(socket: Socket): Socket {
  const holder = socket as unknown as HandleHolder;
  const { _handle: handle } = holder;
  if (handle === undefined || handle === null) return socket;
  holder._handle = null;
  // The server does not count it any more; the handle stays open.
  socket.destroy();
  const buffer = secretBytes(READ_SIZE);
  const options: SocketConstructorOpts & UndocumentedOptions = {
    handle,
    readableHighWaterMark: 1,
    onread: {
      buffer,
      callback: (length) => {
        const chunk = copySecret(buffer.subarray(0, length));
        buffer.fill(0, 0, length);
        return own.push(chunk);
      },
    },
  };
  const own = new Socket(options);
  return own;
}
