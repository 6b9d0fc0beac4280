import type { CommandApdu } from "../apdu/index.ts";
import type { CardMechanism, KeyPrimitive, KeyType } from "../card/index.ts";
import type { FileWays } from "./writing/allocation.ts";
import type { FileControl } from "./files/commands.ts";
import type { KeyFacts, KeyRequest, KeyUse } from "./keys/key-use.ts";
import type { PrivateKeyParts } from "./keys/private-key-info.ts";
import type { CardSession } from "./files/card-session.ts";
import type { CardFacts, CardRecogniser } from "./recognition/makes.ts";
import type { TokenLife } from "./initialising/life.ts";
import type { AlgorithmInfo } from "./syntax/token-info.ts";

/** The key types that cards of this kind can generate. */
export type MadeKeyType = Extract<KeyType, { readonly type: "rsa" | "ec" }>;

/** How cards of one make want their keys to be used: what the standard leaves to them. */
export interface Dialect extends CardRecogniser {
  readonly name: string;
  /** The source of the facts. */
  readonly source: string;
  /**
   * Whether a card is of this make. Also asked before the card was asked anything, with its answer to reset alone: cards that are recognised by
   * that are expected to have PKCS #15 files.
   */
  recognises(card: CardFacts): boolean;
  /** The dialect of this card, if cards of the make report their features. */
  forCard?(card: CardFacts): Dialect;
  /** Whether cards accept extended length although their answers to reset do not announce it. Default: false. */
  readonly extended?: boolean;
  /** Whether TokenInfo lists the algorithms; on other cards they are known without it. */
  readonly algorithmsFromTokenInfo: boolean;
  /** The card's operations with keys of this type. */
  primitives(type: KeyFacts["type"], algorithms: readonly AlgorithmInfo[]): readonly KeyPrimitive[];
  /** Ranges of key sizes, for C_GetMechanismInfo. */
  readonly mechanisms: readonly CardMechanism[];
  /** The ranges of this card, if cards of the make report them; {@link mechanisms} otherwise. Costs exchanges. */
  readonly limits?: (turn: CardSession) => Promise<readonly CardMechanism[]>;
  /**
   * @throws {UnsupportedError} for an operation that the card does not support; {DataError} for input of a wrong
   *   length.
   */
  use(request: KeyRequest): KeyUse;
  /** Whether the empty VERIFY never reports a verified PIN. Default: false. */
  readonly neverTellsVerified?: boolean;
  /**
   * The command by which the card forgets a PIN, if it is not VERIFY with P1 = FF. It may select the application anew.
   */
  logout?(reference: number): CommandApdu;
  /** How files are created and deleted, if not by the standard's commands. */
  readonly files?: FileWays;
  /**
   * The rules of a file in the make's own coding, with reading restricted to the PIN with this reference; undefined for
   * another coding, and for PINs that it cannot name.
   */
  privateRules?(security: FileControl["security"], pin: number): FileControl["security"] | undefined;
  /** How keys are created on the card, if known. */
  readonly keys?: KeyKeeping;
  /** How tokens of the make are initialised and erased, if known. */
  readonly life?: TokenLife;
}

/** How cards of a make store their keys. */
export interface KeyKeeping {
  /** @throws {UnsupportedError} for types that the card cannot generate. */
  generation(type: MadeKeyType): KeyMaking;
  /** @throws {UnsupportedError} for keys that the card cannot import. */
  importation(key: PrivateKeyParts): KeyMaking;
  /**
   * If each key is a file: whether its rules allow deleting it with this PIN. Absent if keys stay until they are
   * overwritten.
   */
  readonly deletable?: (control: FileControl, pin: number | undefined) => boolean;
}

/** Imports a key pair. */
export interface KeyMaking {
  /**
   * If each key is a file: the control parameters of a new one, as the data of CREATE FILE. Absent if the application's
   * DF has numbered keys.
   */
  readonly file?: (id: Uint8Array, guard: KeyGuard) => Uint8Array;
  /**
   * @param turn The key's file is current, or the DF.
   * @param reference The card's number for the key.
   * @returns SubjectPublicKeyInfo of the public half, DER.
   */
  readonly run: (turn: CardSession, reference: number) => Promise<Uint8Array>;
}

/** The PIN policy of a new key. */
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
