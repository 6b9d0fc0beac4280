import type { CallOptions } from "../async/index.ts";
import type { PublicKey, SignatureScheme, TokenCertificate } from "../tokens/index.ts";

/** A key that signs, such as a Key of a token. */
export interface SigningKey {
  publicKey(options?: CallOptions): Promise<PublicKey>;
  sign(data: Uint8Array, options?: SignatureScheme & CallOptions): Promise<Uint8Array>;
  /** Its certificate; formats that need one take it from here where none is given. */
  certificate?(options?: CallOptions): Promise<TokenCertificate>;
}
