import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { SignatureScheme, Stream } from "./scheme.ts";

/** Takes the message out of a signature that holds it. */
export interface Recoverer extends Stream {
  /** @throws {CryptokiError} CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID. */
  recover(signature: Uint8Array): Uint8Array;
}

/** @throws {CryptokiError} CKR_MECHANISM_INVALID if the scheme's signatures hold no message. */
export function schemeRecoverer(scheme: SignatureScheme): Recoverer {
  const recover = scheme.recover?.bind(scheme);
  if (!recover) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return {
    recover(signature) {
      if (signature.length !== scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
      return recover(signature);
    },
    wipe: () => undefined,
  };
}
