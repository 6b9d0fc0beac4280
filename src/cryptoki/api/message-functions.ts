import * as messages from "../chapters/messages.ts";
import * as signatures from "../chapters/message-signatures.ts";
import type { EncryptedMessage, MessageParameter } from "../mechanisms/message-cipher.ts";
import type { CK_FLAGS, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { DualFunctions } from "./dual-functions.ts";

const encryptBegin = messages.messageBegin("encrypt");
const decryptBegin = messages.messageBegin("decrypt");
const encryptFinal = messages.messageFinal("encrypt");
const decryptFinal = messages.messageFinal("decrypt");
const signBegin = signatures.messageBegin("message-sign");
const verifyBegin = signatures.messageBegin("message-verify");
const signFinal = signatures.messageFinal("message-sign");
const verifyFinal = signatures.messageFinal("message-verify");

/**
 * Message-based functions (PKCS#11 3.1 sections 5.9, 5.11, 5.14 and 5.16): many messages with one key. A message that fails ends
 * with its error, and the next one may come.
 */
export abstract class MessageFunctions extends DualFunctions {
  /** With CKM.AES_GCM or CKM.AES_CCM. A parameter means nothing here: each message has its own. */
  C_MessageEncryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageEncryptInit", signal, messages.messageEncryptInit, session, mechanism, key, signal);
  }

  /** @returns The ciphertext, and the parameter with the IV that was made and the tag. */
  C_EncryptMessage(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    signal?: AbortSignal,
  ): Promise<EncryptedMessage> {
    return this.call(
      "C_EncryptMessage",
      signal,
      messages.encryptMessage,
      session,
      parameter,
      associatedData,
      plaintext,
      signal,
    );
  }

  C_EncryptMessageBegin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_EncryptMessageBegin", signal, encryptBegin, session, parameter, associatedData, signal);
  }

  /**
   * @param parameter As with {@link C_EncryptMessageBegin}, or null: what was made for the message is told with the last part.
   * @param flags CKF.END_OF_MESSAGE with the last part.
   * @returns The whole message, with its last part.
   */
  C_EncryptMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter | null,
    part: Uint8Array,
    flags: CK_FLAGS,
    signal?: AbortSignal,
  ): Promise<EncryptedMessage | undefined> {
    return this.call(
      "C_EncryptMessageNext",
      signal,
      messages.encryptMessageNext,
      session,
      parameter,
      part,
      flags,
      signal,
    );
  }

  C_MessageEncryptFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_MessageEncryptFinal", signal, encryptFinal, session, signal);
  }

  C_MessageDecryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageDecryptInit", signal, messages.messageDecryptInit, session, mechanism, key, signal);
  }

  /** @throws {CryptokiError} CKR_AEAD_DECRYPT_FAILED if the message, its tag or the associated data was changed. */
  C_DecryptMessage(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.call(
      "C_DecryptMessage",
      signal,
      messages.decryptMessage,
      session,
      parameter,
      associatedData,
      ciphertext,
      signal,
    );
  }

  C_DecryptMessageBegin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_DecryptMessageBegin", signal, decryptBegin, session, parameter, associatedData, signal);
  }

  /**
   * @param parameter As with {@link C_DecryptMessageBegin}, or null. If it did not have the tag, that of the last part has it.
   * @param flags CKF.END_OF_MESSAGE with the last part.
   * @returns The whole message, with its last part: nothing is shown before the tag is known to be right.
   */
  C_DecryptMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter | null,
    part: Uint8Array,
    flags: CK_FLAGS,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    return this.call(
      "C_DecryptMessageNext",
      signal,
      messages.decryptMessageNext,
      session,
      parameter,
      part,
      flags,
      signal,
    );
  }

  C_MessageDecryptFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_MessageDecryptFinal", signal, decryptFinal, session, signal);
  }

  C_MessageSignInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageSignInit", signal, signatures.messageSignInit, session, mechanism, key, signal);
  }

  /** @param parameter Null: no mechanism here has one for each message. */
  C_SignMessage(
    session: CK_SESSION_HANDLE,
    parameter: null,
    data: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.call("C_SignMessage", signal, signatures.signMessage, session, parameter, data, signal);
  }

  C_SignMessageBegin(session: CK_SESSION_HANDLE, parameter: null, signal?: AbortSignal): Promise<void> {
    return this.call("C_SignMessageBegin", signal, signBegin, session, parameter, signal);
  }

  /** @param last The message ends with this part. @returns Its signature then. */
  C_SignMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: null,
    part: Uint8Array,
    last: boolean,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    return this.call("C_SignMessageNext", signal, signatures.signMessageNext, session, parameter, part, last, signal);
  }

  C_MessageSignFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_MessageSignFinal", signal, signFinal, session, signal);
  }

  C_MessageVerifyInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageVerifyInit", signal, signatures.messageVerifyInit, session, mechanism, key, signal);
  }

  C_VerifyMessage(
    session: CK_SESSION_HANDLE,
    parameter: null,
    data: Uint8Array,
    signature: Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_VerifyMessage", signal, signatures.verifyMessage, session, parameter, data, signature, signal);
  }

  C_VerifyMessageBegin(session: CK_SESSION_HANDLE, parameter: null, signal?: AbortSignal): Promise<void> {
    return this.call("C_VerifyMessageBegin", signal, verifyBegin, session, parameter, signal);
  }

  /** @param signature Of the whole message, with its last part; null before. */
  C_VerifyMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: null,
    part: Uint8Array,
    signature: Uint8Array | null,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call(
      "C_VerifyMessageNext",
      signal,
      signatures.verifyMessageNext,
      session,
      parameter,
      part,
      signature,
      signal,
    );
  }

  C_MessageVerifyFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_MessageVerifyFinal", signal, verifyFinal, session, signal);
  }
}
