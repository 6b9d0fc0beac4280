import { randomBytes } from "../../crypto/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Digester } from "../mechanisms/scheme.ts";
import type { Token, TokenCard } from "../slots/token.ts";

/** So that a caller who saves and never restores does not fill the memory. */
const MAX_STATES = 256;
const NAME_LENGTH = 16;

/** What the session that a state is restored to has in common with the one that it comes from (PKCS#11 3.1 section 5.6.7). */
interface SessionPlace {
  readonly token: Token;
  /** CKS. */
  readonly state: number;
}

interface SavedState {
  readonly name: Uint8Array;
  readonly digester: Digester;
  readonly place: SessionPlace;
}

/**
 * Operations that C_GetOperationState saved. Node's crypto gives a hash's state to nobody, so a state is the name of a copy that is
 * kept here: it holds within one application, for as many times as it is restored.
 */
export class SavedStates {
  #states: SavedState[] = [];

  /** The oldest goes when there are too many. @returns Its name. */
  save(digester: Digester, place: SessionPlace): Uint8Array {
    const name = randomBytes(NAME_LENGTH);
    this.#states.push({ name: Uint8Array.from(name), digester: digester.copy(), place });
    if (this.#states.length > MAX_STATES) this.#states.shift();
    return name;
  }

  /** The card is gone: no session can restore what was saved in one with it. */
  forget(card: TokenCard): void {
    this.#states = this.#states.filter(({ place }) => place.token.card !== card);
  }

  /** @throws {CryptokiError} CKR_SAVED_STATE_INVALID, also if it is a session's with another token or in another state. */
  restore(name: Uint8Array, { token, state }: SessionPlace): Digester {
    const saved = this.#states.find((one) => equalBytes(one.name, name));
    if (!saved) throw new CryptokiError(CKR.SAVED_STATE_INVALID, "saved by another application, or too long ago");
    if (saved.place.token !== token || saved.place.state !== state) {
      throw new CryptokiError(CKR.SAVED_STATE_INVALID, "saved in a session with another token, or in another state");
    }
    return saved.digester.copy();
  }
}
