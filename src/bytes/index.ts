/** Bytes: hexadecimal, text, joining, comparing, checked reading, and secrets. No I/O. */
export {
  concat,
  type Concealment,
  concatSecret,
  copySecret,
  countUtf8,
  DataError,
  equalBytes,
  fromHex,
  fromUtf8,
  secretBytes,
  secretUtf8,
  startsWith,
  toHex,
  tryParse,
  utf8,
  wipe,
} from "./bytes.ts";
export { decodePem, encodePem, fromBase64Url, toBase64Url } from "./pem.ts";
export { nearestTo } from "./nearest.ts";
export { ByteReader } from "./reader.ts";
