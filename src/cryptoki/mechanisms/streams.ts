import { wipe } from "../../bytes/index.ts";
import { Hasher, type HashName, sameSecret } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { Collector } from "./collector.ts";
import type { Cipher, CipherScheme, Digester, KeyUser, SignatureScheme, Signer, Verifier } from "./scheme.ts";

/** A message on its way into a scheme: hashed as it comes in, or kept, as much as the key can take. */
class Message {
  readonly #input: Hasher | Collector;

  constructor({ hash, maxMessage }: SignatureScheme) {
    this.#input = hash ? new Hasher(hash) : new Collector(maxMessage, CKR.DATA_LEN_RANGE);
  }

  update(part: Uint8Array): void {
    this.#input.update(part);
  }

  take(): Uint8Array {
    return this.#input instanceof Hasher ? this.#input.digest() : this.#input.take();
  }

  wipe(): void {
    if (this.#input instanceof Collector) this.#input.wipe();
  }
}

export function schemeSigner(scheme: SignatureScheme, key: KeyUser): Signer {
  const message = new Message(scheme);
  return {
    update: (part) => {
      message.update(part);
    },
    final: (signal) => scheme.sign(key, message.take(), signal),
    wipe: () => {
      message.wipe();
    },
  };
}

export function schemeVerifier(scheme: SignatureScheme): Verifier {
  const message = new Message(scheme);
  return {
    update: (part) => {
      message.update(part);
    },
    final: (signature) => {
      if (signature.length !== scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
      if (!scheme.verify(message.take(), signature)) throw new CryptokiError(CKR.SIGNATURE_INVALID);
    },
    wipe: () => {
      message.wipe();
    },
  };
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

/** A cipher that gives nothing before it has everything. `finish` owns what it is given. */
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

/** Verifies a MAC by making it once more. */
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
