import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { concat, DataError, fromHex } from "../../bytes/index.ts";
import { buildAtr, REFERENCE_LENGTH, Refusal } from "../card.ts";
import { encodePublicKey } from "../keys.ts";
import type { CardCommand } from "../transport.ts";
import { eraseBinary, readBinary, readRecord, updateBinary, updateRecord } from "./data.ts";
import { createFile, deleteFile } from "./file-life.ts";
import {
  type Access,
  type AccessRules,
  type CardFile,
  type CardPin,
  CONTROL,
  DESCRIPTOR,
  deviates,
  type ElementaryFile,
  type Instruction,
  type IsoContents,
  type IsoContext,
  type Make,
  MAX_PIN,
  OPEN,
} from "./model.ts";
import { activateApplet, putAdministrativeData } from "./myeid-life.ts";
import {
  generalAuthenticate,
  generateAsymmetricKeyPair,
  manageSecurityEnvironment,
  performSecurityOperation,
  putData,
} from "./myeid-keys.ts";
import { select } from "./select.ts";
import { externalAuthenticate, getChallenge, takeUnlocked } from "./unlock-key.ts";

const ALWAYS = 0x0;
const NEVER = 0xf;

/**
 * Access rules in tag 86, MyEID's proprietary coding: use, update, delete and generate in four bits each (0 always, F
 * never, else the reference of a PIN), and an unused byte (OpenSC, card-myeid.c, encode_file_structure).
 */
export function encodeAccess(rules: AccessRules): Uint8Array {
  const [use, update, remove, generate] = [rules.use, rules.update, rules.delete, rules.generate].map(toNibble);
  return Uint8Array.of(((use ?? NEVER) << 4) | (update ?? NEVER), ((remove ?? NEVER) << 4) | (generate ?? NEVER), 0xff);
}

/**
 * Parses a file's rules; {@link OPEN} if it has none.
 * @throws {DataError} if there are not three bytes.
 */
function decodeAccess(value: Uint8Array): AccessRules {
  if (value.length === 0) return OPEN;
  const [first = 0, second = 0] = value;
  if (value.length !== 3) throw new DataError(`access rules: ${value.length} bytes instead of 3`);
  return {
    use: fromNibble(first >> 4),
    update: fromNibble(first & 0x0f),
    delete: fromNibble(second >> 4),
    generate: fromNibble(second & 0x0f),
  };
}

function toNibble(access: Access): number {
  if (access === "always") return ALWAYS;
  return access === "never" ? NEVER : access;
}

function fromNibble(nibble: number): Access {
  if (nibble === ALWAYS) return "always";
  return nibble === NEVER ? "never" : nibble;
}

/** Creation state, and operational state, activated (section 7.4.10, table 14). */
const LIFE_CYCLE = { CREATION: 0x01, ACTIVATED: 0x05 } as const;

/** The file control information of a file, which SELECT returns. */
function fileControl(
  tag: typeof CONTROL.FCP | typeof CONTROL.FCI,
  file: CardFile,
  { inCreation = false }: Pick<IsoContents, "inCreation">,
): Uint8Array {
  const state = inCreation ? LIFE_CYCLE.CREATION : LIFE_CYCLE.ACTIVATED;
  return encodeTlv(
    tag,
    ...sizeOf(file),
    encodeTlv(CONTROL.DESCRIPTOR, descriptorOf(file)),
    encodeTlv(CONTROL.ID, word(file.id)),
    ...(file.kind === "df" && file.name ? [encodeTlv(CONTROL.NAME, file.name)] : []),
    encodeTlv(CONTROL.SECURITY, file.security),
    ...("shortId" in file ? [encodeTlv(CONTROL.SHORT_ID, Uint8Array.of(file.shortId << 3))] : []),
    encodeTlv(CONTROL.LIFE_CYCLE, Uint8Array.of(state)),
  );
}

/** Bytes of a file; for a key its bits, as on MyEID. */
function sizeOf(file: CardFile): Uint8Array[] {
  switch (file.kind) {
    case "transparent":
      return [encodeTlv(CONTROL.DATA_BYTES, word(file.contents.length))];
    case "records":
      return [encodeTlv(CONTROL.DATA_BYTES, word(file.records.reduce((sum, { length }) => sum + length, 0)))];
    case "key":
      return [encodeTlv(CONTROL.ALL_BYTES, word(file.bits))];
    case "df":
      return [];
  }
}

