/** Bytes: hexadecimal, text, joining, comparing, checked reading, and secrets. No I/O. */
export {
  concat,
  countUtf8,
  DataError,
  equalBytes,
  fromHex,
  fromUtf8,
  startsWith,
  toHex,
  tryParse,
  utf8,
} from "./bytes.ts";
export { decodePem, encodePem, fromBase64Url, toBase64Url } from "./pem.ts";
export { ByteReader } from "./reader.ts";
export { concatSecret, type Concealment, copySecret, secretBytes, secretUtf8, wipe } from "./secret.ts";
