import * as messages from "../functions/message.ts";
import * as signatures from "../functions/message-signature.ts";
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
    return this.call("C_MessageEncryptInit", messages.messageEncryptInit, session, mechanism, key, signal);
  }

  /** @returns The ciphertext, and the parameter with the IV that was made and the tag. */
  C_EncryptMessage(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
  ): Promise<EncryptedMessage> {
    return this.call("C_EncryptMessage", messages.encryptMessage, session, parameter, associatedData, plaintext);
  }

  C_EncryptMessageBegin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
  ): Promise<void> {
    return this.call("C_EncryptMessageBegin", encryptBegin, session, parameter, associatedData);
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
  ): Promise<EncryptedMessage | undefined> {
    return this.call("C_EncryptMessageNext", messages.encryptMessageNext, session, parameter, part, flags);
  }

  C_MessageEncryptFinal(session: CK_SESSION_HANDLE): Promise<void> {
    return this.call("C_MessageEncryptFinal", encryptFinal, session);
  }

  C_MessageDecryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageDecryptInit", messages.messageDecryptInit, session, mechanism, key, signal);
  }

  /** @throws {CryptokiError} CKR_AEAD_DECRYPT_FAILED if the message, its tag or the associated data was changed. */
  C_DecryptMessage(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
  ): Promise<Uint8Array> {
    return this.call("C_DecryptMessage", messages.decryptMessage, session, parameter, associatedData, ciphertext);
  }

  C_DecryptMessageBegin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter,
    associatedData: Uint8Array,
  ): Promise<void> {
    return this.call("C_DecryptMessageBegin", decryptBegin, session, parameter, associatedData);
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
  ): Promise<Uint8Array | undefined> {
    return this.call("C_DecryptMessageNext", messages.decryptMessageNext, session, parameter, part, flags);
  }

  C_MessageDecryptFinal(session: CK_SESSION_HANDLE): Promise<void> {
    return this.call("C_MessageDecryptFinal", decryptFinal, session);
  }

  C_MessageSignInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageSignInit", signatures.messageSignInit, session, mechanism, key, signal);
  }

  /** @param parameter Null: no mechanism here has one for each message. */
  C_SignMessage(
    session: CK_SESSION_HANDLE,
    parameter: null,
    data: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.call("C_SignMessage", signatures.signMessage, session, parameter, data, signal);
  }

  C_SignMessageBegin(session: CK_SESSION_HANDLE, parameter: null): Promise<void> {
    return this.call("C_SignMessageBegin", signBegin, session, parameter);
  }

  /** @param last The message ends with this part. @returns Its signature then. */
  C_SignMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: null,
    part: Uint8Array,
    last: boolean,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    return this.call("C_SignMessageNext", signatures.signMessageNext, session, parameter, part, last, signal);
  }

  C_MessageSignFinal(session: CK_SESSION_HANDLE): Promise<void> {
    return this.call("C_MessageSignFinal", signFinal, session);
  }

  C_MessageVerifyInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_MessageVerifyInit", signatures.messageVerifyInit, session, mechanism, key, signal);
  }

  C_VerifyMessage(session: CK_SESSION_HANDLE, parameter: null, data: Uint8Array, signature: Uint8Array): Promise<void> {
    return this.call("C_VerifyMessage", signatures.verifyMessage, session, parameter, data, signature);
  }

  C_VerifyMessageBegin(session: CK_SESSION_HANDLE, parameter: null): Promise<void> {
    return this.call("C_VerifyMessageBegin", verifyBegin, session, parameter);
  }

  /** @param signature Of the whole message, with its last part; null before. */
  C_VerifyMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: null,
    part: Uint8Array,
    signature: Uint8Array | null,
  ): Promise<void> {
    return this.call("C_VerifyMessageNext", signatures.verifyMessageNext, session, parameter, part, signature);
  }

  C_MessageVerifyFinal(session: CK_SESSION_HANDLE): Promise<void> {
    return this.call("C_MessageVerifyFinal", verifyFinal, session);
  }
}
