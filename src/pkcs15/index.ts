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
export { createPkcs15, pkcs15 } from "./profile.ts";
export type { Pkcs15Options } from "./options.ts";
export type { PublicFileStore } from "./files/public-cache.ts";

// What a dialect of another make is written with: createPkcs15({ dialects: [...] }).
export {
  type Dialect,
  type KeyGuard,
  type KeyKeeping,
  type KeyMaking,
  type MadeKeyType,
  mechanisms as mechanismRanges,
} from "./dialect.ts";
export { GENERIC as genericDialect, standardUse } from "./dialects/generic.ts";
export type { CardSession } from "./files/card-session.ts";
export { computeSignature, decipher, type FileControl, setEnvironment, TEMPLATE } from "./files/commands.ts";
export type { FilePath } from "./files/paths.ts";
export {
  algorithm as algorithmField,
  ecdsaAnswer,
  file as fileField,
  type KeyFacts,
  type KeyOperation,
  keyReference as keyField,
  type KeyRequest,
  type KeyUse,
  message as messageAnswer,
  refuse as refuseUse,
  sharedX as sharedAnswer,
  wholeBlock as rsaAnswer,
} from "./keys/key-use.ts";
export type { PrivateKeyParts } from "./keys/private-key-info.ts";
export type { Send as CardSend, TokenLife, Variables as TokenVariables } from "./initialising/life.ts";
export type { CardFacts, CardRecogniser } from "./recognition/makes.ts";
export type { PinEntry, PinType } from "./syntax/authentication.ts";
export type { Flags } from "./syntax/fields.ts";
export type { AccessRule, ObjectHead, SecurityCondition } from "./syntax/object.ts";
export type { FileReference } from "./syntax/path.ts";
export type { AlgorithmInfo } from "./syntax/token-info.ts";
export type { FileWays } from "./writing/allocation.ts";

// Shares of the key under which keys leave a SmartCard-HSM, in files of sc-hsm-tool.
export { decryptDkekShare, encryptDkekShare, newDkekShare, type ShareFileOptions } from "./dkek/share-file.ts";
export { joinPassword, newSharedPassword, type PasswordShare, splitPassword } from "./dkek/threshold.ts";
