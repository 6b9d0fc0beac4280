import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, requireBytes } from "../errors.ts";
import { feed } from "../mechanisms/operation.ts";
import { readNoParameter } from "../mechanisms/parameters.ts";
import { keyedInit, signMessages, verifyMessages } from "./key-use.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, KEY, MECHANISM, MESSAGE, SESSION } from "../chapter.ts";

/**
 * Messages that are signed and verified, many with one key (PKCS#11 3.1 sections 5.14 and 5.16). No mechanism here has
 * a parameter for each message.
 */
export interface MessageSignatureFunctions {
  C_MessageSignInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** @param parameter Null: no mechanism here has one for each message. */
  C_SignMessage(
    session: CK_SESSION_HANDLE,
    parameter: null,
    data: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array>;

  C_SignMessageBegin(session: CK_SESSION_HANDLE, parameter: null, options?: CallOptions): Promise<void>;

  /** @param last The message ends with this part. @returns Its signature then. */
  C_SignMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: null,
    part: Uint8Array,
    last: boolean,
    options?: CallOptions,
  ): Promise<Uint8Array | undefined>;

  C_MessageSignFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;

  C_MessageVerifyInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  C_VerifyMessage(
    session: CK_SESSION_HANDLE,
    parameter: null,
    data: Uint8Array,
    signature: Uint8Array,
    options?: CallOptions,
  ): Promise<void>;

  C_VerifyMessageBegin(session: CK_SESSION_HANDLE, parameter: null, options?: CallOptions): Promise<void>;

  /** @param signature Of the whole message, with its last part; null before. */
  C_VerifyMessageNext(
    session: CK_SESSION_HANDLE,
    parameter: null,
    part: Uint8Array,
    signature: Uint8Array | null,
    options?: CallOptions,
  ): Promise<void>;

  C_MessageVerifyFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;
}

const messageSignInit = keyedInit("message-sign", "sign", signMessages);

function signMessage(
  application: Application,
  handle: number,
  parameter: unknown,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    async ({ operations }) => {
      const operation = operations.get("message-sign");
      readNoParameter(parameter);
      requireBytes(data, "the data");
      requireNoneOpen(operation);
      const { stream } = operation.one();
      await feed(stream, data, "the data");
      return stream.final(signal);
    },
    signal,
  );
}

const messageBegin =
  (kind: "message-sign" | "message-verify") =>
  (application: Application, handle: number, parameter: unknown, signal?: AbortSignal): Promise<void> =>
    application.inSession(
      handle,
      ({ operations }) => {
        const operation = operations.get(kind);
        readNoParameter(parameter);
        requireNoneOpen(operation);
        operation.begin();
      },
      signal,
    );

/** @param last The message ends with this part. @returns Its signature then. */
function signMessageNext(
  application: Application,
  handle: number,
  parameter: unknown,
  part: Uint8Array,
  last: boolean,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> {
  return application.inSession(
    handle,
    async ({ operations }) => {
      const operation = operations.get("message-sign");
      const message = operation.current;
      try {
        readNoParameter(parameter);
        const stream = message.begin();
        await feed(stream, part, "the part");
        if (!last) return undefined;
        const signature = await stream.final(signal);
        operation.end();
        return signature;
      } catch (error) {
        operation.end();
        throw error;
      }
    },
    signal,
  );
}

const messageVerifyInit = keyedInit("message-verify", "verify", verifyMessages);

function verifyMessage(
  application: Application,
  handle: number,
  parameter: unknown,
  data: Uint8Array,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async ({ operations }) => {
      const operation = operations.get("message-verify");
      readNoParameter(parameter);
      requireBytes(data, "the data");
      requireBytes(signature, "the signature");
      requireNoneOpen(operation);
      const { stream } = operation.one();
      await feed(stream, data, "the data");
      return stream.final(signature);
    },
    signal,
  );
}

/** @param signature Of the whole message, with its last part; null before. */
function verifyMessageNext(
  application: Application,
  handle: number,
  parameter: unknown,
  part: Uint8Array,
  signature: Uint8Array | null,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async ({ operations }) => {
      const operation = operations.get("message-verify");
      const message = operation.current;
      try {
        readNoParameter(parameter);
        if (signature !== null) requireBytes(signature, "the signature");
        const stream = message.begin();
        await feed(stream, part, "the part");
        if (signature === null) return;
        await stream.final(signature);
        operation.end();
      } catch (error) {
        operation.end();
        throw error;
      }
    },
    signal,
  );
}

const messageFinal =
  (kind: "message-sign" | "message-verify") =>
  (application: Application, handle: number, signal?: AbortSignal): Promise<void> =>
    application.inSession(
      handle,
      ({ operations }) => {
        requireNoneOpen(operations.get(kind));
        operations.cancel(kind);
      },
      signal,
    );

function requireNoneOpen({ isOpen }: { readonly isOpen: boolean }): void {
  if (isOpen) throw new CryptokiError(CKR.OPERATION_ACTIVE, "a message is in progress; end it with its last part");
}

export const MESSAGE_SIGNATURES: Chapter<MessageSignatureFunctions> = {
  title: "Signed messages",
  source: "PKCS#11 3.1 sections 5.14 and 5.16",
  functions: {
    C_MessageSignInit: {
      state: "card and software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: messageSignInit,
    },
    C_SignMessage: {
      state: "card and software",
      parameters: [SESSION, MESSAGE, ["pData", "bytes"]],
      result: "bytes",
      body: signMessage,
    },
    C_SignMessageBegin: {
      state: "card and software",
      parameters: [SESSION, MESSAGE],
      result: "none",
      body: messageBegin("message-sign"),
    },
    C_SignMessageNext: {
      state: "card and software",
      parameters: [SESSION, MESSAGE, ["pDataPart", "bytes"], ["last", "boolean"]],
      result: "bytes",
      body: signMessageNext,
    },
    C_MessageSignFinal: {
      state: "software",
      parameters: [SESSION],
      result: "none",
      body: messageFinal("message-sign"),
    },
    C_MessageVerifyInit: {
      state: "software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: messageVerifyInit,
    },
    C_VerifyMessage: {
      state: "software",
      parameters: [SESSION, MESSAGE, ["pData", "bytes"], ["pSignature", "bytes"]],
      result: "none",
      body: verifyMessage,
    },
    C_VerifyMessageBegin: {
      state: "software",
      parameters: [SESSION, MESSAGE],
      result: "none",
      body: messageBegin("message-verify"),
    },
    C_VerifyMessageNext: {
      state: "software",
      parameters: [SESSION, MESSAGE, ["pDataPart", "bytes"], ["pSignature", "bytes"]],
      result: "none",
      body: verifyMessageNext,
    },
    C_MessageVerifyFinal: {
      state: "software",
      parameters: [SESSION],
      result: "none",
      body: messageFinal("message-verify"),
    },
  },
};
