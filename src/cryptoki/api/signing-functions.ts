import * as recovering from "../chapters/signing.ts";
import * as signing from "../chapters/signing.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { DigestFunctions } from "./digest-functions.ts";

/** Signing functions (PKCS#11 3.1 section 5.13). */
export abstract class SigningFunctions extends DigestFunctions {
  C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_SignInit", signal, signing.signInit, session, mechanism, key, signal);
  }

  /** @returns RSA: as long as the modulus. ECDSA: r || s, each as long as the curve's order. */
  C_Sign(session: CK_SESSION_HANDLE, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_Sign", signal, signing.sign, session, data, signal);
  }

  C_SignUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.call("C_SignUpdate", signal, signing.signUpdate, session, part, signal);
  }

  C_SignFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_SignFinal", signal, signing.signFinal, session, signal);
  }

  /** CKM.RSA_PKCS and CKM.RSA_X_509: signatures that hold what they sign. */
  C_SignRecoverInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_SignRecoverInit", signal, recovering.signRecoverInit, session, mechanism, key, signal);
  }

  C_SignRecover(session: CK_SESSION_HANDLE, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_SignRecover", signal, recovering.signRecover, session, data, signal);
  }
}
