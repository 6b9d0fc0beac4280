import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { CKF_MESSAGE } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, requireBytes } from "../errors.ts";
import type { EncryptedMessage, MessageCipher, MessageParameter } from "../mechanisms/message-cipher.ts";
import { cipherMessages, keyedInit } from "./key-use.ts";
import type { CK_MESSAGE_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_FLAGS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION, MECHANISM, KEY, MESSAGE, AAD } from "../chapter.ts";

/**
 * Messages that are encrypted and decrypted, many with one key (PKCS#11 3.1 sections 5.9 and 5.11). A message that
 * fails ends with its error, and the next one may follow.
 */
export interface MessageFunctions {
  /** With CKM.AES_GCM or CKM.AES_CCM. The mechanism's parameter is ignored: each message has its own. */
  C_MessageEncryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MESSAGE_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** @returns The ciphertext, and the parameter with the generated IV and the tag. */
  C_EncryptMessage(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    options?: CallOptions,
  ): Promise<EncryptedMessage>;

  C_EncryptMessageBegin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * @param parameter As with {@link C_EncryptMessageBegin}, or null: the generated values are returned with the last
   *   part.
   * @param flags CKF.END_OF_MESSAGE with the last part.
   * @returns The whole message, with its last part.
   */
  C_EncryptMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter | null,
    part: Uint8Array,
    flags: CK_FLAGS,
    options?: CallOptions,
  ): Promise<EncryptedMessage | undefined>;

  C_MessageEncryptFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;

  C_MessageDecryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MESSAGE_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** @throws {CryptokiError} CKR_AEAD_DECRYPT_FAILED if the message, its tag or the associated data was changed. */
  C_DecryptMessage(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array>;

  C_DecryptMessageBegin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * @param parameter As with {@link C_DecryptMessageBegin}, or null. If it did not have the tag, that of the last part
   *   has it.
   * @param flags CKF.END_OF_MESSAGE with the last part.
   * @returns The whole message, with its last part: no plaintext is returned before the tag is verified.
   */
  C_DecryptMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter | null,
    part: Uint8Array,
    flags: CK_FLAGS,
    options?: CallOptions,
  ): Promise<Uint8Array | undefined>;

  C_MessageDecryptFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;
}

// A wrong message ends with its error; the operation continues with the next (PKCS#11 3.1 sections 5.9 and 5.11).

type Direction = "encrypt" | "decrypt";

const messageEncryptInit = keyedInit("message-encrypt", "encrypt", cipherMessages);
const messageDecryptInit = keyedInit("message-decrypt", "decrypt", cipherMessages);

const encryptMessage = (
  application: Application,
  handle: number,
  parameter: unknown,
  associatedData: Uint8Array,
  plaintext: Uint8Array,
  signal?: AbortSignal,
): Promise<EncryptedMessage> =>
  withCipher(
    application,
    handle,
    "encrypt",
    (cipher) => {
      requireBytes(associatedData, "the associated data");
      requireBytes(plaintext, "the plaintext");
      requireNoneOpen(cipher);
      return cipher.encrypt(parameter, associatedData, plaintext);
    },
    signal,
  );

