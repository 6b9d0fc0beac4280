/** Bytes: hexadecimal, text, joining, comparing, checked reading, and secrets. No I/O. */
export { concat, equalBytes, startsWith } from "./bytes.ts";
export { DataError, tryParse } from "./error.ts";
export { fromHex, toHex } from "./hex.ts";
export { ByteReader } from "./reader.ts";
export type { Concealment } from "./secret.ts";
export { concatSecret, copySecret, secretBytes, secretUtf8, wipe } from "./secret.ts";
export { countUtf8, fromUtf8, utf8 } from "./text.ts";
