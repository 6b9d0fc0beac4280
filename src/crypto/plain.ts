/** A Node Buffer as the Uint8Array that the rest of the package works with: same bytes, without Buffer's own methods. */
export function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
