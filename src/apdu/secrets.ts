import { type Concealment, DataError, toHex } from "../bytes/index.ts";
import { decodeCommand, YUBICO_INSTRUCTIONS } from "./command.ts";

/** Replaces one or more secret bytes: their number is hidden, because it may be the length of a PIN. */
export const CONCEALED = "**";

/** An exchange as hexadecimal digits in which {@link CONCEALED} replaces the secret bytes. */
export interface ConcealedExchange {
  readonly command: string;
  readonly answer: string;
}

/**
 * The secret parts of an exchange: everything after the command's header; the answer's data, which may decide by
 * itself.
 */
interface Secrecy {
  readonly command: boolean;
  readonly answer: boolean | ((data: Uint8Array) => boolean);
}

const HEADER = 4;
const STATUS_WORD = 2;
const GET_RESPONSE = 0xc0;
const CHAINING = 0x10;

/** A rule for one instruction; undefined if it does not apply. */
type Rule = Secrecy | ((command: Uint8Array) => Secrecy | undefined);

const OPEN: Secrecy = { command: false, answer: false };
const SECRET_COMMAND: Secrecy = { command: true, answer: false };
const SECRET_ANSWER: Secrecy = { command: false, answer: true };
const SECRET_BOTH: Secrecy = { command: true, answer: true };

/** The declaration of a command's builder. */
const DECLARED: Readonly<Record<Concealment, Secrecy>> = {
  nothing: OPEN,
  command: SECRET_COMMAND,
  answer: SECRET_ANSWER,
  both: SECRET_BOTH,
};

/** Instructions that may carry a secret. */
const RULES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  // VERIFY, CHANGE REFERENCE DATA, DISABLE and ENABLE VERIFICATION REQUIREMENT, RESET RETRY COUNTER, and their forms
  // with data objects.
  ...[0x20, 0x21, 0x24, 0x25, 0x26, 0x28, 0x2c, 0x2d].map((ins): [number, Rule] => [ins, SECRET_COMMAND]),
  [0x2a, performSecurityOperation],
  [0x2b, performSecurityOperation],
  // PRIVATE SIGN/DECRYPT of CAC cards (GSC-IS 2.1 section 5.3.5.3).
  [0x42, (command) => (isProprietary(command) ? SECRET_ANSWER : undefined)],
  // INITIALIZE DEVICE of a SmartCard-HSM, with a PIN and the initialisation code, and IMPORT DKEK SHARE, with a key;
  // INITIALIZE UPDATE of GlobalPlatform and READ BUFFER of a CAC have the same codes but are short (OpenSC,
  // card-sc-hsm.c).
  [0x50, secretIfLong],
  [0x52, secretIfLong],
  // DECIPHER of a SmartCard-HSM, which also agrees on secrets, and SIGN.
  [0x62, (command) => (isProprietary(command) ? SECRET_ANSWER : undefined)],
  [0x68, signWithHsm],
  // EXTERNAL and MUTUAL AUTHENTICATE; LOAD KEYS of contactless readers.
  [0x82, SECRET_BOTH],
  // GET CHALLENGE: the random bytes may become a key.
  [0x84, SECRET_ANSWER],
  [0x86, generalAuthenticate],
  [0x87, generalAuthenticate],
  // ENVELOPE contains a command of any kind.
  [0xc2, SECRET_BOTH],
  [0xc3, SECRET_BOTH],
  // GET DATA: Yubico's protected data object is recognised by its content.
  [0xcb, { command: false, answer: holdsProtectedData }],
  // PUT KEY of GlobalPlatform.
  [0xd8, SECRET_COMMAND],
  // PUT DATA: imports keys and reset codes to OpenPGP cards.
  [0xda, SECRET_COMMAND],
  [0xdb, putData],
  // STORE DATA of GlobalPlatform personalises with keys; in the interindustry class it is APPEND RECORD.
  [0xe2, (command) => (isProprietary(command) ? SECRET_COMMAND : undefined)],
  // IMPORT ASYMMETRIC KEY and SET MANAGEMENT KEY of Yubico's PIV application; FE is also TERMINATE CARD USAGE, without data.
  [0xfe, SECRET_COMMAND],
  [0xff, SECRET_COMMAND],
]);

/**
 * Reading with any class: SELECT, READ BINARY, READ RECORD, GET DATA. Old cards use classes of their own for the
 * commands of ISO 7816.
 */
const HARMLESS_ANYWHERE = [0xa4, 0xb0, 0xb1, 0xb2, 0xb3, 0xca] as const;

