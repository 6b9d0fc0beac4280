import { equalBytes } from "../../bytes/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { Cipher, Digester, Signer, Operation, Verifier } from "../mechanisms/family.ts";
import type { MessageCipher } from "../mechanisms/message-cipher.ts";
import { feed, type Recoverer } from "../mechanisms/operation.ts";
import type { Search } from "../objects/search.ts";
import type { Token, TokenCard } from "../slots/token.ts";
import type { GuardedKey } from "./guarded-key.ts";

/** An active operation: one object, whether its message comes in one call or in parts. */
export class SessionOperation<Kind extends Operation> {
  readonly stream: Kind;
  /** Its private key, if it has one. */
  readonly key: GuardedKey | undefined;
  readonly #requireKey: (() => unknown) | undefined;
  #begun = false;

  /** @param requireKey Throws when the key is gone, even if the stream still has it. */
  constructor(stream: Kind, key?: GuardedKey, requireKey?: () => unknown) {
    this.stream = stream;
    this.key = key;
    this.#requireKey = requireKey;
  }

  /** Adds a part: the one-call functions are refused from now on. Errors as {@link requireKey}. */
  begin(): Kind {
    this.requireKey();
    this.#begun = true;
    return this.stream;
  }

  /** Whether it waits for the PIN of its key, and had no call since it began. */
  get isAbandoned(): boolean {
    return !this.#begun && this.key?.awaitsPin === true;
  }

  /** @throws {CryptokiError} CKR_KEY_HANDLE_INVALID once the key was destroyed. */
  requireKey(): void {
    this.#requireKey?.();
  }

  /**
   * The whole message at once.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE after a part.
   */
  requireWhole(): void {
    if (!this.#begun) return;
    throw new CryptokiError(CKR.OPERATION_ACTIVE, "parts of the message were given already; end with C_...Final");
  }
}

/** C_MessageSignInit and C_MessageVerifyInit: a stream for each message, all with one key. */
export class MessageOperation<Kind extends Operation> {
  readonly key: GuardedKey | undefined;
  readonly stream: Operation = {
    wipe: () => {
      this.end();
    },
  };
  readonly #make: () => SessionOperation<Kind>;
  #open: SessionOperation<Kind> | undefined;

