import { type TokenCertificate, TokenError } from "../tokens/index.ts";

/** The fingerprint of a certificate's key; undefined for a type of key that is not known here. */
export function fingerprintOf(certificate: TokenCertificate): string | undefined {
  try {
    return certificate.publicKey.fingerprint();
  } catch (error) {
    if (error instanceof TokenError && error.is("BAD_INPUT")) return undefined;
    throw error;
  }
}
