import type { CardMechanism, KeyPrimitive, KeyType } from "../card/index.ts";
import type { FileTemplate } from "./allocation.ts";
import type { KeyFacts, KeyRequest, KeyUse } from "./key-use.ts";
import type { PrivateKeyParts } from "./private-key-info.ts";
import type { CardTurn } from "./turn.ts";
import type { AlgorithmInfo } from "./syntax/token-info.ts";

/** What a card is recognised by. */
export interface CardFacts {
  readonly atr: Uint8Array;
  /** Historical bytes of the ATR, as characters; empty if it does not parse. */
  readonly historical: string;
  /** The name under which the application was selected. */
  readonly aid: Uint8Array | undefined;
  /** What the card told when it was selected so. */
  readonly selectAnswer: Uint8Array;
}

/** How cards of one make want their keys to be used: what the standard leaves to them. */
export interface Dialect {
  readonly name: string;
  /** Where the facts are from. */
  readonly source: string;
  recognises(card: CardFacts): boolean;
  /** TokenInfo says what its algorithms are; of other cards it is known without. */
  readonly algorithmsFromTokenInfo: boolean;
  /** What the card computes with keys of this type. */
  primitives(type: KeyFacts["type"], algorithms: readonly AlgorithmInfo[]): readonly KeyPrimitive[];
  /** Ranges of key sizes, for C_GetMechanismInfo. */
  readonly mechanisms: readonly CardMechanism[];
  /** @throws {UnsupportedError} for what the card does not do; {DataError} for input of a wrong length. */
  use(request: KeyRequest): KeyUse;
  /** How the control parameters of a new file are written, if not as the standard has it. */
  readonly fileTemplate?: FileTemplate;
  /** How keys are made, where that is known. @throws {UnsupportedError} for types that the card does not make. */
  generation?(type: KeyType): KeyMaking;
  /** How keys are brought to the card, likewise. */
  importation?(key: PrivateKeyParts): KeyMaking;
}

/** Puts a key pair where the card keeps it. */
export interface KeyMaking {
  /** @param reference The card's number for the key. @returns SubjectPublicKeyInfo of the public half, DER. */
  readonly run: (turn: CardTurn, reference: number) => Promise<Uint8Array>;
}

/** Ranges of sizes for several primitives. */
export function mechanisms(ranges: Partial<Record<KeyPrimitive, readonly [number, number]>>): readonly CardMechanism[] {
  return (Object.entries(ranges) as [KeyPrimitive, readonly [number, number]][]).map(
    ([primitive, [minBits, maxBits]]) => ({ primitive, minBits, maxBits }),
  );
}
