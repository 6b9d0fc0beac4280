import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import { readNoParameter } from "../mechanisms/parameters.ts";
import { keyedInit, signMessages, verifyMessages } from "./key-use.ts";

// Many messages signed or verified with one key (PKCS#11 3.1 sections 5.14 and 5.16). No mechanism here has a parameter for each.

export const messageSignInit = keyedInit("message-sign", "sign", signMessages);

export function signMessage(
  application: Application,
  handle: number,
  parameter: unknown,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => {
      const operation = operations.get("message-sign");
      readNoParameter(parameter);
      requireBytes(data, "the data");
      requireNoneOpen(operation);
      const { stream } = operation.one();
      stream.update(data);
      return stream.final(signal);
    },
    signal,
  );
}

export const messageBegin =
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
export function signMessageNext(
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
        requireBytes(part, "the part");
        const stream = message.begin();
        stream.update(part);
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

export const messageVerifyInit = keyedInit("message-verify", "verify", verifyMessages);

export function verifyMessage(
  application: Application,
  handle: number,
  parameter: unknown,
  data: Uint8Array,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) => {
      const operation = operations.get("message-verify");
      readNoParameter(parameter);
      requireBytes(data, "the data");
      requireBytes(signature, "the signature");
      requireNoneOpen(operation);
      const { stream } = operation.one();
      stream.update(data);
      return stream.final(signature);
    },
    signal,
  );
}

/** @param signature Of the whole message, with its last part; null before. */
export function verifyMessageNext(
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
        requireBytes(part, "the part");
        if (signature !== null) requireBytes(signature, "the signature");
        const stream = message.begin();
        stream.update(part);
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

export const messageFinal =
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
  if (isOpen) throw new CryptokiError(CKR.OPERATION_ACTIVE, "a message is under way; end it with its last part");
}
