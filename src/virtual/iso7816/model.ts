import type { KeyObject } from "node:crypto";
import { SW } from "../../apdu/index.ts";
import { type ReferenceData, Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import type { Iso7816Deviation } from "./deviations.ts";

/** When an action is allowed: always, never, or after the PIN with this reference, 1 to 14. */
export type Access = "always" | "never" | number;

/** The access rules of a file. */
export interface AccessRules {
  /** Reads an EF, uses a key, or creates files in a DF. */
  readonly use: Access;
  readonly update: Access;
  readonly delete: Access;
  /** Generates a key pair in a key file. */
  readonly generate: Access;
}

/** Reading is always allowed, changing never. */
export const READ_ONLY: AccessRules = { use: "always", update: "never", delete: "never", generate: "never" };
/** For a file without rules: everything is allowed, as in ISO/IEC 7816-4 section 9.3. */
export const OPEN: AccessRules = { use: "always", update: "always", delete: "always", generate: "always" };

interface FileHead {
  /** File identifier, 16 bits. */
  readonly id: number;
  /** Its access rules: security attributes in the coding of the make (tag 86); empty for none. */
  security: Uint8Array;
}

/** A dedicated file: a directory, an application if it has a name. The master file is one too, 3F00. */
export interface DedicatedFile extends FileHead {
  readonly kind: "df";
  /** DF name: the application identifier. */
  readonly name?: Uint8Array;
  readonly files: CardFile[];
}

/** A transparent file: a sequence of bytes. */
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
  /** Whether every use needs a new verification of the PIN. */
  readonly consent: boolean;
  /** Undefined until one is generated. */
  privateKey?: KeyObject;
}

export type ElementaryFile = TransparentFile | RecordFile | KeyFile;
export type CardFile = DedicatedFile | ElementaryFile;

export const MASTER_FILE = 0x3f00;

/** A make of card that the virtual card imitates. */
export type MakeName = "myeid" | "iso-applet" | "iso-applet-1";

/** A PIN or PUK of the card, padded as on the make. */
export interface CardPin {
  readonly data: ReferenceData;
  /** Length of the shortest value. */
  readonly minLength: number;
  /** Reference of the PUK that unblocks it. */
  readonly puk?: number;
}

/** The key by which an issuer unblocks a PIN from afar, and that PIN. */
export interface UnlockKey {
  /** Three keys of DES. */
  readonly key: Uint8Array;
  /** Reference of the PIN. */
  readonly pin: number;
  /** Wrong responses until it is blocked. */
  tries: number;
}

/** The fixed properties of a card. */
export interface IsoTraits {
  /** Supports extended length fields. */
  readonly extended: boolean;
  readonly make: MakeName;
  /** 8 bytes. */
  readonly serial: Uint8Array;
  /** Its deviations from the imitated card; default: none. */
  readonly deviations?: readonly Iso7816Deviation[];
}

/** The persistent state of a card. */
export interface IsoContents {
  readonly traits: IsoTraits;
  readonly masterFile: DedicatedFile;
  /** By reference, 1 to 14; PUKs that no command names have 15 to 30. Empty on a card that is delivered without PINs. */
  readonly pins: Map<number, CardPin>;
  /** Private keys of cards that number their keys instead of storing them in files. */
  readonly keys: Map<number, KeyObject>;
  /** The key that unblocks a PIN; default: none. */
  readonly unlockKey?: UnlockKey;
  /** Increases with every change of a file. */
  changes: number;
  /** Access rules do not count yet: the state of a MyEID until ACTIVATE APPLET. Default: false. */
  inCreation?: boolean;
}

/** The highest reference of a PIN that a command can name. */
export const MAX_PIN = 14;
/** The highest reference of any PIN or PUK. */
export const MAX_REFERENCE = 30;

/** Tags of file control parameters (ISO/IEC 7816-4 section 7.4.3, table 10). */
export const CONTROL = {
  FCP: 0x62,
  FCI: 0x6f,
  DATA_BYTES: 0x80,
  ALL_BYTES: 0x81,
  DESCRIPTOR: 0x82,
  ID: 0x83,
  NAME: 0x84,
  PROPRIETARY: 0x85,
  SECURITY: 0x86,
  SHORT_ID: 0x88,
  LIFE_CYCLE: 0x8a,
} as const;

