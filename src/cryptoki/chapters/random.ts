import type { CallOptions } from "../../async/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, requireBytes, requireCount } from "../errors.ts";
import type { CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION } from "../chapter.ts";

/** Random number generation functions (PKCS#11 3.1 section 5.19). */
export interface RandomFunctions {
  /** @throws {CryptokiError} CKR_RANDOM_SEED_NOT_SUPPORTED: the host's generator needs no seed. */
  C_SeedRandom(session: CK_SESSION_HANDLE, seed: Uint8Array, options?: CallOptions): Promise<void>;

  /** From the host's generator. */
  C_GenerateRandom(session: CK_SESSION_HANDLE, length: number, options?: CallOptions): Promise<Uint8Array>;
}

/** Parallel function management functions (PKCS#11 3.1 section 5.20): legacy functions from before version 2. */
export interface ParallelFunctions {
  /** @throws {CryptokiError} CKR_FUNCTION_NOT_PARALLEL. */
  C_GetFunctionStatus(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;

  /** @throws {CryptokiError} CKR_FUNCTION_NOT_PARALLEL. */
  C_CancelFunction(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;
}

/** Most bytes in one call, more than any caller needs. */
const MAX_LENGTH = 2 ** 24;

/** The host's generator, or the application's engine: costs no exchange, and is no worse than a card's. */
function generateRandom(
  application: Application,
  handle: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    () => {
      requireCount(length, "the length", MAX_LENGTH);
      return application.engines.random?.(length) ?? randomBytes(length);
    },
    signal,
  );
}

/** The host's generator seeds itself. */
function seedRandom(application: Application, handle: number, seed: Uint8Array, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    handle,
    () => {
      requireBytes(seed, "the seed");
      throw new CryptokiError(CKR.RANDOM_SEED_NOT_SUPPORTED);
    },
    signal,
  );
}

/** Neither cancels a function that takes its time here: its AbortSignal does. */
function notParallel(application: Application, handle: number): void {
  application.sessions.get(handle);
  throw new CryptokiError(CKR.FUNCTION_NOT_PARALLEL);
}

export const RANDOM: Chapter<RandomFunctions> = {
  title: "Random numbers",
  source: "PKCS#11 3.1 section 5.19",
  functions: {
    C_SeedRandom: {
      state: "not supported",
      parameters: [SESSION, ["pSeed", "secret"]],
      result: "none",
      note: "the host's generator needs no seed",
      body: seedRandom,
    },
    C_GenerateRandom: {
      state: "software",
      parameters: [SESSION, ["ulRandomLen", "number"]],
      result: "secret",
      body: generateRandom,
    },
  },
};

export const PARALLEL: Chapter<ParallelFunctions> = {
  title: "Parallel functions",
  source: "PKCS#11 3.1 section 5.20",
  functions: {
    C_GetFunctionStatus: {
      state: "not supported",
      parameters: [SESSION],
      result: "none",
      note: "CKR_FUNCTION_NOT_PARALLEL, as the standard says",
      body: notParallel,
    },
    C_CancelFunction: {
      state: "not supported",
      parameters: [SESSION],
      result: "none",
      note: "CKR_FUNCTION_NOT_PARALLEL, as the standard says",
      body: notParallel,
    },
  },
};
