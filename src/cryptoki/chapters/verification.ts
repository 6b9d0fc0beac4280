import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { keyedInit, verifyOperation } from "./key-use.ts";
import { verifyRecover, verifyRecoverInit } from "./signing.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION, MECHANISM, KEY } from "../chapter.ts";
import { requireBytes } from "../errors.ts";

/** Functions for verifying signatures (PKCS#11 3.1 section 5.15): by the host, with public keys. */
export interface VerificationFunctions {
  C_VerifyInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** @throws {CryptokiError} CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE. */
  C_Verify(session: CK_SESSION_HANDLE, data: Uint8Array, signature: Uint8Array, options?: CallOptions): Promise<void>;

  C_VerifyUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, options?: CallOptions): Promise<void>;

  C_VerifyFinal(session: CK_SESSION_HANDLE, signature: Uint8Array, options?: CallOptions): Promise<void>;

  C_VerifyRecoverInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /** @returns What was signed. @throws {CryptokiError} CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE. */
  C_VerifyRecover(session: CK_SESSION_HANDLE, signature: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
}

const verifyInit = keyedInit("verify", "verify", verifyOperation);

function verify(
  application: Application,
  handle: number,
  data: Uint8Array,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get("verify").requireWhole();
      return operations.finish("verify", async (operation) => {
        requireBytes(data, "the data");
        requireBytes(signature, "the signature");
        await operations.feed(operation, data);
        return operation.stream.final(signature);
      });
    },
    signal,
  );
}

function verifyUpdate(application: Application, handle: number, part: Uint8Array, signal?: AbortSignal): Promise<void> {
  return application.inSession(handle, ({ operations }) => operations.update("verify", part), signal);
}

function verifyFinal(
  application: Application,
  handle: number,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.finish("verify", ({ stream }) => {
        requireBytes(signature, "the signature");
        return stream.final(signature);
      }),
    signal,
  );
}

export const VERIFICATION: Chapter<VerificationFunctions> = {
  title: "Verifying signatures",
  source: "PKCS#11 3.1 section 5.15",
  functions: {
    C_VerifyInit: { state: "software", parameters: [SESSION, MECHANISM, KEY], result: "none", body: verifyInit },
    C_Verify: {
      state: "software",
      parameters: [SESSION, ["pData", "bytes"], ["pSignature", "bytes"]],
      result: "none",
      body: verify,
    },
    C_VerifyUpdate: {
      state: "software",
      parameters: [SESSION, ["pPart", "bytes"]],
      result: "none",
      body: verifyUpdate,
    },
    C_VerifyFinal: {
      state: "software",
      parameters: [SESSION, ["pSignature", "bytes"]],
      result: "none",
      body: verifyFinal,
    },
    C_VerifyRecoverInit: {
      state: "software",
      parameters: [SESSION, MECHANISM, KEY],
      result: "none",
      body: verifyRecoverInit,
    },
    C_VerifyRecover: {
      state: "software",
      parameters: [SESSION, ["pSignature", "bytes"]],
      result: "bytes",
      body: verifyRecover,
    },
  },
};
