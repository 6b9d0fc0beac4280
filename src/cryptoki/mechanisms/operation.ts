import { concatSecret, copySecret, wipe } from "../../bytes/index.ts";
import { Hasher, type HashName, sameSecret } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type {
  Cipher,
  CipherScheme,
  Digester,
  KeyUser,
  SignatureScheme,
  Signer,
  Operation,
  Verifier,
} from "./family.ts";

/** Collects input up to a length; copies it, because the caller owns its bytes. */
export class Collector {
  readonly #max: number;
  readonly #tooLong: number;
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** @param tooLong The error for more than `max` bytes: CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE. */
  constructor(max: number, tooLong: number) {
    this.#max = max;
    this.#tooLong = tooLong;
  }

  /** @throws {CryptokiError} and keeps nothing of a part that is too long. */
  update(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#max) {
      throw new CryptokiError(this.#tooLong, `${length} bytes; the limit for this key and mechanism is ${this.#max}`);
    }
    this.#length = length;
    this.#parts.push(copySecret(part));
  }

  /** All input; the caller wipes it, and nothing is kept here. */
  take(): Uint8Array {
    const all = concatSecret(...this.#parts);
    this.wipe();
    return all;
  }

  wipe(): void {
    wipe(...this.#parts.splice(0));
    this.#length = 0;
  }
}

/** A message for a scheme: hashed incrementally, or collected up to the key's limit. */
abstract class SchemeOperation {
  protected readonly scheme: SignatureScheme;
  readonly #input: Hasher | Collector;

  constructor(scheme: SignatureScheme) {
    this.scheme = scheme;
    this.#input = scheme.hash ? new Hasher(scheme.hash) : new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE);
  }

  update(part: Uint8Array): void {
    this.#input.update(part);
  }

  /** The whole message, or its hash. */
  protected message(): Uint8Array {
    return this.#input instanceof Hasher ? this.#input.digest() : this.#input.take();
  }

  wipe(): void {
    if (this.#input instanceof Collector) this.#input.wipe();
  }
}

/** Signs by a scheme. */
export class SchemeSigner extends SchemeOperation implements Signer {
  readonly #key: KeyUser;

  constructor(scheme: SignatureScheme, key: KeyUser) {
    super(scheme);
    this.#key = key;
  }

  final(signal?: AbortSignal): Promise<Uint8Array> {
    return this.scheme.sign(this.#key, this.message(), signal);
  }
}

/** Verifies by a scheme. */
export class SchemeVerifier extends SchemeOperation implements Verifier {
  async final(signature: Uint8Array): Promise<void> {
    if (signature.length !== this.scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
    if (!(await this.scheme.verify(this.message(), signature))) throw new CryptokiError(CKR.SIGNATURE_INVALID);
  }
}

export function schemeEncrypter(scheme: CipherScheme): Cipher {
  return collecting(new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE), (message) => {
    try {
      return scheme.encrypt(message);
    } finally {
      wipe(message);
    }
  });
}

export function schemeDecrypter(scheme: CipherScheme, key: KeyUser): Cipher {
  const { ciphertextLength } = scheme;
  return collecting(new Collector(ciphertextLength, CKR.ENCRYPTED_DATA_LEN_RANGE), (ciphertext, signal) => {
    if (ciphertext.length !== ciphertextLength) throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE);
    return scheme.decrypt(key, ciphertext, signal);
  });
}

/** A cipher without output before the end. `finish` owns its argument. */
export function collecting(
  input: Collector,
  finish: (all: Uint8Array, signal?: AbortSignal) => Uint8Array | Promise<Uint8Array>,
): Cipher {
  return {
    update: (part) => {
      input.update(part);
      return new Uint8Array();
    },
    final: (signal) => finish(input.take(), signal),
    wipe: () => {
      input.wipe();
    },
  };
}

/** Verifies a MAC by computing it again. */
export function macVerifier(signer: Signer): Verifier {
  return {
    update: (part) => {
      signer.update(part);
    },
    final: async (given) => {
      const mac = await signer.final();
      try {
        if (given.length !== mac.length) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
        if (!sameSecret(given, mac)) throw new CryptokiError(CKR.SIGNATURE_INVALID);
      } finally {
        wipe(mac);
      }
    },
    wipe: () => {
      signer.wipe();
    },
  };
}

export function hashDigester(hash: HashName, hasher = new Hasher(hash)): Digester {
  return {
    update: (part) => {
      hasher.update(part);
    },
    final: () => hasher.digest(),
    copy: () => hashDigester(hash, hasher.copy()),
    // Node's crypto keeps the state to itself.
    wipe: () => undefined,
  };
}

/** Recovers the message from a signature that contains it. */
export interface Recoverer extends Operation {
  /** @throws {CryptokiError} CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID. */
  recover(signature: Uint8Array): Uint8Array;
}

/** @throws {CryptokiError} CKR_MECHANISM_INVALID if the scheme's signatures contain no message. */
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
