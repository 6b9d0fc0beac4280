/** Bytes: hexadecimal, text, joining, comparing, wiping and checked reading. No I/O. */
export { concat, equalBytes, startsWith, wipe } from "./bytes.ts";
export { DataError } from "./error.ts";
export { fromHex, toHex } from "./hex.ts";
export { ByteReader } from "./reader.ts";
export { fromUtf8, utf8 } from "./text.ts";
