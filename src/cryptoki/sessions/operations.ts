import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Cipher, Digester, Signer, Verifier } from "../mechanisms/scheme.ts";
import type { Recoverer } from "../mechanisms/recover.ts";
import type { Search } from "../objects/search.ts";
import type { MessageCipher } from "../mechanisms/message-cipher.ts";
import type { GuardedKey } from "./guarded-key.ts";
import type { MessageOperation } from "./message-operation.ts";
import type { Operation } from "./operation.ts";

/** What may be under way in a session, one of each kind at most. */
export interface OperationTypes {
  find: Search;
  encrypt: Operation<Cipher>;
  decrypt: Operation<Cipher>;
  digest: Operation<Digester>;
  sign: Operation<Signer>;
  verify: Operation<Verifier>;
  "sign-recover": Operation<Signer>;
  "verify-recover": Operation<Recoverer>;
  "message-encrypt": Operation<MessageCipher>;
  "message-decrypt": Operation<MessageCipher>;
  "message-sign": MessageOperation<Signer>;
  "message-verify": MessageOperation<Verifier>;
}

export type OperationKind = keyof OperationTypes;

/**
 * The operations of one session. The rules are the same for all (PKCS#11 3.1 section 5.1.7 and each function's own): one that
 * is active keeps others of its kind out, an error ends it, and so does its result. Whatever ends it, it is wiped.
 */
export class Operations {
  readonly #active: Partial<OperationTypes> = {};
  /** In the order in which they began. */
  readonly #order = new Set<OperationKind>();

  /** Handles of the keys of those that have one. */
  readonly #keys = new Map<OperationKind, number>();

  /**
   * Begins an operation, if `make` succeeds.
   * @param key The handle of its key.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE; what `make` throws.
   */
  async begin<Kind extends OperationKind>(
    kind: Kind,
    make: () => OperationTypes[Kind] | Promise<OperationTypes[Kind]>,
    key?: number,
  ): Promise<void> {
    if (this.#active[kind] && !this.#isAbandoned(kind, key)) throw new CryptokiError(CKR.OPERATION_ACTIVE);
    const made = await make();
    this.cancel(kind);
    this.#active[kind] = made;
    this.#order.add(kind);
    if (key !== undefined) this.#keys.set(kind, key);
  }

  /**
   * A signature that waits for the PIN of its key, which nobody gave, and that no call has come for since it began: a program that cannot
   * ask for that PIN has given it up, without a call that ends it. A new signature with another key may take its place
   * (docs/decisions/abandoned-signatures.md).
   */
  #isAbandoned(kind: OperationKind, key: number | undefined): boolean {
    return kind === "sign" && key !== this.#keys.get(kind) && this.#active.sign?.isAbandoned === true;
  }

  /** What is under way, in the order in which it began. */
  get active(): readonly OperationKind[] {
    return [...this.#order];
  }

  /** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED. */
  get<Kind extends OperationKind>(kind: Kind): OperationTypes[Kind] {
    const operation = this.#active[kind];
    if (!operation) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED);
    return operation;
  }

  /** Ends the operation, if there is one. */
  cancel(kind: OperationKind): void {
    const operation = this.#active[kind];
    if (operation && "stream" in operation) {
      operation.stream.wipe();
      operation.key?.release();
    }
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- one of twelve names
    delete this.#active[kind];
    this.#order.delete(kind);
    this.#keys.delete(kind);
  }

  /** The session ends. */
  cancelAll(): void {
    for (const kind of this.#order) this.cancel(kind);
  }

  /** A step of the operation, which an error ends. */
  async step<Kind extends OperationKind, T>(
    kind: Kind,
    work: (operation: OperationTypes[Kind]) => T | Promise<T>,
  ): Promise<T> {
    const operation = this.get(kind);
    try {
      return await work(operation);
    } catch (error) {
      this.cancel(kind);
      throw error;
    }
  }

  /** The last step of the operation. */
  async finish<Kind extends OperationKind, T>(
    kind: Kind,
    work: (operation: OperationTypes[Kind]) => T | Promise<T>,
  ): Promise<T> {
    const operation = this.get(kind);
    try {
      if ("requireKey" in operation) operation.requireKey();
      return await work(operation);
    } finally {
      this.cancel(kind);
    }
  }

  /**
   * The private key of the operation that began last of those whose key wants its PIN before each use. Where no key says so, that of
   * the last operation: not every card tells which keys want it.
   */
  get awaitingPin(): GuardedKey | undefined {
    const keys = [...this.#order].reverse().flatMap((kind) => {
      const operation = this.#active[kind];
      return operation && "key" in operation && operation.key ? [operation.key] : [];
    });
    return keys.find((key) => key.alwaysAuthenticate) ?? keys[0];
  }
}