function descriptorOf(file: CardFile): Uint8Array {
  switch (file.kind) {
    case "transparent":
      return Uint8Array.of(DESCRIPTOR.TRANSPARENT);
    case "records": {
      // Data coding byte, longest record, number of records.
      const longest = Math.max(0, ...file.records.map(({ length }) => length));
      return Uint8Array.of(DESCRIPTOR.RECORDS, 0x41, longest >> 8, longest & 0xff, file.records.length);
    }
    case "key":
      return Uint8Array.of(file.type === "rsa" ? DESCRIPTOR.RSA_KEY : DESCRIPTOR.EC_KEY);
    case "df":
      return Uint8Array.of(DESCRIPTOR.DF);
  }
}

function word(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** The objects of MyEID's GET DATA (OpenSC, card-myeid.c; a point is the contents of a data object, pkcs15-myeid.c). */
const DATA = { MODULUS: 0x0101, EXPONENT: 0x0102, POINT: 0x0186, APPLET: 0x01a0, CAPABILITIES: 0x01aa } as const;
/** Tags of the parts of a public key (ISO/IEC 7816-8 section 5.2, table 3). */
const PART = { [DATA.MODULUS]: 0x81, [DATA.EXPONENT]: 0x82, [DATA.POINT]: 0x86 } as const;
/**
 * Applet 4.0.1. From 4.1 on, OpenSC stores derived secrets in key files on the card, and from 4.5 on it chains a
 * cryptogram of 256 bytes, which before is sent in halves (card-myeid.c, myeid_init).
 */
const VERSION = Uint8Array.of(4, 0, 1);
/** RSA and EC, no symmetric keys; RSA to 4,096 bits, EC to 521. */
const CAPABILITIES = fromHex("01 0009 1000 0000 0000 0209");

function getData({ contents, session }: IsoContext, { p1, p2 }: CardCommand): Uint8Array {
  const wanted = (p1 << 8) | p2;
  switch (wanted) {
    case DATA.MODULUS:
    case DATA.EXPONENT:
      return publicPart(session.file, PART[wanted]);
    case DATA.POINT:
      return encodeTlv(0x30, publicPart(session.file, PART[wanted]));
    case DATA.APPLET: {
      const { changes, traits } = contents;
      // Five unused bytes; a serial number of ten; the number of changes.
      return concat(
        new Uint8Array(5),
        VERSION,
        new Uint8Array(2),
        traits.serial,
        Uint8Array.of((changes >> 8) & 0xff, changes & 0xff),
      );
    }
    case DATA.CAPABILITIES:
      return CAPABILITIES.slice();
    default:
      throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  }
}

/** A number of the current key's public half. */
function publicPart(file: ElementaryFile | undefined, tag: number): Uint8Array {
  const key = file?.kind === "key" ? file.privateKey : undefined;
  const part = key && findTlv(readTlvs(concat(...encodePublicKey(key))), tag);
  if (!part) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  return part;
}

/**
 * VERIFY; without data it queries the state and spends no try. Like OsEID it does not support P1 = FF ({@link logout}).
 */
function verify(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const pin = findPin(context, p2);
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length === 0) {
    if (deviates(context, "pin-status-refused")) throw new Refusal(SW.WRONG_LENGTH);
    if (!context.session.verified.has(p2)) throw new Refusal(triesLeft(pin));
    return new Uint8Array();
  }
  compare(context, p2, data);
  context.session.verified.add(p2);
  context.session.fresh.add(p2);
  return new Uint8Array();
}

/** CHANGE REFERENCE DATA: the old value, then the new one (section 11.6.7). */
function changeReferenceData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const pin = findPin(context, p2);
  const [old, replacement] = split(data);
  checkForm(pin, replacement);
  compare(context, p2, old);
  pin.data.replace(replacement);
  return new Uint8Array();
}

/**
 * RESET RETRY COUNTER: the PUK of the PIN in P2, then the new PIN (section 11.6.10). With P1 = 02 the new PIN alone, which no MyEID knows: for a
 * virtual card with an unlock key.
 */
function resetRetryCounter(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 === 2 && context.contents.unlockKey) return setUnlocked(context, p2, data);
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const pin = findPin(context, p2);
  const ownPuk = pin.puk === undefined ? undefined : context.contents.pins.get(pin.puk);
  if (!ownPuk) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  const [puk, replacement] = split(data);
  checkForm(pin, replacement);
  match(ownPuk, puk);
  pin.data.replace(replacement);
  forget(context, p2);
  return new Uint8Array();
}

