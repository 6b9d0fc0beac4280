import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { keyedInit, recoverOperation, signOperation } from "./key-use.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION, MECHANISM, KEY } from "../chapter.ts";
import { requireBytes } from "../errors.ts";

/** Signing functions (PKCS#11 3.1 section 5.13). */
export interface SigningFunctions {
  C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** @returns RSA: as long as the modulus. ECDSA: r || s, each as long as the curve's order. */
  C_Sign(session: CK_SESSION_HANDLE, data: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  C_SignUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, options?: CallOptions): Promise<void>;

  C_SignFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<Uint8Array>;

  /** CKM.RSA_PKCS and CKM.RSA_X_509: signatures with message recovery. */
  C_SignRecoverInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  C_SignRecover(session: CK_SESSION_HANDLE, data: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
}

const signInit = keyedInit("sign", "sign", signOperation);

function sign(application: Application, handle: number, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) => operations.whole("sign", data, signal), signal);
}

function signUpdate(application: Application, handle: number, part: Uint8Array, signal?: AbortSignal): Promise<void> {
  return application.inSession(handle, ({ operations }) => operations.update("sign", part), signal);
}

function signFinal(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish("sign", ({ stream }) => stream.final(signal)),
    signal,
  );
}

const signRecoverInit = keyedInit("sign-recover", "sign-recover", signOperation);

function signRecover(
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) => operations.whole("sign-recover", data, signal), signal);
}

export const verifyRecoverInit = keyedInit("verify-recover", "verify-recover", recoverOperation);

export function verifyRecover(
  application: Application,
  handle: number,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.finish("verify-recover", ({ stream }) => {
        requireBytes(signature, "the signature");
        return stream.recover(signature);
      }),
    signal,
  );
}

export const SIGNING: Chapter<SigningFunctions> = {
  title: "Signing",
  source: "PKCS#11 3.1 section 5.13",
  functions: {
    C_SignInit: { state: "card and software", parameters: [SESSION, MECHANISM, KEY], result: "none", body: signInit },
    C_Sign: { state: "card and software", parameters: [SESSION, ["pData", "bytes"]], result: "bytes", body: sign },
    C_SignUpdate: {
      state: "card and software",
      parameters: [SESSION, ["pPart", "bytes"]],
      result: "none",
      body: signUpdate,
    },
    C_SignFinal: { state: "card and software", parameters: [SESSION], result: "bytes", body: signFinal },
    C_SignRecoverInit: {
      state: "card and software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: signRecoverInit,
    },
    C_SignRecover: {
      state: "card and software",
      parameters: [SESSION, ["pData", "bytes"]],
      result: "bytes",
      body: signRecover,
    },
  },
};
