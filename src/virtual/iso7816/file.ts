import type { KeyObject } from "node:crypto";

interface FileHead {
  /** File identifier, 16 bits. */
  readonly id: number;
  /** Who may do what with it: security attributes as the card's make codes them (tag 86); empty for none. */
  readonly security: Uint8Array;
}

/** A dedicated file: a directory, an application if it has a name. The master file is one too, 3F00. */
export interface DedicatedFile extends FileHead {
  readonly kind: "df";
  /** DF name: the application identifier. */
  readonly name?: Uint8Array;
  readonly files: CardFile[];
}

/** Bytes one after the other. */
export interface TransparentFile extends FileHead {
  readonly kind: "transparent";
  /** Short EF identifier, 1 to 30. */
  readonly shortId?: number;
  contents: Uint8Array;
}

/** Records of any length, numbered from 1. */
export interface RecordFile extends FileHead {
  readonly kind: "records";
  readonly shortId?: number;
  readonly records: Uint8Array[];
}

/** A private key, which no command reads. */
export interface KeyFile extends FileHead {
  readonly kind: "key";
  readonly type: "rsa" | "ec";
  /** Of the modulus, or of a coordinate. */
  readonly bits: number;
  /** Every use wants the PIN anew. */
  readonly consent: boolean;
  /** Left out until one is made. */
  privateKey?: KeyObject;
}

export type ElementaryFile = TransparentFile | RecordFile | KeyFile;
export type CardFile = DedicatedFile | ElementaryFile;

export const MASTER_FILE = 0x3f00;
