/**
 * Types of the platform that the declarations of this package name. Where the program has Node's or the DOM's declarations, they are
 * those; elsewhere they have the members that matter here. So the package needs neither `@types/node` nor the DOM library.
 */

/** The type of a global class's objects; `Own` where the program does not declare the class. */
type Global<Name extends string, Own> =
  typeof globalThis extends Readonly<Record<Name, { readonly prototype: infer Instance }>> ? Instance : Own;

type Listener = (event: never) => void;

/** Ends a wait (DOM standard, section 3.2). */
export type AbortSignal = Global<"AbortSignal", OwnAbortSignal>;
interface OwnAbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: Listener, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: Listener): void;
}

/** URL standard, section 6.1. */
export type URL = Global<"URL", { readonly href: string }>;

/** Node's Buffer; without its declaration what it extends. */
export type Buffer = typeof globalThis extends { readonly Buffer: { alloc(size: number): infer Instance } }
  ? Instance
  : Uint8Array;

export type DOMException = Global<"DOMException", Error>;

declare global {
  // The DOM's and Node's declarations merge with these: a generic class cannot be looked up as AbortSignal is.
  /** A stream that is read (Streams standard, section 4). */
  interface ReadableStream<R = any> {
    readonly locked: boolean;
    cancel(reason?: unknown): Promise<void>;
  }
  /** A stream that is written to (Streams standard, section 5). */
  interface WritableStream<W = any> {
    readonly locked: boolean;
    abort(reason?: unknown): Promise<void>;
  }
}

/** The global `crypto` (Web Cryptography API, section 10). */
export type Crypto = typeof globalThis extends { readonly crypto: infer Host } ? Host : OwnCrypto;
interface OwnCrypto {
  readonly subtle: OwnSubtleCrypto;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
interface OwnCryptoKey {
  readonly algorithm: { name: string };
  readonly extractable: boolean;
  readonly type: "private" | "public" | "secret";
  readonly usages: ("decrypt" | "deriveBits" | "deriveKey" | "encrypt" | "sign" | "unwrapKey" | "verify" | "wrapKey")[];
}
interface OwnSubtleCrypto {
  decrypt(algorithm: unknown, key: OwnCryptoKey, data: unknown): Promise<ArrayBuffer>;
  deriveBits(algorithm: unknown, key: OwnCryptoKey, length?: number | null): Promise<ArrayBuffer>;
  deriveKey(
    algorithm: unknown,
    key: OwnCryptoKey,
    derived: unknown,
    extractable: boolean,
    usages: unknown,
  ): Promise<OwnCryptoKey>;
  digest(algorithm: unknown, data: unknown): Promise<ArrayBuffer>;
  encrypt(algorithm: unknown, key: OwnCryptoKey, data: unknown): Promise<ArrayBuffer>;
  exportKey(format: unknown, key: OwnCryptoKey): Promise<unknown>;
  generateKey(algorithm: unknown, extractable: boolean, usages: unknown): Promise<unknown>;
  importKey(
    format: unknown,
    data: unknown,
    algorithm: unknown,
    extractable: boolean,
    usages: unknown,
  ): Promise<OwnCryptoKey>;
  sign(algorithm: unknown, key: OwnCryptoKey, data: unknown): Promise<ArrayBuffer>;
  unwrapKey(
    format: unknown,
    wrapped: unknown,
    key: OwnCryptoKey,
    by: unknown,
    as: unknown,
    extractable: boolean,
    usages: unknown,
  ): Promise<OwnCryptoKey>;
  verify(algorithm: unknown, key: OwnCryptoKey, signature: unknown, data: unknown): Promise<boolean>;
  wrapKey(format: unknown, key: OwnCryptoKey, by: OwnCryptoKey, algorithm: unknown): Promise<ArrayBuffer>;
}

/** An asymmetric key of node:crypto. */
export interface KeyObject {
  readonly type: "private" | "public" | "secret";
  readonly asymmetricKeyType?: string | undefined;
}

/** The part of node:stream's Duplex that a connection needs. */
export interface Duplex {
  readonly destroyed: boolean;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  once(event: string, listener: (...args: unknown[]) => void): unknown;
  write(chunk: unknown, ...rest: unknown[]): boolean;
  end(...rest: unknown[]): unknown;
  destroy(error?: Error): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** An extension of a certificate, as @peculiar/x509 makes it. */
export interface Extension {
  readonly type: string;
  readonly critical: boolean;
  readonly value: ArrayBuffer;
  readonly rawData: ArrayBuffer;
}
