import type { CardCommand } from "../transport.ts";
import type { AccessRules } from "./access.ts";
import type { IsoContents } from "./contents.ts";
import type { Iso7816Deviation } from "./deviations.ts";
import type { CONTROL } from "./file-control.ts";
import type { CardFile } from "./file.ts";
import type { IsoSession } from "./session.ts";

/** One command of a card: the data of its answer. Refuses by throwing a Refusal. */
export type Instruction = (context: IsoContext, command: CardCommand) => Uint8Array | Promise<Uint8Array>;

/** What cards of one make have of their own, where the standard leaves it to them. */
export interface Make {
  atr(extended: boolean): Uint8Array;
  /** The commands by instruction byte. */
  readonly instructions: ReadonlyMap<number, Instruction>;
  /** Commands that it also takes with a class byte of its own. */
  takesClass?(cla: number, ins: number): boolean;
  /** The file system is there after a reset, without the name of an application. */
  readonly isDefault: boolean;
  /** Bytes of every PIN and PUK on the wire. */
  readonly pinLength: number;
  /** Takes extended length in place of chains and GET RESPONSE, whatever else the card is like. Default: false. */
  readonly onlyExtended?: boolean;
  /** How READ BINARY is refused where a file ends; behind the end it is 6B00. */
  readonly endOfFile: number;
  /** The rules in a file's security attributes (tag 86), in the make's coding. */
  rules(file: CardFile): AccessRules;
  /** What SELECT tells of a file. */
  fileControl(tag: typeof CONTROL.FCP | typeof CONTROL.FCI, file: CardFile): Uint8Array;
}

/** What a command works on: the lasting contents and the state since reset. */
export interface IsoContext {
  readonly make: Make;
  readonly contents: IsoContents;
  readonly session: IsoSession;
}

/** Whether the card differs so from the one that it imitates. */
export function deviates({ contents }: Pick<IsoContext, "contents">, deviation: Iso7816Deviation): boolean {
  return contents.traits.deviations?.includes(deviation) ?? false;
}
