import type { KeyShape, RsaPublicKey } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { deciphered } from "../error-map.ts";
import type { KeySizes, KeyUser } from "./scheme.ts";

/** Moduli in bits that the host computes with. */
export const RSA_SIZES: KeySizes = { min: 1024, max: 4096 };

/** An RSA key pair, of which the size is known and the numbers may be. */
export class RsaKey {
  readonly modulusBits: number;
  readonly #publicKey: RsaPublicKey | undefined;

  /** @throws {CryptokiError} CKR_KEY_TYPE_INCONSISTENT unless it is an RSA key. */
  constructor(key: KeyShape) {
    if (key.type !== "rsa") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism wants an RSA key");
    this.modulusBits = key.modulusBits;
    this.#publicKey = "modulus" in key ? (key as RsaPublicKey) : undefined;
  }

  /** Of the modulus, in bytes. */
  get length(): number {
    return Math.ceil(this.modulusBits / 8);
  }

  /** For what the public half does. */
  get publicKey(): RsaPublicKey {
    if (!this.#publicKey) throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "a public key is needed for this");
    return this.#publicKey;
  }

  /**
   * Checks that `block`, as long as the modulus, is less than it as a number: a card would refuse it with a status word of its own
   * choice. Without the numbers of the key there is nothing to compare with.
   * @throws {CryptokiError} `rv`.
   */
  requireBelowModulus(block: Uint8Array, rv: number): void {
    const modulus = this.#publicKey?.modulus;
    if (!modulus) return;
    const differs = block.findIndex((byte, index) => byte !== modulus[index]);
    if (differs < 0 || (block[differs] ?? 0) > (modulus[differs] ?? 0)) {
      throw new CryptokiError(rv, "as a number, the data is not less than the key's modulus");
    }
  }

  /**
   * The padded block in a ciphertext, which is as long as the modulus. The block is the caller's to wipe.
   * @throws {CryptokiError} CKR_ENCRYPTED_DATA_INVALID for what no such key enciphers; what the card throws.
   */
  async decipher(user: KeyUser, ciphertext: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    this.requireBelowModulus(ciphertext, CKR.ENCRYPTED_DATA_INVALID);
    const block = user.use("rsa-raw", ciphertext, signal);
    // With the modulus at hand, the ciphertext is right, and wrong data (6A80) is not what the card means.
    return this.#publicKey ? block : deciphered(block);
  }

  /** @throws {CryptokiError} CKR_KEY_SIZE_RANGE unless the modulus has `bytes` bytes at least. */
  requireLength(bytes: number): void {
    if (this.length >= bytes) return;
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, `an RSA key of ${this.modulusBits} bits is too short for this`);
  }
}
