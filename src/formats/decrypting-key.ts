import type { CallOptions } from "../async/index.ts";
import type { Encryption, PublicKey } from "../tokens/index.ts";

/** A key that decrypts, or agrees on secrets, such as a Key of a token. */
export interface DecryptingKey {
  publicKey(options?: CallOptions): Promise<PublicKey>;
  decrypt(box: Uint8Array, options?: Encryption & CallOptions): Promise<Uint8Array>;
  deriveSecret(peer: PublicKey | Uint8Array, options?: CallOptions): Promise<Uint8Array>;
}
