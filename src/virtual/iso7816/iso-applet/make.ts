import { SW } from "../../../apdu/index.ts";
import { equalBytes, fromHex } from "../../../bytes/index.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import { readBinary, updateBinary } from "../binary.ts";
import { getChallenge } from "../challenge.ts";
import type { Instruction, IsoContext, Make } from "../make.ts";
import { select } from "../select.ts";
import { readRules } from "./access.ts";
import { manageSecurityEnvironment } from "./environment.ts";
import { fileControl } from "./file-control.ts";
import { createFile, deleteFile } from "./file-life.ts";
import { generateAsymmetricKeyPair, putData } from "./new-key.ts";
import { changeReferenceData, PIN_LENGTH, resetRetryCounter, verify } from "./pin.ts";
import { performSecurityOperation } from "./security-operation.ts";

const AID = fromHex("f276a288bcfba69d34f31001");
/** Version 0.6, with random numbers and elliptic curves: what the applet tells when it is selected. */
const VERSION = Uint8Array.of(0, 6, 0x06);
const BY_NAME = 0x04;

const INSTRUCTIONS: readonly (readonly [number, Instruction])[] = [
  [0x20, verify],
  [0x22, manageSecurityEnvironment],
  [0x24, changeReferenceData],
  [0x2a, performSecurityOperation],
  [0x2c, resetRetryCounter],
  [0x46, generateAsymmetricKeyPair],
  [0x84, getChallenge],
  [0xb0, readBinary],
  [0xd6, updateBinary],
  [0xdb, putData],
  [0xe0, createFile],
  [0xe4, deleteFile],
];

/**
 * IsoApplet 0.6 on a Java Card (github.com/philipWendland/IsoApplet, tag v0.6.1): the file system belongs to an applet that is
 * selected by its name, keys have numbers, and the one PIN is filled up with zeros.
 */
export const ISO_APPLET: Make = {
  // A Java Card without historical bytes, as recorded.
  atr: () => fromHex("3b80800101"),
  instructions: new Map<number, Instruction>([
    [0xa4, selectApplet],
    ...INSTRUCTIONS.map(([ins, instruction]) => [ins, whenSelected(instruction)] as const),
  ]),
  isDefault: false,
  pinLength: PIN_LENGTH,
  // IsoFileSystem.java, processReadBinary.
  endOfFile: SW.WRONG_P1_P2,
  rules: readRules,
  fileControl,
};

/** By the applet's name from anywhere; its files once it is selected. What is not there answers as the recorded card did. */
function selectApplet(context: IsoContext, command: CardCommand): Uint8Array {
  const { contents, session } = context;
  if (command.p1 !== BY_NAME) return whenSelected(select)(context, command) as Uint8Array;
  if (!equalBytes(command.data, AID)) throw new Refusal(session.path.length === 0 ? 0x6999 : SW.FILE_NOT_FOUND);
  session.path = [contents.masterFile];
  session.file = undefined;
  session.verified.clear();
  session.environment = undefined;
  return VERSION;
}

/** Before, the card's manager answers. */
function whenSelected(instruction: Instruction): Instruction {
  return (context, command) => {
    if (context.session.path.length === 0) throw new Refusal(SW.COMMAND_NOT_ALLOWED);
    return instruction(context, command);
  };
}
