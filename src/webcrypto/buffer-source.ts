/**
 * A copy of the bytes of a BufferSource, to be made before anything is waited for: what the caller does to them afterwards does not
 * matter (Web IDL, "get a copy of the bytes held by the buffer source").
 * @throws {TypeError} if it is none.
 */
export function copyOf(source: unknown, what = "the data"): Uint8Array {
  if (ArrayBuffer.isView(source)) {
    return Uint8Array.from(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  }
  try {
    // Takes buffers of other realms too, and nothing else.
    return new Uint8Array(ArrayBuffer.prototype.slice.call(source, 0));
  } catch (cause) {
    throw new TypeError(`${what} must be an ArrayBuffer or a view of one`, { cause });
  }
}

/** As WebCrypto gives bytes: in a buffer of exactly their length. */
export function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}
