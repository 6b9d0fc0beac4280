import { concat, wipe } from "../../bytes/index.ts";
import { Hasher, type HashName } from "../../crypto/index.ts";
import { copyBytes } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { CipherScheme, SignatureScheme } from "../mechanisms/scheme.ts";
import type { GuardedKey } from "./guarded-key.ts";

/** Takes a message in as many parts as it comes in. */
abstract class MultipartOperation {
  #parts = false;

  /** Whether a part came in already: the functions that take all in one call are closed then. */
  get multipart(): boolean {
    return this.#parts;
  }

  /** @throws {CryptokiError} CKR_OPERATION_ACTIVE once a part has come in. */
  requireWhole(): void {
    if (this.#parts) {
      throw new CryptokiError(CKR.OPERATION_ACTIVE, "parts of the message are in already; end with C_...Final");
    }
  }

  update(part: Uint8Array): void {
    this.#parts = true;
    this.take(part);
  }

  protected abstract take(part: Uint8Array): void;
}

/** C_Digest*. */
export class DigestOperation extends MultipartOperation {
  readonly #hasher: Hasher;

  constructor(hash: HashName) {
    super();
    this.#hasher = new Hasher(hash);
  }

  final(): Uint8Array {
    return this.#hasher.digest();
  }

  protected override take(part: Uint8Array): void {
    this.#hasher.update(part);
  }
}

/** The message of a signature: hashed as it comes in, or kept, as much as the key can take. */
abstract class SignatureOperation extends MultipartOperation {
  protected readonly scheme: SignatureScheme;
  readonly #input: Hasher | Collector;

  constructor(scheme: SignatureScheme) {
    super();
    this.scheme = scheme;
    this.#input = scheme.hash ? new Hasher(scheme.hash) : new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE);
  }

  protected override take(part: Uint8Array): void {
    this.#input.update(part);
  }

  protected message(): Uint8Array {
    return this.#input instanceof Hasher ? this.#input.digest() : this.#input.all();
  }
}

/** C_Sign*. */
export class SignOperation extends SignatureOperation {
  readonly key: GuardedKey;

  constructor(scheme: SignatureScheme, key: GuardedKey) {
    super(scheme);
    this.key = key;
  }

  final(signal?: AbortSignal): Promise<Uint8Array> {
    return this.scheme.sign(this.key, this.message(), signal);
  }
}

/** C_Verify*. */
export class VerifyOperation extends SignatureOperation {
  /** @throws {CryptokiError} CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID. */
  final(signature: Uint8Array): void {
    if (signature.length !== this.scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
    if (!this.scheme.verify(this.message(), signature)) throw new CryptokiError(CKR.SIGNATURE_INVALID);
  }
}

/** C_Encrypt*. With RSA all comes out at the end. */
export class EncryptOperation extends MultipartOperation {
  readonly #scheme: CipherScheme;
  readonly #message: Collector;

  constructor(scheme: CipherScheme) {
    super();
    this.#scheme = scheme;
    this.#message = new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE);
  }

  final(): Uint8Array {
    const message = this.#message.all();
    try {
      return this.#scheme.encrypt(message);
    } finally {
      wipe(message);
    }
  }

  protected override take(part: Uint8Array): void {
    this.#message.update(part);
  }
}

/** C_Decrypt*. With RSA all comes out at the end. */
export class DecryptOperation extends MultipartOperation {
  readonly key: GuardedKey;
  readonly #scheme: CipherScheme;
  readonly #ciphertext: Collector;

  constructor(scheme: CipherScheme, key: GuardedKey) {
    super();
    this.key = key;
    this.#scheme = scheme;
    this.#ciphertext = new Collector(scheme.ciphertextLength, CKR.ENCRYPTED_DATA_LEN_RANGE);
  }

  async final(signal?: AbortSignal): Promise<Uint8Array> {
    const ciphertext = this.#ciphertext.all();
    if (ciphertext.length !== this.#scheme.ciphertextLength) throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE);
    return this.#scheme.decrypt(this.key, ciphertext, signal);
  }

  protected override take(part: Uint8Array): void {
    this.#ciphertext.update(part);
  }
}

/** Keeps what comes in, up to a length; copies, because the caller's bytes are the caller's. */
class Collector {
  readonly #max: number;
  readonly #tooLong: number;
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  constructor(max: number, tooLong: number) {
    this.#max = max;
    this.#tooLong = tooLong;
  }

  update(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#max) {
      throw new CryptokiError(this.#tooLong, `${this.#length} bytes, ${this.#max} at most for this key and mechanism`);
    }
    this.#parts.push(copyBytes(part));
  }

  all(): Uint8Array {
    const all = concat(...this.#parts);
    wipe(...this.#parts.splice(0));
    return all;
  }
}