function setUnlocked(context: IsoContext, reference: number, replacement: Uint8Array): Uint8Array {
  const pin = findPin(context, reference);
  if (replacement.length !== REFERENCE_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  checkForm(pin, replacement);
  if (!takeUnlocked(context, reference)) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
  pin.data.replace(replacement);
  forget(context, reference);
  return new Uint8Array();
}

/** MyEID's command to forget a PIN, or all of them with reference 0 (OpenSC, card-myeid.c, myeid_logout). */
function logout(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || data.length > 0 || deviates(context, "logout-refused")) throw new Refusal(SW.INCORRECT_P1_P2);
  if (p2 !== 0) findPin(context, p2);
  for (const reference of p2 === 0 ? context.contents.pins.keys() : [p2]) forget(context, reference);
  return new Uint8Array();
}

function findPin({ contents }: IsoContext, reference: number): CardPin {
  const pin = reference > MAX_PIN ? undefined : contents.pins.get(reference);
  if (!pin) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  return pin;
}

/** A malformed value spends no try (6A80); a wrong one does, and cancels an earlier verification. */
function compare(context: IsoContext, reference: number, candidate: Uint8Array): void {
  try {
    match(findPin(context, reference), candidate);
  } catch (error) {
    forget(context, reference);
    throw error;
  }
}

function match(pin: CardPin, candidate: Uint8Array): void {
  if (pin.data.blocked) throw new Refusal(SW.AUTHENTICATION_METHOD_BLOCKED);
  if (candidate.length !== REFERENCE_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  if (!pin.data.matches(candidate)) throw new Refusal(triesLeft(pin));
}

function forget({ session }: IsoContext, reference: number): void {
  session.verified.delete(reference);
  session.fresh.delete(reference);
}

/** Checks for as many characters as the PIN needs, padded with FF. */
function checkForm({ minLength }: CardPin, value: Uint8Array): void {
  const padding = value.findIndex((byte) => byte === 0xff);
  const length = padding === -1 ? value.length : padding;
  if (length < minLength || value.subarray(length).some((byte) => byte !== 0xff)) throw new Refusal(SW.WRONG_DATA);
}

/** 6983 for none, as software expects of a blocked PIN. */
function triesLeft({ data }: CardPin): number {
  return data.blocked ? SW.AUTHENTICATION_METHOD_BLOCKED : SW.TRIES_LEFT | Math.min(data.tries, 15);
}

function split(data: Uint8Array): [Uint8Array, Uint8Array] {
  if (data.length !== 2 * REFERENCE_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  return [data.subarray(0, REFERENCE_LENGTH), data.subarray(REFERENCE_LENGTH)];
}

/** MyEID and its software imitation OsEID: keys are files, PINs have 8 bytes, and the file system is the card's own. */
export const MYEID: Make = {
  // OpenSC recognises OsEID by these last historical bytes (OpenSC, card-myeid.c, myeid_match_card).
  atr: (extended) => buildAtr("OsEID", extended),
  instructions: new Map<number, Instruction>([
    [0x0e, eraseBinary],
    [0x20, verify],
    [0x22, manageSecurityEnvironment],
    [0x24, changeReferenceData],
    [0x2a, performSecurityOperation],
    [0x2c, resetRetryCounter],
    [0x2e, logout],
    [0x44, activateApplet],
    [0x46, generateAsymmetricKeyPair],
    [0x82, externalAuthenticate],
    [0x84, getChallenge],
    [0x86, generalAuthenticate],
    [0xa4, select],
    [0xb0, readBinary],
    [0xb2, readRecord],
    [0xca, getData],
    [0xd6, updateBinary],
    [0xda, (context, command) => putAdministrativeData(context, command) ?? putData(context, command)],
    [0xdc, updateRecord],
    [0xe0, (context, command) => createFile(context, command)],
    [0xe4, deleteFile],
  ]),
  // OpenSC's driver sends DELETE FILE in this form (card-myeid.c, myeid_delete_file).
  takesClass: (cla, ins) => cla === 0xa0 && ins === 0xe4,
  isDefault: true,
  pinLength: 8,
  // OsEID, card_os/fs.c, fs_read_binary.
  endOfFile: SW.END_OF_FILE,
  rules: ({ security }) => decodeAccess(security),
  fileControl,
};
