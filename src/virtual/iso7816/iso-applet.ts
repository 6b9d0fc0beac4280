import { encodeTlv, SW } from "../../apdu/index.ts";
import { ByteReader, DataError, equalBytes, fromHex } from "../../bytes/index.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { readBinary, updateBinary } from "./data.ts";
import { createFile as create, removeFile } from "./file-life.ts";
import {
  changeReferenceData,
  generateAsymmetricKeyPair,
  hasPin,
  isVersion1,
  manageSecurityEnvironment,
  performSecurityOperation,
  PIN,
  PIN_LENGTH,
  putData,
  resetRetryCounter,
  verify,
} from "./iso-applet-keys.ts";
import {
  type Access,
  type AccessRules,
  type CardFile,
  CONTROL,
  type DedicatedFile,
  DESCRIPTOR,
  type Instruction,
  type IsoContext,
  type Make,
  OPEN,
} from "./model.ts";
import { select } from "./select.ts";
import { getChallenge } from "./unlock-key.ts";

/** Offsets of the conditions of actions, after the byte that lists them (IsoApplet 0.6, File.java). */
const AT = { DELETE: 1, UPDATE: 6, READ: 7 } as const;
const LENGTH = 8;

/**
 * Parses access rules in tag 86 in IsoApplet's form: a byte FF and one condition for each of seven actions (ISO/IEC
 * 7816-4 tables 16, 17 and 20); {@link OPEN} if absent. In a directory, the position for updating means creating files.
 * @throws {DataError} if there are not eight bytes.
 */
function readRules({ kind, security }: CardFile): AccessRules {
  if (security.length === 0) return OPEN;
  if (security.length !== LENGTH) throw new DataError(`access rules: ${security.length} bytes instead of ${LENGTH}`);
  const at = (index: number): Access => condition(security[index] ?? 0xff);
  const update = at(AT.UPDATE);
  return { use: kind === "df" ? update : at(AT.READ), update, delete: at(AT.DELETE), generate: "never" };
}

/** 00: always. 90, or 1x with the number of an environment: after the PIN. Anything else: never. */
function condition(byte: number): Access {
  if (byte === 0x00) return "always";
  return byte === 0x90 || (byte & 0x9f) === 0x10 ? PIN : "never";
}

const word = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);

/** The parameters of CREATE FILE, which SELECT returns as FCI for any request. */
function fileControl(_tag: number, file: CardFile): Uint8Array {
  const size = file.kind === "transparent" ? [encodeTlv(CONTROL.ALL_BYTES, word(file.contents.length))] : [];
  return encodeTlv(
    CONTROL.FCI,
    ...size,
    encodeTlv(CONTROL.DESCRIPTOR, Uint8Array.of(file.kind === "df" ? DESCRIPTOR.DF : DESCRIPTOR.TRANSPARENT)),
    encodeTlv(CONTROL.ID, word(file.id)),
    ...(file.kind === "df" && file.name ? [encodeTlv(CONTROL.NAME, file.name)] : []),
    ...(file.security.length > 0 ? [encodeTlv(CONTROL.SECURITY, file.security)] : []),
  );
}

/** CREATE FILE: directories and transparent files, each with an identifier that is unique on the card (6984). */
function createFile(context: IsoContext, command: CardCommand): Uint8Array {
  const { masterFile } = context.contents;
  return create(context, command, ({ kind, id }) => {
    const isKnown = kind === "df" || kind === "transparent";
    if (!isKnown || masterFile.id === id || find([masterFile], id)) throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  });
}

/** DELETE FILE by an identifier, anywhere on the card. */
function deleteFile(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length !== 2) throw new Refusal(SW.WRONG_LENGTH);
  const found = find([context.contents.masterFile], new ByteReader(data).u16());
  if (!found) throw new Refusal(SW.FILE_NOT_FOUND);
  removeFile(context, found.path, found.file);
  return new Uint8Array();
}

/** A file anywhere below the last directory of `path`, with the directories above it. */
function find(
  path: readonly DedicatedFile[],
  id: number,
): { readonly path: readonly DedicatedFile[]; readonly file: CardFile } | undefined {
  for (const file of path.at(-1)?.files ?? []) {
    if (file.id === id) return { path, file };
    const deeper = file.kind === "df" ? find([...path, file], id) : undefined;
    if (deeper) return deeper;
  }
  return undefined;
}

const AID = fromHex("f276a288bcfba69d34f31001");
/** Version 0.6, with random numbers and elliptic curves: the applet's answer to SELECT. */
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
 * IsoApplet 0.6 on a Java Card (github.com/philipWendland/IsoApplet, tag v0.6.1): the file system belongs to an applet
 * that is selected by its name, keys have numbers, and the only PIN is padded with zeros.
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

/**
 * IsoApplet 1.0 (branch main of the same): it returns its version by GET DATA, has PSS, RSA keys of 4,096 bits and
 * ECDSA of a hash, and uses extended length instead of chaining and GET RESPONSE.
 */
export const ISO_APPLET_1: Make = {
  ...ISO_APPLET,
  instructions: new Map<number, Instruction>([...ISO_APPLET.instructions, [0xca, whenSelected(getData)]]),
  onlyExtended: true,
};

/** Version and features: extended length, random numbers, elliptic curves, PSS and RSA-4096. */
const INFO = Uint8Array.of(1, 0, 0x2f);

function getData(_context: IsoContext, { p1, p2 }: CardCommand): Uint8Array {
  if (p1 !== 0x01 || p2 !== 0x01) throw new Refusal(SW.INCORRECT_P1_P2);
  return INFO.slice();
}

/**
 * Selects the applet by its name at any time; its files once it is selected. Absent files are answered as by the
 * recorded card.
 */
function selectApplet(context: IsoContext, command: CardCommand): Uint8Array {
  const { contents, session } = context;
  if (command.p1 !== BY_NAME) return whenSelected(select)(context, command) as Uint8Array;
  if (!equalBytes(command.data, AID)) throw new Refusal(session.path.length === 0 ? 0x6999 : SW.FILE_NOT_FOUND);
  session.path = [contents.masterFile];
  session.file = undefined;
  session.verified.clear();
  // Until it has a PIN, it asks for none (IsoApplet.java, select).
  if (!hasPin(context)) session.verified.add(PIN);
  session.environment = undefined;
  return isVersion1(context) ? new Uint8Array() : VERSION;
}

/** Before that, the card's manager answers. */
function whenSelected(instruction: Instruction): Instruction {
  return (context, command) => {
    if (context.session.path.length === 0) throw new Refusal(SW.COMMAND_NOT_ALLOWED);
    return instruction(context, command);
  };
}
