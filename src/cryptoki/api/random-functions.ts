import * as random from "../chapters/random.ts";
import type { CK_SESSION_HANDLE } from "../structures.ts";
import { KeyFunctions } from "./key-functions.ts";

/** Random number generation functions (PKCS#11 3.1 section 5.19). */
export abstract class RandomFunctions extends KeyFunctions {
  /** @throws {CryptokiError} CKR_RANDOM_SEED_NOT_SUPPORTED: the host's generator needs no seed. */
  C_SeedRandom(session: CK_SESSION_HANDLE, seed: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.call("C_SeedRandom", signal, random.seedRandom, session, seed, signal);
  }

  /** From the host's generator. */
  C_GenerateRandom(session: CK_SESSION_HANDLE, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_GenerateRandom", signal, random.generateRandom, session, length, signal);
  }
}
