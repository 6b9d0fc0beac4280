import type { KeyShape, RsaPublicKey } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { KeySizes } from "./scheme.ts";

/** Moduli in bits that the host computes with. */
export const RSA_SIZES: KeySizes = { min: 1024, max: 4096 };

/** An RSA key pair, of which the size is known and the numbers may be. */
export class RsaKey {
  readonly modulusBits: number;
  readonly #publicKey: RsaPublicKey | undefined;

  /**
   * @throws {CryptokiError} CKR_KEY_TYPE_INCONSISTENT unless it is an RSA key; CKR_KEY_FUNCTION_NOT_PERMITTED for a key whose
   *   certificate allows RSASSA-PSS only, with another padding.
   */
  constructor(key: KeyShape, padding: "pss" | "other" = "other") {
    if (key.type !== "rsa") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism wants an RSA key");
    if (key.pss !== undefined && padding !== "pss") {
      throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the key is for RSASSA-PSS only: use CKM_RSA_PKCS_PSS");
    }
    this.modulusBits = key.modulusBits;
    this.#publicKey = "modulus" in key ? (key as RsaPublicKey) : undefined;
  }

  /** Of the modulus, in bytes. */
  get length(): number {
    return Math.ceil(this.modulusBits / 8);
  }

  /** The modulus, if it is known. */
  get modulus(): Uint8Array | undefined {
    return this.#publicKey?.modulus;
  }

  /** For what the public half does. */
  get publicKey(): RsaPublicKey {
    if (!this.#publicKey) throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "a public key is needed for this");
    return this.#publicKey;
  }

  /** @throws {CryptokiError} CKR_KEY_SIZE_RANGE unless the modulus has `bytes` bytes at least. */
  requireLength(bytes: number): void {
    if (this.length >= bytes) return;
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, `an RSA key of ${this.modulusBits} bits is too short for this`);
  }
}
