import type * as NodeCrypto from "node:crypto";

// Node's own modules by process.getBuiltinModule, which is no import: a bundle for a browser needs nothing in their place.

/** Whether the runtime has Node's modules. */
export function hasNode(): boolean {
  return typeof process !== "undefined" && typeof process.getBuiltinModule === "function";
}

let loaded: typeof NodeCrypto | undefined;

/** node:crypto, loaded at the first use. */
export function nodeCrypto(): typeof NodeCrypto {
  loaded ??= process.getBuiltinModule("node:crypto");
  return loaded;
}

/** A Node Buffer as the Uint8Array that the rest of the package works with: same bytes, without Buffer's own methods. */
export function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
