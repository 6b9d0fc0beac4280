import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { transformPart, transformWhole } from "../mechanisms/operation.ts";
import { decryptOperation, encryptOperation, keyedInit } from "./key-use.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION, MECHANISM, KEY } from "../chapter.ts";
import { requireBytes } from "../errors.ts";

/**
 * Encryption functions (PKCS#11 3.1 section 5.8). A mechanism of null ends the active operation, as in every ...Init.
 */
export interface EncryptionFunctions {
  C_EncryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  C_Encrypt(session: CK_SESSION_HANDLE, data: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  C_EncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  C_EncryptFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<Uint8Array>;
}

/** Decryption functions (PKCS#11 3.1 section 5.10). */
export interface DecryptionFunctions {
  C_DecryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** With CKM_RSA_PKCS, wrong padding gives other bytes instead of an error, so that there is no padding oracle. */
  C_Decrypt(session: CK_SESSION_HANDLE, encryptedData: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  C_DecryptUpdate(session: CK_SESSION_HANDLE, encryptedPart: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  C_DecryptFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<Uint8Array>;
}

// C_Encrypt and C_Decrypt share this code.

type Direction = "encrypt" | "decrypt";

/** The whole message in one call. */
function transform(
  application: Application,
  handle: number,
  direction: Direction,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get(direction).requireWhole();
      return operations.finish(direction, ({ stream }) => {
        requireBytes(data, "the data");
        return transformWhole(stream, data, signal);
      });
    },
    signal,
  );
}

function transformNext(
  application: Application,
  handle: number,
  direction: Direction,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.step(direction, (operation) => {
        requireBytes(part, "the part");
        return transformPart(operation.begin(), part);
      }),
    signal,
  );
}

function transformFinal(
  application: Application,
  handle: number,
  direction: Direction,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish(direction, ({ stream }) => stream.final(signal)),
    signal,
  );
}

const encryptInit = keyedInit("encrypt", "encrypt", encryptOperation);

const encrypt = (
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transform(application, handle, "encrypt", data, signal);

const encryptUpdate = (
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transformNext(application, handle, "encrypt", part, signal);

const encryptFinal = (application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> =>
  transformFinal(application, handle, "encrypt", signal);

const decryptInit = keyedInit("decrypt", "decrypt", decryptOperation);

const decrypt = (
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transform(application, handle, "decrypt", data, signal);

const decryptUpdate = (
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transformNext(application, handle, "decrypt", part, signal);

const decryptFinal = (application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> =>
  transformFinal(application, handle, "decrypt", signal);

export const ENCRYPTION: Chapter<EncryptionFunctions> = {
  title: "Encryption",
  source: "PKCS#11 3.1 section 5.8",
  functions: {
    C_EncryptInit: { state: "software", parameters: [SESSION, MECHANISM, KEY], result: "none", body: encryptInit },
    C_Encrypt: { state: "software", parameters: [SESSION, ["pData", "secret"]], result: "bytes", body: encrypt },
    C_EncryptUpdate: {
      state: "software",
      parameters: [SESSION, ["pPart", "secret"]],
      result: "bytes",
      body: encryptUpdate,
    },
    C_EncryptFinal: { state: "software", parameters: [SESSION], result: "bytes", body: encryptFinal },
  },
};

export const DECRYPTION: Chapter<DecryptionFunctions> = {
  title: "Decryption",
  source: "PKCS#11 3.1 section 5.10",
  functions: {
    C_DecryptInit: {
      state: "card and software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: decryptInit,
    },
    C_Decrypt: {
      state: "card and software",
      parameters: [SESSION, ["pEncryptedData", "bytes"]],
      result: "secret",
      body: decrypt,
    },
    C_DecryptUpdate: {
      state: "card and software",
      parameters: [SESSION, ["pEncryptedPart", "bytes"]],
      result: "secret",
      body: decryptUpdate,
    },
    C_DecryptFinal: { state: "card and software", parameters: [SESSION], result: "secret", body: decryptFinal },
  },
};
