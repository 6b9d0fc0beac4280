import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Search } from "../objects/search.ts";
import type {
  DecryptOperation,
  DigestOperation,
  EncryptOperation,
  SignOperation,
  VerifyOperation,
} from "./operation.ts";

/** What may be under way in a session, one of each kind at most. */
interface OperationTypes {
  find: Search;
  encrypt: EncryptOperation;
  decrypt: DecryptOperation;
  digest: DigestOperation;
  sign: SignOperation;
  verify: VerifyOperation;
}

export type OperationKind = keyof OperationTypes;

/**
 * The operations of one session. The rules are the same for all (PKCS#11 3.1 section 5.1.7 and each function's own): one that
 * is active keeps others of its kind out, an error ends it, and so does its result.
 */
export class Operations {
  readonly #active: Partial<OperationTypes> = {};
  /** In the order in which they began. */
  readonly #order = new Set<OperationKind>();

  /**
   * Begins an operation, if `make` succeeds.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE; what `make` throws.
   */
  async begin<Kind extends OperationKind>(
    kind: Kind,
    make: () => OperationTypes[Kind] | Promise<OperationTypes[Kind]>,
  ): Promise<void> {
    if (this.#active[kind]) throw new CryptokiError(CKR.OPERATION_ACTIVE);
    this.#active[kind] = await make();
    this.#order.add(kind);
  }

  /** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED. */
  get<Kind extends OperationKind>(kind: Kind): OperationTypes[Kind] {
    const operation = this.#active[kind];
    if (!operation) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED);
    return operation;
  }

  /** Ends the operation, if there is one. */
  cancel(kind: OperationKind): void {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- one of six names
    delete this.#active[kind];
    this.#order.delete(kind);
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
      return await work(operation);
    } finally {
      this.cancel(kind);
    }
  }

  /** The operation that began last of those whose key wants its PIN before each use. */
  get awaitingPin(): SignOperation | DecryptOperation | undefined {
    return [...this.#order]
      .reverse()
      .map((kind) => (kind === "sign" || kind === "decrypt" ? this.#active[kind] : undefined))
      .find((operation) => operation?.key.alwaysAuthenticate);
  }
}
