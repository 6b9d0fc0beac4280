import { randomBytes } from "../../crypto/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Digester } from "../mechanisms/scheme.ts";

/** So that a caller who saves and never restores does not fill the memory. */
const MAX_STATES = 256;
const NAME_LENGTH = 16;

/**
 * Operations that C_GetOperationState saved. Node's crypto gives a hash's state to nobody, so a state is the name of a copy that is
 * kept here: it holds within one application, for as many times as it is restored.
 */
export class SavedStates {
  readonly #states: { readonly name: Uint8Array; readonly digester: Digester }[] = [];

  /** The oldest goes when there are too many. @returns Its name. */
  save(digester: Digester): Uint8Array {
    const name = randomBytes(NAME_LENGTH);
    this.#states.push({ name: Uint8Array.from(name), digester: digester.copy() });
    if (this.#states.length > MAX_STATES) this.#states.shift();
    return name;
  }

  /** @throws {CryptokiError} CKR_SAVED_STATE_INVALID. */
  restore(name: Uint8Array): Digester {
    const state = this.#states.find((one) => equalBytes(one.name, name));
    if (!state) throw new CryptokiError(CKR.SAVED_STATE_INVALID, "saved by another application, or too long ago");
    return state.digester.copy();
  }
}
