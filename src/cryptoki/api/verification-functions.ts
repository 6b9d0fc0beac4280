import * as recovering from "../chapters/signing.ts";
import * as verifying from "../chapters/verification.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { SigningFunctions } from "./signing-functions.ts";

/** Functions for verifying signatures (PKCS#11 3.1 section 5.15): by the host, with public keys. */
export abstract class VerificationFunctions extends SigningFunctions {
  C_VerifyInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_VerifyInit", signal, verifying.verifyInit, session, mechanism, key, signal);
  }

  /** @throws {CryptokiError} CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE. */
  C_Verify(session: CK_SESSION_HANDLE, data: Uint8Array, signature: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.call("C_Verify", signal, verifying.verify, session, data, signature, signal);
  }

  C_VerifyUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.call("C_VerifyUpdate", signal, verifying.verifyUpdate, session, part, signal);
  }

  C_VerifyFinal(session: CK_SESSION_HANDLE, signature: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.call("C_VerifyFinal", signal, verifying.verifyFinal, session, signature, signal);
  }

  C_VerifyRecoverInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_VerifyRecoverInit", signal, recovering.verifyRecoverInit, session, mechanism, key, signal);
  }

  /** @returns What was signed. @throws {CryptokiError} CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE. */
  C_VerifyRecover(session: CK_SESSION_HANDLE, signature: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_VerifyRecover", signal, recovering.verifyRecover, session, signature, signal);
  }
}
