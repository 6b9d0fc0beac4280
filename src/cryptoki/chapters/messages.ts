import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { CKF_MESSAGE } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { EncryptedMessage, MessageCipher } from "../mechanisms/message-cipher.ts";
import { cipherMessages, keyedInit } from "./key-use.ts";

// A message that is wrong ends with its error; the operation goes on with the next (PKCS#11 3.1 sections 5.9 and 5.11).

type Direction = "encrypt" | "decrypt";

export const messageEncryptInit = keyedInit("message-encrypt", "encrypt", cipherMessages);
export const messageDecryptInit = keyedInit("message-decrypt", "decrypt", cipherMessages);

export const encryptMessage = (
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

export const decryptMessage = (
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

export const messageBegin =
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

export const encryptMessageNext = (
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
    (cipher) => {
      requireBytes(part, "the part");
      return cipher.encryptNext(parameter, part, isLast(flags));
    },
    signal,
  );

export const decryptMessageNext = (
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
    (cipher) => {
      requireBytes(part, "the part");
      return cipher.decryptNext(parameter, part, isLast(flags));
    },
    signal,
  );

export const messageFinal =
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
  work: (cipher: MessageCipher) => T,
  signal?: AbortSignal,
): Promise<T> {
  return application.inSession(handle, ({ operations }) => work(operations.get(`message-${direction}`).stream), signal);
}

/** "A call ... which results in an error terminates the current message." */
function withMessage<T>(
  application: Application,
  handle: number,
  direction: Direction,
  work: (cipher: MessageCipher) => T,
  signal?: AbortSignal,
): Promise<T> {
  return withCipher(
    application,
    handle,
    direction,
    (cipher) => {
      if (!cipher.isOpen) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no message was begun");
      try {
        return work(cipher);
      } catch (error) {
        cipher.wipe();
        throw error;
      }
    },
    signal,
  );
}

function requireNoneOpen({ isOpen }: { readonly isOpen: boolean }): void {
  if (isOpen) throw new CryptokiError(CKR.OPERATION_ACTIVE, "a message is under way; end it with CKF.END_OF_MESSAGE");
}

function isLast(flags: number): boolean {
  if (flags === 0 || flags === CKF_MESSAGE.END_OF_MESSAGE) return flags !== 0;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "flags are 0, or CKF.END_OF_MESSAGE with the last part");
}
