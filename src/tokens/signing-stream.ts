/** A stream that passes data on, and the signature of what went through. */
export interface SigningStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly signature: Promise<Uint8Array>;
}

/** Data that goes through also goes to `sign`. The end of either side, by an error or a cancellation, ends `sign` too. */
export function signingStream(sign: (data: ReadableStream<Uint8Array>) => Promise<Uint8Array>): SigningStream {
  const passed = new TransformStream<Uint8Array, Uint8Array>();
  const copied = new TransformStream<Uint8Array, Uint8Array>();
  const out = passed.writable.getWriter();
  const copy = copied.writable.getWriter();
  const giveUp = (reason: unknown): void => {
    copy.abort(reason).catch(() => undefined);
    // A part that nothing has read yet holds up the abort.
    if (!copied.readable.locked) copied.readable.cancel(reason).catch(() => undefined);
  };
  const signature = sign(copied.readable);
  // It is told by `signature`; the stream only passes data on.
  signature.catch(giveUp);
  // The reading side was cancelled: no more data comes.
  out.closed.catch(giveUp);
  copy.closed.catch(() => undefined);
  const writable = new WritableStream<Uint8Array>({
    write: async (part) => {
      await copy.write(Uint8Array.from(part)).catch(() => undefined);
      await out.write(part);
    },
    close: async () => {
      await copy.close().catch(() => undefined);
      await out.close();
    },
    abort: async (reason) => {
      giveUp(reason);
      await out.abort(reason);
    },
  });
  return { readable: passed.readable, writable, signature };
}