/** Interindustry instructions without secrets. */
const HARMLESS_INTERINDUSTRY: ReadonlySet<number | undefined> = new Set([
  ...HARMLESS_ANYWHERE,
  // ISO/IEC 7816-4: records and files are erased, searched, written; security environment, attributes, channels, INTERNAL
  // AUTHENTICATE, SELECT DATA, GET NEXT DATA.
  ...[0x06, 0x08, 0x0c, 0x0d, 0x0e, 0x0f, 0x22, 0x23, 0x34, 0x35, 0x70, 0x88, 0xa0, 0xa1, 0xa2, 0xa5, 0xcc, 0xcd],
  ...[0xd0, 0xd1, 0xd2, 0xd6, 0xd7, 0xdc, 0xdd, 0xe2],
  // ISO/IEC 7816-8: GENERATE ASYMMETRIC KEY PAIR.
  ...[0x46, 0x47],
  // ISO/IEC 7816-9: files are deactivated, activated, created, deleted, terminated.
  ...[0x04, 0x44, 0xe0, 0xe4, 0xe6, 0xe8],
  ...YUBICO_INSTRUCTIONS,
]);

/** Proprietary instructions without secrets. */
const HARMLESS_PROPRIETARY: ReadonlySet<number | undefined> = new Set([
  ...HARMLESS_ANYWHERE,
  // GlobalPlatform: MANAGE CHANNEL, END and BEGIN R-MAC SESSION, DELETE, INSTALL, LOAD, SET STATUS, GET STATUS.
  ...[0x70, 0x78, 0x7a, 0xe4, 0xe6, 0xe8, 0xf0, 0xf2],
  // CAC (GSC-IS 2.1): GET CERTIFICATE, GET ACR, GET PROPERTIES, UPDATE BUFFER; SmartCard-HSM: ENUMERATE OBJECTS, which is 58 too.
  ...[0x36, 0x4c, 0x56, 0x58],
]);

/** UPDATE BINARY, of a contactless card (PC/SC part 3 section 3.2.2.1). */
const HARMLESS_FOR_READERS: ReadonlySet<number | undefined> = new Set([...HARMLESS_ANYWHERE, 0xd6]);

const READER_CLASS = 0xff;

function isHarmless([cla = 0, ins]: Uint8Array): boolean {
  if (cla === READER_CLASS) return HARMLESS_FOR_READERS.has(ins);
  return (cla >= 0x80 ? HARMLESS_PROPRIETARY : HARMLESS_INTERINDUSTRY).has(ins);
}

const isProprietary = ([cla = 0]: Uint8Array): boolean => cla >= 0x80;

/** P1 is the tag of the output, P2 of the input; 80 is the plain value (ISO/IEC 7816-8:2004 section 5.2). */
function performSecurityOperation([, , p1, p2]: Uint8Array): Secrecy {
  return { command: p2 === 0x80, answer: p1 === 0x80 };
}

/** A header, a length, a challenge of 16 bytes, and Le. */
const MAX_SHORT = 22;

function secretIfLong(command: Uint8Array): Secrecy | undefined {
  if (!isProprietary(command)) return undefined;
  return command.length > MAX_SHORT ? SECRET_COMMAND : OPEN;
}

const RAW_RSA = 0x20;

/**
 * With raw RSA deciphering is the same operation as signing: the answer is shown only if the input was clearly a padded
 * signature input.
 */
function signWithHsm(command: Uint8Array): Secrecy | undefined {
  const [, , , algorithm] = command;
  if (!isProprietary(command)) return undefined;
  return algorithm !== RAW_RSA || holdsSignaturePadding(command) ? OPEN : SECRET_ANSWER;
}

const MANAGEMENT_KEY = 0x9b;
/** PIV keys that sign: authentication, digital signature, card authentication, and Yubico's attestation key. */
const SIGNING_KEYS: ReadonlySet<number | undefined> = new Set([0x9a, 0x9c, 0x9e, 0xf9]);

/** Algorithm identifiers of EC keys (SP 800-78-5 table 9; E0: Yubico, Ed25519). */
const EC_ALGORITHMS: ReadonlySet<number | undefined> = new Set([0x11, 0x14, 0xe0]);
/** A block padded for a signature begins so (RFC 8017 section 9.2), and a ciphertext almost never. */
const SIGNATURE_PADDING = "0001ffffffffffffffff";
/** A length field and the heads of the templates come before the block. */
const BLOCK_WITHIN = 32;

/**
 * Key management keys, also retired ones, return session keys and shared secrets; an unknown key is treated like one.
 * With RSA deciphering is the same operation as signing, so the answer is shown only if the input was clearly a padded
 * signature input.
 */
function generalAuthenticate(command: Uint8Array): Secrecy {
  const [, , algorithm, key] = command;
  if (key === MANAGEMENT_KEY) return SECRET_BOTH;
  if (!SIGNING_KEYS.has(key)) return SECRET_ANSWER;
  return EC_ALGORITHMS.has(algorithm) || holdsSignaturePadding(command) ? OPEN : SECRET_ANSWER;
}

function holdsSignaturePadding(command: Uint8Array): boolean {
  return toHex(command.subarray(HEADER, BLOCK_WITHIN)).includes(SIGNATURE_PADDING);
}