  /** @param make Creates the operation of one message; `key` is theirs. */
  constructor(make: () => SessionOperation<Kind>, key: GuardedKey | undefined) {
    this.#make = make;
    this.key = key;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** A message in one call. */
  one(): SessionOperation<Kind> {
    return this.#make();
  }

  begin(): void {
    this.#open = this.#make();
  }

  /** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED if no message was begun. */
  get current(): SessionOperation<Kind> {
    if (!this.#open) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no message was begun");
    return this.#open;
  }

  /** Ends the present message. */
  end(): void {
    this.#open?.stream.wipe();
    this.#open = undefined;
  }
}

/** The possible operations in a session, at most one of each kind. */
export interface OperationTypes {
  find: Search;
  encrypt: SessionOperation<Cipher>;
  decrypt: SessionOperation<Cipher>;
  digest: SessionOperation<Digester>;
  sign: SessionOperation<Signer>;
  verify: SessionOperation<Verifier>;
  "sign-recover": SessionOperation<Signer>;
  "verify-recover": SessionOperation<Recoverer>;
  "message-encrypt": SessionOperation<MessageCipher>;
  "message-decrypt": SessionOperation<MessageCipher>;
  "message-sign": MessageOperation<Signer>;
  "message-verify": MessageOperation<Verifier>;
}

export type OperationKind = keyof OperationTypes;

/**
 * The operations of one session. The rules are the same for all (PKCS#11 3.1 section 5.1.7 and each function's own): an
 * active one excludes others of its kind; an error ends it, and so does its result. It is wiped at its end.
 */
export class Operations {
  readonly #active: Partial<OperationTypes> = {};
  /** In the order in which they began. */
  readonly #order = new Set<OperationKind>();

  /** Handles of their keys. */
  readonly #keys = new Map<OperationKind, number>();

  /**
   * Begins an operation, if `make` succeeds.
   * @param key The handle of its key.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE; the error of `make`.
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
   * Whether a signature is abandoned: it waits for the PIN of its key, and had no call since it began. A program that
   * cannot ask for that PIN gives it up without ending it. A new signature with another key may replace it
   * (docs/decisions/abandoned-signatures.md).
   */
  #isAbandoned(kind: OperationKind, key: number | undefined): boolean {
    return kind === "sign" && key !== this.#keys.get(kind) && this.#active.sign?.isAbandoned === true;
  }

  /** The active operations, in the order in which they began. */
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

  /** Ends all operations with the session. */
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

  /** A step that gives a part of a message to the operation. Errors as of {@link step} and {@link SessionOperation.begin}. */
  update(kind: "digest" | "sign" | "verify", part: Uint8Array): Promise<void> {
    return this.step(kind, (operation) => {
      const turns = feed(operation.begin(), part, "the part");
      return turns && this.#afterTurns(kind, operation, turns);
    });
  }

  /** Gives a message to a verification, as {@link feed}. */
  async feed(operation: SessionOperation<Verifier>, data: Uint8Array): Promise<void> {
    const turns = feed(operation.stream, data, "the data");
    if (turns) await this.#afterTurns("verify", operation, turns);
  }

  /** Waits while a long input is processed. @throws {CryptokiError} CKR_DEVICE_REMOVED, CKR_KEY_HANDLE_INVALID if card or key have gone. */
  async #afterTurns(kind: OperationKind, operation: { requireKey(): void }, turns: Promise<unknown>): Promise<void> {
    await turns;
    if (this.#active[kind] !== operation)
      throw new CryptokiError(CKR.DEVICE_REMOVED, "the session was closed meanwhile");
    operation.requireKey();
  }

  /** Takes a message in one call, and ends the operation. Errors as of {@link finish} and {@link SessionOperation.requireWhole}. */
  async whole(kind: "digest" | "sign" | "sign-recover", data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const operation = this.get(kind);
    operation.requireWhole();
    try {
      operation.requireKey();
      const turns = feed(operation.stream, data, "the data");
      if (turns) await this.#afterTurns(kind, operation, turns);
      return await operation.stream.final(signal);
    } finally {
      this.cancel(kind);
    }
  }

  /**
   * The private key of the last operation whose key needs its PIN before each use. If no key reports that, the last
   * operation's: some cards do not report it.
   */
  get awaitingPin(): GuardedKey | undefined {
    const keys = [...this.#order].reverse().flatMap((kind) => {
      const operation = this.#active[kind];
      return operation && "key" in operation && operation.key ? [operation.key] : [];
    });
    return keys.find((key) => key.alwaysAuthenticate) ?? keys[0];
  }
}

/** Limits the memory for states that are saved but never restored. */
const MAX_STATES = 256;
const NAME_LENGTH = 16;

/** What the session must have in common with the one that saved the state (PKCS#11 3.1 section 5.6.7). */
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
 * States that C_GetOperationState saved. Node's crypto does not export a hash's state, so a state is the name of a copy
 * that is kept here: it is valid within one application, for any number of restorations.
 */
export class SavedStates {
  #states: SavedState[] = [];

  /** Saves a state; the oldest is dropped if there are too many. @returns Its name. */
  save(digester: Digester, place: SessionPlace): Uint8Array {
    const name = randomBytes(NAME_LENGTH);
    this.#states.push({ name: Uint8Array.from(name), digester: digester.copy(), place });
    if (this.#states.length > MAX_STATES) this.#states.shift();
    return name;
  }

  /** Drops the states of a removed card, which no session can restore. */
  forget(card: TokenCard): void {
    this.#states = this.#states.filter(({ place }) => place.token.card !== card);
  }

  /** @throws {CryptokiError} CKR_SAVED_STATE_INVALID, also if the session has another token or another state. */
  restore(name: Uint8Array, { token, state }: SessionPlace): Digester {
    const saved = this.#states.find((one) => equalBytes(one.name, name));
    if (!saved) throw new CryptokiError(CKR.SAVED_STATE_INVALID, "saved by another application, or too long ago");
    if (saved.place.token !== token || saved.place.state !== state) {
      throw new CryptokiError(CKR.SAVED_STATE_INVALID, "saved in a session with another token, or in another state");
    }
    return saved.digester.copy();
  }
}
