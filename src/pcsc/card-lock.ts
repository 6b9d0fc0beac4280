import { Condition, Deadline, throwIfAborted } from "../async/index.ts";
import { cancelled } from "./waiting.ts";
import { PcscError } from "./error.ts";

export interface LockWait {
  /** Milliseconds until SCARD_E_SHARING_VIOLATION. */
  readonly patience: number;
  readonly signals: readonly (AbortSignal | undefined)[];
  /** Throws if there is nothing left to wait for; asked before each look. */
  readonly refuse?: () => void;
}

/** Which connection of this process has a card to itself. Taken twice, it is given back twice. */
export class CardLock {
  readonly #freed = new Condition(cancelled);
  #owner: object | undefined;
  #depth = 0;

  /** How often the owner took it. */
  get depth(): number {
    return this.#depth;
  }

  heldBy(connection: object): boolean {
    return this.#owner === connection;
  }

  heldByOther(connection: object): boolean {
    return this.#owner !== undefined && this.#owner !== connection;
  }

  /** Only from within {@link whenFree}, or by the owner. */
  take(connection: object): void {
    this.#owner = connection;
    this.#depth++;
  }

  /** @throws {PcscError} SCARD_E_SHARING_VIOLATION if another connection has it, SCARD_E_NOT_TRANSACTED if none has. */
  give(connection: object): void {
    if (this.heldByOther(connection)) throw new PcscError("SCARD_E_SHARING_VIOLATION");
    if (this.#depth === 0) throw new PcscError("SCARD_E_NOT_TRANSACTED");
    this.#depth--;
    if (this.#depth === 0) this.#free();
  }

  /** Gives it back entirely, if `connection` has it. */
  release(connection: object): void {
    if (this.heldBy(connection)) this.#free();
  }

  /** Makes all who wait look again. */
  wake(): void {
    this.#freed.notifyAll();
  }

  /**
   * Does `action` as soon as no connection but `connection` has the lock, in the same moment. Who came first goes first.
   * @throws {PcscError} SCARD_E_SHARING_VIOLATION when that takes too long.
   */
  async whenFree<T>(connection: object, action: () => T | Promise<T>, wait: LockWait): Promise<T> {
    const deadline = new Deadline(wait.patience);
    for (;;) {
      throwIfAborted(wait.signals, cancelled);
      wait.refuse?.();
      if (!this.heldByOther(connection)) return action();
      if (deadline.passed) throw new PcscError("SCARD_E_SHARING_VIOLATION");
      await this.#freed.wait(deadline, wait.signals);
    }
  }

  #free(): void {
    this.#owner = undefined;
    this.#depth = 0;
    this.#freed.notifyAll();
  }
}
