import { CKR } from "./constants/ckr.ts";
import { CryptokiError } from "./error.ts";
import type { MechanismParameter } from "./structures.ts";

/** What an application brings along to compute in place of the host. Keys are SubjectPublicKeyInfo, DER. What is left out stays the host's. */
export interface CryptoEngine {
  readonly name: string;
  /** @returns As many random bytes as it is asked for. */
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

  /** @param mechanism A CKM, or null for random numbers. @param engine Undefined: the host computes again. */
  set(mechanism: number | null, engine: CryptoEngine | undefined): void {
    if (engine) this.#engines.set(mechanism, engine);
    else this.#engines.delete(mechanism);
  }

  /** The engine for a mechanism, if there is one; undefined for the host. */
  of(mechanism: number): CryptoEngine | undefined {
    return this.#engines.get(mechanism);
  }

  /** Random bytes of an engine; undefined where the host has to make them. @throws {CryptokiError} CKR_FUNCTION_FAILED. */
  async random(length: number): Promise<Uint8Array | undefined> {
    const engine = this.#engines.get(null);
    if (!engine?.random) return undefined;
    const bytes = await ofEngine(engine, () => engine.random?.(length));
    if (bytes instanceof Uint8Array && bytes.length === length) return new Uint8Array(bytes);
    throw new CryptokiError(CKR.FUNCTION_FAILED, `the engine "${engine.name}" did not give ${length} random bytes`);
  }
}

/** What an engine throws is no error of the driver's. */
async function ofEngine<T>(engine: CryptoEngine, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new CryptokiError(CKR.FUNCTION_FAILED, `the engine "${engine.name}" failed`, { cause });
  }
}
