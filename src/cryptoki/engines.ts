import { copySecret, wipe } from "../bytes/index.ts";
import { encodePublicKey, type PublicKey, type RandomSource } from "../crypto/index.ts";
import { CKR } from "./constants/ckr.ts";
import { nameOf } from "./constants/name.ts";
import { CryptokiError } from "./errors.ts";
import { MECHANISM_BY_TYPE } from "./mechanisms/availability.ts";
import { Collector } from "./mechanisms/operation.ts";
import type { Cipher, CipherScheme, SignatureScheme, Verifier } from "./mechanisms/family.ts";
import type { AnyMechanism, MechanismParameter } from "./mechanisms/declarations.ts";

/** Longest message that is kept whole for an engine, which hashes it itself. */
const LONGEST = 2 ** 24;

/**
 * An application's own implementation, used instead of the host's. Keys are SubjectPublicKeyInfo, DER. The host
 * computes what is left out.
 */
export interface CryptoEngine {
  readonly name: string;
  /** @returns The requested number of random bytes. */
  random?(length: number): Uint8Array | Promise<Uint8Array>;
  /** Whether `signature` is the key's over the whole message. */
  verify?(
    publicKey: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
    parameter: MechanismParameter | undefined,
  ): boolean | Promise<boolean>;
  /** @returns The ciphertext of the whole message. */
  encrypt?(
    publicKey: Uint8Array,
    message: Uint8Array,
    parameter: MechanismParameter | undefined,
  ): Uint8Array | Promise<Uint8Array>;
}

/** The engines of one application, one for each mechanism; null stands for random numbers, which have none. */
export class Engines {
  readonly #engines = new Map<number | null, CryptoEngine>();

  /**
   * @param mechanism A CKM, or null for random numbers. @param engine Undefined: the host computes again.
   * @throws {CryptokiError} CKR_MECHANISM_INVALID for an engine that would never be called.
   */
  set(mechanism: number | null, engine: CryptoEngine | undefined): void {
    if (engine) requireCalled(mechanism, engine);
    if (engine) this.#engines.set(mechanism, engine);
    else this.#engines.delete(mechanism);
  }

  /** Verifies with an engine, if there is one for the mechanism, in place of `scheme` on the host. */
  verifier(
    { mechanism, parameter }: AnyMechanism,
    publicKey: PublicKey,
    scheme: SignatureScheme,
  ): Verifier | undefined {
    const engine = this.#engines.get(mechanism);
    if (!engine?.verify) return undefined;
    const message = new Collector(scheme.hash ? LONGEST : scheme.maxMessage, CKR.DATA_LEN_RANGE);
    return {
      update: (part) => {
        message.update(part);
      },
      final: async (signature) => {
        if (signature.length !== scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
        const key = encodePublicKey(publicKey);
        const whole = await message.take();
        const valid = await ofEngine(engine, () =>
          engine.verify?.(key, whole, copySecret(signature), parameter ?? undefined),
        );
        if (valid !== true) throw new CryptokiError(CKR.SIGNATURE_INVALID);
      },
      wipe: () => {
        message.wipe();
      },
    };
  }

  /** Encrypts with an engine, if there is one for the mechanism, in place of `scheme` on the host. */
  encrypter({ mechanism, parameter }: AnyMechanism, publicKey: PublicKey, scheme: CipherScheme): Cipher | undefined {
    const engine = this.#engines.get(mechanism);
    if (!engine?.encrypt) return undefined;
    const message = new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE);
    return {
      update: (part) => {
        message.update(part);
        return new Uint8Array();
      },
      final: async () => {
        const plaintext = await message.take();
        try {
          const encrypted = await ofEngine(engine, () =>
            engine.encrypt?.(encodePublicKey(publicKey), plaintext, parameter ?? undefined),
          );
          return this.#checked(engine, encrypted, scheme.ciphertextLength);
        } finally {
          wipe(plaintext);
        }
      },
      wipe: () => {
        message.wipe();
      },
    };
  }

  /**
   * The random bytes of an engine; undefined if the host generates them. Wrong output of the engine throws
   * CKR_FUNCTION_FAILED.
   */
  get random(): RandomSource | undefined {
    const engine = this.#engines.get(null);
    if (!engine?.random) return undefined;
    return async (length) => this.#checked(engine, await ofEngine(engine, () => engine.random?.(length)), length);
  }

  #checked({ name }: CryptoEngine, given: unknown, length: number): Uint8Array {
    if (given instanceof Uint8Array && given.length === length) return copySecret(given);
    throw new CryptokiError(CKR.FUNCTION_FAILED, `the engine "${name}" did not give ${length} bytes`);
  }
}

/**
 * The functions of an engine that are called for a mechanism: operations with public RSA and EC keys, and random
 * numbers.
 */
function calledFunctions(mechanism: number | null): readonly ("random" | "verify" | "encrypt")[] {
  if (mechanism === null) return ["random"];
  const entry = MECHANISM_BY_TYPE.get(mechanism);
  if (entry?.kind !== "pair") return [];
  return [...(entry.family.signature ? ["verify" as const] : []), ...(entry.family.cipher ? ["encrypt" as const] : [])];
}

function requireCalled(mechanism: number | null, engine: CryptoEngine): void {
  const called = calledFunctions(mechanism);
  if (called.some((name) => typeof engine[name] === "function")) return;
  const what = mechanism === null ? "random numbers" : nameOf("CKM", mechanism);
  throw new CryptokiError(
    CKR.MECHANISM_INVALID,
    called.length === 0
      ? `no engine is called for ${what}: engines verify and encrypt with public RSA and EC keys, and generate random numbers`
      : `an engine for ${what} needs the function ${called.join(" or ")}`,
  );
}

/** An engine's error is not the driver's. */
async function ofEngine<T>(engine: CryptoEngine, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new CryptokiError(CKR.FUNCTION_FAILED, `the engine "${engine.name}" failed`, { cause });
  }
}