const decryptMessage = (
  application: Application,
  handle: number,
  parameter: unknown,
  associatedData: Uint8Array,
  ciphertext: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> =>
  withCipher(
    application,
    handle,
    "decrypt",
    (cipher) => {
      requireBytes(associatedData, "the associated data");
      requireBytes(ciphertext, "the ciphertext");
      requireNoneOpen(cipher);
      return cipher.decrypt(parameter, associatedData, ciphertext);
    },
    signal,
  );

const messageBegin =
  (direction: Direction) =>
  (
    application: Application,
    handle: number,
    parameter: unknown,
    associatedData: Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> =>
    withCipher(
      application,
      handle,
      direction,
      (cipher) => {
        requireBytes(associatedData, "the associated data");
        requireNoneOpen(cipher);
        cipher.begin(parameter, associatedData, direction === "encrypt");
      },
      signal,
    );

const encryptMessageNext = (
  application: Application,
  handle: number,
  parameter: unknown,
  part: Uint8Array,
  flags: number,
  signal?: AbortSignal,
): Promise<EncryptedMessage | undefined> =>
  withMessage(
    application,
    handle,
    "encrypt",
    async (cipher) => {
      requireBytes(part, "the part");
      return cipher.encryptNext(parameter, part, isLast(flags));
    },
    signal,
  );

const decryptMessageNext = (
  application: Application,
  handle: number,
  parameter: unknown,
  part: Uint8Array,
  flags: number,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> =>
  withMessage(
    application,
    handle,
    "decrypt",
    async (cipher) => {
      requireBytes(part, "the part");
      return cipher.decryptNext(parameter, part, isLast(flags));
    },
    signal,
  );

const messageFinal =
  (direction: Direction) =>
  (application: Application, handle: number, signal?: AbortSignal): Promise<void> =>
    application.inSession(
      handle,
      ({ operations }) => {
        requireNoneOpen(operations.get(`message-${direction}`).stream);
        operations.cancel(`message-${direction}`);
      },
      signal,
    );

function withCipher<T>(
  application: Application,
  handle: number,
  direction: Direction,
  work: (cipher: MessageCipher) => T | Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return application.inSession(handle, ({ operations }) => work(operations.get(`message-${direction}`).stream), signal);
}

/** "A call ... which results in an error terminates the current message." */
function withMessage<T>(
  application: Application,
  handle: number,
  direction: Direction,
  work: (cipher: MessageCipher) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return withCipher(
    application,
    handle,
    direction,
    async (cipher) => {
      if (!cipher.isOpen) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no message was begun");
      try {
        return await work(cipher);
      } catch (error) {
        cipher.wipe();
        throw error;
      }
    },
    signal,
  );
}

function requireNoneOpen({ isOpen }: { readonly isOpen: boolean }): void {
  if (isOpen) throw new CryptokiError(CKR.OPERATION_ACTIVE, "a message is in progress; end it with CKF.END_OF_MESSAGE");
}

function isLast(flags: number): boolean {
  if (flags === 0 || flags === CKF_MESSAGE.END_OF_MESSAGE) return flags !== 0;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "flags are 0, or CKF.END_OF_MESSAGE with the last part");
}

export const MESSAGES: Chapter<MessageFunctions> = {
  title: "Encrypted messages",
  source: "PKCS#11 3.1 sections 5.9 and 5.11",
  functions: {
    C_MessageEncryptInit: {
      state: "software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: messageEncryptInit,
    },
    C_EncryptMessage: {
      state: "software",
      parameters: [SESSION, MESSAGE, AAD, ["pPlaintext", "secret"]],
      result: "value",
      body: encryptMessage,
    },
    C_EncryptMessageBegin: {
      state: "software",
      parameters: [SESSION, MESSAGE, AAD],
      result: "none",
      body: messageBegin("encrypt"),
    },
    C_EncryptMessageNext: {
      state: "software",
      parameters: [SESSION, MESSAGE, ["pPlaintextPart", "secret"], ["flags", "flags"]],
      result: "value",
      body: encryptMessageNext,
    },
    C_MessageEncryptFinal: { state: "software", parameters: [SESSION], result: "none", body: messageFinal("encrypt") },
    C_MessageDecryptInit: {
      state: "software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: messageDecryptInit,
    },
    C_DecryptMessage: {
      state: "software",
      parameters: [SESSION, MESSAGE, AAD, ["pCiphertext", "bytes"]],
      result: "secret",
      body: decryptMessage,
    },
    C_DecryptMessageBegin: {
      state: "software",
      parameters: [SESSION, MESSAGE, AAD],
      result: "none",
      body: messageBegin("decrypt"),
    },
    C_DecryptMessageNext: {
      state: "software",
      parameters: [SESSION, MESSAGE, ["pCiphertextPart", "bytes"], ["flags", "flags"]],
      result: "secret",
      body: decryptMessageNext,
    },
    C_MessageDecryptFinal: { state: "software", parameters: [SESSION], result: "none", body: messageFinal("decrypt") },
  },
};
