/**
 * Cards with a file system of ISO/IEC 7816-15, the successor of PKCS #15: directory files list keys, certificates, data
 * objects and the PINs that protect them, and the commands of ISO/IEC 7816-8 use the keys. Each user PIN is a token.
 */
export {
  type CardDescription,
  type DescribedFile,
  describeFiles,
  inspectPkcs15,
  type Pkcs15Inspection,
} from "./inspection.ts";
export { type EndOfFile, readEndOfFile } from "./end-of-file.ts";
export { createPkcs15, pkcs15, type Pkcs15Options } from "./profile.ts";
export type { PublicFileStore } from "./files/public-cache.ts";