/** First tags of a PUT DATA of PIV: a tag list, the discovery object, biometric information templates. */
const PIV_OBJECTS: readonly (readonly number[])[] = [[0x5c], [0x7e], [0x7f, 0x61]];
/** Yubico's tools store a management key, protected by the PIN, in PIV's printed information. */
const PRINTED_INFORMATION = [0x5c, 0x03, 0x5f, 0xc1, 0x09];
const PROTECTED_DATA = 0x88;

const beginsWith = (data: Uint8Array, prefix: readonly number[]): boolean =>
  prefix.every((byte, index) => data[index] === byte);

/** Shown only if it is clearly a PIV data object: the same command may import a private key (OpenPGP, tag 4D). */
function putData(command: Uint8Array): Secrecy {
  const data = commandData(command);
  if (!PIV_OBJECTS.some((tag) => beginsWith(data, tag))) return SECRET_COMMAND;
  if (!beginsWith(data, PRINTED_INFORMATION)) return OPEN;
  return { command: holdsProtectedData(data.subarray(PRINTED_INFORMATION.length)), answer: false };
}

/** Empty if the command does not parse. */
function commandData(command: Uint8Array): Uint8Array {
  try {
    return decodeCommand(command).data ?? new Uint8Array();
  } catch (error) {
    if (error instanceof DataError) return new Uint8Array();
    throw error;
  }
}

/** Whether a data object 53, perhaps cut off, contains 88; true if that cannot be seen. */
function holdsProtectedData(data: Uint8Array): boolean {
  const [tag, length] = data;
  if (tag !== 0x53 || length === 0) return false;
  if (length === undefined) return true;
  const first = data[length < 0x80 ? 2 : 2 + (length & 0x7f)];
  return first === undefined || first === PROTECTED_DATA;
}

/** Conceals a command and its answer unless a table or the builder declares them harmless. */
function secrecyOf(command: Uint8Array, declared?: Concealment): Secrecy {
  if (declared !== undefined) return DECLARED[declared];
  const rule = RULES.get(command[1] ?? 0);
  const known = typeof rule === "function" ? rule(command) : rule;
  return known ?? (isHarmless(command) ? OPEN : SECRET_BOTH);
}

/** Whether the answer to `command` is secret; `data` is the data of the answer, or of its first part. */
export function isAnswerSecret(command: Uint8Array, data: Uint8Array): boolean {
  // What GET RESPONSE returns is known only from the command before it.
  if (command[1] === GET_RESPONSE) return true;
  const { answer } = secrecyOf(command);
  return typeof answer === "function" ? answer(data) : answer;
}

/**
 * Conceals the secrets of exchanges, which it must see in order: a chained command is concealed like its first part,
 * and data that GET RESPONSE collects like the answer that they belong to. One for each connection.
 */
export class Concealer {
  #chain: { readonly header: string; readonly secrecy: Secrecy } | undefined;
  /** Whether the answer that GET RESPONSE collects is secret; true before the first command. */
  #answer: Secrecy["answer"] = true;

  /**
   * @param answer Empty if the card gave none.
   * @param declared The declaration of the command's builder.
   */
  conceal(command: Uint8Array, answer: Uint8Array, declared?: Concealment): ConcealedExchange {
    const commandSecret = command[1] === GET_RESPONSE ? false : this.#begin(command, declared);
    const data = answer.subarray(0, -STATUS_WORD);
    if (typeof this.#answer === "function" && data.length > 0) this.#answer = this.#answer(data);
    return {
      command: commandSecret ? concealCommand(command) : toHex(command),
      answer: this.#answer === true ? concealAnswer(answer) : toHex(answer),
    };
  }

  /** Records a command other than GET RESPONSE, and returns whether it is secret itself. */
  #begin(command: Uint8Array, declared?: Concealment): boolean {
    const header = toHex(command.subarray(1, HEADER));
    const secrecy = this.#chain?.header === header ? this.#chain.secrecy : secrecyOf(command, declared);
    this.#chain = ((command[0] ?? 0) & CHAINING) === 0 ? undefined : { header, secrecy };
    this.#answer = secrecy.answer;
    return secrecy.command;
  }
}

/** {@link Concealer} for a single exchange without a history. */
export function concealExchange(command: Uint8Array, answer: Uint8Array): ConcealedExchange {
  return new Concealer().conceal(command, answer);
}

function concealCommand(command: Uint8Array): string {
  // One byte after the header is Le: there is no data.
  if (command.length <= HEADER + 1) return toHex(command);
  return toHex(command.subarray(0, HEADER)) + CONCEALED;
}

/** Shows the status word, if there is one: the last bytes of a cut-off answer are data. */
function concealAnswer(answer: Uint8Array): string {
  const data = answer.subarray(0, -STATUS_WORD);
  const status = answer.subarray(data.length);
  const whole = status.length === STATUS_WORD && [0x60, 0x90].includes((status[0] ?? 0) & 0xf0);
  if (!whole) return answer.length > 0 ? CONCEALED : "";
  return (data.length > 0 ? CONCEALED : "") + toHex(status);
}
