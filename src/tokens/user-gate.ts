import { Condition, Deadline, type Signals } from "../async/index.ts";
import { TokenError } from "./error.ts";

/**
 * Keeps the work of a token's user and of its security officer apart: a token has one login at a time, and C_SetPIN changes the PIN of
 * the one who is logged in.
 */
export class UserGate {
  readonly #changed = new Condition();
  /** Pieces of the user's work that are under way. */
  #users = 0;
  /** Milliseconds that the user's work waits for the officer's scope; undefined while there is none. */
  #patience: number | undefined;

  /**
   * Runs work of the user's once no officer's scope is open.
   * @throws {TokenError} OFFICER_ACTIVE after the patience of the scope.
   */
  async asUser<T>(work: () => Promise<T>, signals?: Signals): Promise<T> {
    if (this.#patience !== undefined) await this.#untilOfficerEnds(new Deadline(this.#patience), signals);
    this.#users++;
    try {
      return await work();
    } finally {
      this.#users--;
      this.#changed.notifyAll();
    }
  }

  async #untilOfficerEnds(deadline: Deadline, signals?: Signals): Promise<void> {
    while (this.#patience !== undefined) {
      if (deadline.passed) {
        throw new TokenError("OFFICER_ACTIVE", "the security officer is at work; dispose of the officer's scope first");
      }
      await this.#changed.wait(deadline, signals);
    }
  }

  /**
   * Waits for the officer's scope before, and for the user's work under way, and begins a scope.
   * @param patience Milliseconds that the user's work waits for its end.
   * @returns Ends it.
   */
  async beginOfficer(patience: number, signals?: Signals): Promise<() => void> {
    while (this.#patience !== undefined) await this.#changed.wait(undefined, signals);
    this.#patience = patience;
    const end = (): void => {
      this.#patience = undefined;
      this.#changed.notifyAll();
    };
    try {
      while (this.#users > 0) await this.#changed.wait(undefined, signals);
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }
}
