import type { CommandApdu } from "../apdu/index.ts";
import type { CardMechanism, KeyPrimitive, KeyType } from "../card/index.ts";
import type { FileWays } from "./writing/allocation.ts";
import type { FileControl } from "./files/commands.ts";
import type { KeyFacts, KeyRequest, KeyUse } from "./keys/key-use.ts";
import type { PrivateKeyParts } from "./keys/private-key-info.ts";
import type { CardSession } from "./files/card-session.ts";
import type { CardFacts } from "./recognition/makes.ts";
import type { AlgorithmInfo } from "./syntax/token-info.ts";

/** The keys that cards of this kind make. */
export type MadeKeyType = Extract<KeyType, { readonly type: "rsa" | "ec" }>;

/** How cards of one make want their keys to be used: what the standard leaves to them. */
export interface Dialect {
  readonly name: string;
  /** Where the facts are from. */
  readonly source: string;
  recognises(card: CardFacts): boolean;
  /** The dialect of this one card, where cards of the make tell what they have. */
  forCard?(card: CardFacts): Dialect;
  /** Cards that take commands with extended length though their answers to reset do not say so. Default: false. */
  readonly extended?: boolean;
  /** TokenInfo says what its algorithms are; of other cards it is known without. */
  readonly algorithmsFromTokenInfo: boolean;
  /** What the card computes with keys of this type. */
  primitives(type: KeyFacts["type"], algorithms: readonly AlgorithmInfo[]): readonly KeyPrimitive[];
  /** Ranges of key sizes, for C_GetMechanismInfo. */
  readonly mechanisms: readonly CardMechanism[];
  /**
   * The ranges of this card, where cards of the make tell their own; {@link mechanisms} if it does not. Costs exchanges.
   */
  readonly limits?: (turn: CardSession) => Promise<readonly CardMechanism[]>;
  /** @throws {UnsupportedError} for what the card does not do; {DataError} for input of a wrong length. */
  use(request: KeyRequest): KeyUse;
  /** The empty VERIFY never answers that the PIN is verified, even when it is. Default: false. */
  readonly neverTellsVerified?: boolean;
  /** The command by which the card forgets a PIN, if it is not VERIFY with P1 = FF. It may select the application anew. */
  logout?(reference: number): CommandApdu;
  /** How files are made and taken away, if not as the standard has it. */
  readonly files?: FileWays;
  /**
   * The rules of a file in the make's own coding, with reading left to who has given the PIN with a reference; undefined for rules
   * in another, and for PINs that they cannot name.
   */
  privateRules?(security: FileControl["security"], pin: number): FileControl["security"] | undefined;
  /** How keys come to be on the card, where that is known. */
  readonly keys?: KeyKeeping;
}

/** How cards of a make keep their keys. */
export interface KeyKeeping {
  /** @throws {UnsupportedError} for types that the card does not make. */
  generation(type: MadeKeyType): KeyMaking;
  /** @throws {UnsupportedError} for keys that the card does not take. */
  importation(key: PrivateKeyParts): KeyMaking;
  /**
   * Where each key is a file, with which it goes: whether the rules of one allow that with this PIN. Left out where keys stay until
   * others take their places.
   */
  readonly deletable?: (control: FileControl, pin: number | undefined) => boolean;
}

/** Puts a key pair where the card keeps it. */
export interface KeyMaking {
  /**
   * Where each key is a file: the control parameters of a new one, as the data of CREATE FILE. Left out where the application's
   * DF has keys by their numbers.
   */
  readonly file?: (id: Uint8Array, guard: KeyGuard) => Uint8Array;
  /**
   * @param turn The key's file is current, or the DF.
   * @param reference The card's number for the key.
   * @returns SubjectPublicKeyInfo of the public half, DER.
   */
  readonly run: (turn: CardSession, reference: number) => Promise<Uint8Array>;
}

/** What a new key wants of its user. */
export interface KeyGuard {
  /** Reference of the PIN; undefined on cards without one. */
  readonly pin: number | undefined;
  readonly alwaysAuthenticate: boolean;
}

/** Ranges of sizes for several primitives. */
export function mechanisms(ranges: Partial<Record<KeyPrimitive, readonly [number, number]>>): readonly CardMechanism[] {
  return (Object.entries(ranges) as [KeyPrimitive, readonly [number, number]][]).map(
    ([primitive, [minBits, maxBits]]) => ({ primitive, minBits, maxBits }),
  );
}