/** File descriptor bytes (section 7.4.5, table 12); those of keys are MyEID's. */
export const DESCRIPTOR = { TRANSPARENT: 0x01, RECORDS: 0x04, RSA_KEY: 0x11, EC_KEY: 0x22, DF: 0x38 } as const;

/** The security environment, set by MANAGE SECURITY ENVIRONMENT. */
export interface SecurityEnvironment {
  /** Tag of the control reference template: A4 authentication, B6 signature, B8 confidentiality. */
  readonly template: number;
  readonly algorithm: number;
  /** Identifier of the key file. */
  readonly key: number;
}

/** The volatile state of a card, until the next reset. */
export interface IsoSession {
  /** Directories from the master file to the current one; empty while another application is selected. */
  path: readonly DedicatedFile[];
  /** Current EF. */
  file: ElementaryFile | undefined;
  readonly verified: Set<number>;
  /** Verified PINs, except those used up by a key that needs one for each use. */
  readonly fresh: Set<number>;
  environment: SecurityEnvironment | undefined;
  /** The first half of a cryptogram that is sent in two commands. */
  half: Uint8Array | undefined;
  /** The answer to GET CHALLENGE; the next command may answer it. */
  challenge?: Uint8Array | undefined;
  /** Whether the issuer has authenticated, to set a PIN. */
  unlocked?: boolean;
  /** Parts of an incomplete private key. */
  loading: { readonly file: KeyFile; readonly parts: Map<number, Uint8Array> } | undefined;
}

/** The state after a reset: the master file is selected, if its application is. */
export function newSession({ masterFile }: IsoContents, { isDefault }: { readonly isDefault: boolean }): IsoSession {
  return {
    path: isDefault ? [masterFile] : [],
    file: undefined,
    verified: new Set(),
    fresh: new Set(),
    environment: undefined,
    half: undefined,
    loading: undefined,
  };
}

/** Runs a command and returns the data of its answer. Refuses by throwing a Refusal. */
export type Instruction = (context: IsoContext, command: CardCommand) => Uint8Array | Promise<Uint8Array>;

/** The properties of one make of card, which the standard leaves open. */
export interface Make {
  atr(extended: boolean): Uint8Array;
  /** The commands by instruction byte. */
  readonly instructions: ReadonlyMap<number, Instruction>;
  /** Commands that it also accepts with a proprietary class byte. */
  takesClass?(cla: number, ins: number): boolean;
  /** Whether the file system is selected after a reset, without the name of an application. */
  readonly isDefault: boolean;
  /** Bytes of every PIN and PUK on the wire. */
  readonly pinLength: number;
  /**
   * Uses extended length instead of chaining and GET RESPONSE, whatever the card's other properties. Default: false.
   */
  readonly onlyExtended?: boolean;
  /** The refusal of READ BINARY at the end of a file; after the end it is 6B00. */
  readonly endOfFile: number;
  /** Parses a file's security attributes (tag 86) in the make's coding. */
  rules(file: CardFile): AccessRules;
  /** SELECT's answer for a file. */
  fileControl(tag: typeof CONTROL.FCP | typeof CONTROL.FCI, file: CardFile, contents: IsoContents): Uint8Array;
}

/** The state that a command works on: persistent contents and volatile state. */
export interface IsoContext {
  readonly make: Make;
  readonly contents: IsoContents;
  readonly session: IsoSession;
}

/** Whether the card has this deviation. */
export function deviates({ contents }: Pick<IsoContext, "contents">, deviation: Iso7816Deviation): boolean {
  return contents.traits.deviations?.includes(deviation) ?? false;
}

/** The current directory. */
export function currentDf({ contents, session }: IsoContext): DedicatedFile {
  return session.path.at(-1) ?? contents.masterFile;
}

/** @throws {Refusal} 6982 unless the file's rules allow it now. */
export function requireAccess(
  { contents, make, session }: IsoContext,
  file: CardFile,
  action: keyof AccessRules,
): void {
  if (contents.inCreation === true) return;
  const access = make.rules(file)[action];
  if (access === "always" || (access !== "never" && session.verified.has(access))) return;
  throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}
