/** Private keys from files, with the certificates that lie beside them: PEM, DER, PKCS#8, PKCS#1, SEC 1 and PKCS#12, encrypted or not. */
export { KeyFileError } from "./error.ts";
export { type KeyFile, readKeyFile } from "./key-file.ts";
