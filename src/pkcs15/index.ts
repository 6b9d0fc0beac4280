/**
 * Cards with a file system of ISO/IEC 7816-15, which PKCS #15 was before: directory files list keys, certificates, data objects and
 * the PINs that guard them, and ISO/IEC 7816-8 uses the keys. Each user PIN is a token.
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
