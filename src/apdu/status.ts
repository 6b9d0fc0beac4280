/** The meaning of a status word, and advice. */
interface StatusMeaning {
  readonly name: string;
  readonly advice?: string;
}

const VERIFY_FIRST = "verify the PIN, or authenticate with the key that the object asks for";
const SELECT_FIRST = "is the right application selected?";

/**
 * The status words with a meaning of their own (ISO/IEC 7816-4 section 5.6 tables 6 and 7; 94xx: GlobalPlatform Card
 * Specification 2.3 section 11.1.3). The advice contains what GlobalPlatform or PIV add to ISO.
 */
const STATUS_MEANINGS: ReadonlyMap<number, StatusMeaning> = new Map<number, StatusMeaning>([
  [0x9000, { name: "success" }],

  [0x6200, { name: "warning, nothing changed", advice: "GlobalPlatform: the application is logically deleted" }],
  [0x6281, { name: "part of the data may be corrupted" }],
  [0x6282, { name: "end of file or record before the length asked for" }],
  [0x6283, { name: "selected file deactivated", advice: "GlobalPlatform SELECT: the card is locked" }],
  [0x6284, { name: "file control information not formatted as it should be" }],
  [0x6285, { name: "selected file is terminated" }],
  [0x6286, { name: "no input from a sensor on the card" }],
  [0x6287, { name: "a referenced record or reference data is deactivated" }],
  [0x6300, { name: "verification failed", advice: "GlobalPlatform: the host's cryptogram is wrong; check the keys" }],
  [0x6310, { name: "more data available", advice: "GlobalPlatform GET STATUS: repeat it with P2 = 01 for the rest" }],
  [0x6381, { name: "file filled up by the last write" }],

  [0x6400, { name: "execution error, nothing changed" }],
  [0x6401, { name: "the card needs an immediate response" }],
  [0x6481, { name: "sharing of the logical channel denied" }],
  [0x6482, { name: "opening of a logical channel denied" }],
  [0x6500, { name: "execution error, memory changed" }],
  [0x6581, { name: "memory failure", advice: "the card could not write; it may be worn out" }],
  [0x6600, { name: "security-related issue", advice: "MANAGE SECURITY ENVIRONMENT: it cannot be set or changed" }],

  [0x6700, { name: "wrong length", advice: "the command data or Le has a length that the card does not accept" }],
  [0x6701, { name: "command not formatted as ISO/IEC 7816 says" }],
  [0x6702, { name: "Lc is not what the card expected" }],
  [0x6800, { name: "function of the class byte not supported" }],
  [0x6881, { name: "logical channel not supported", advice: "use the basic channel, or open one first" }],
  [0x6882, { name: "secure messaging not supported" }],
  [0x6883, { name: "last command of the chain expected" }],
  [0x6884, { name: "command chaining not supported" }],
  [0x6900, { name: "command not allowed" }],
  [0x6981, { name: "command does not fit the structure of the file" }],
  [0x6982, { name: "security status not satisfied", advice: VERIFY_FIRST }],
  [
    0x6983,
    { name: "authentication method blocked", advice: "no tries are left: unblock it with the PUK or reset code" },
  ],
  [0x6984, { name: "reference data not usable" }],
  [0x6985, { name: "conditions of use not satisfied", advice: "a command that must come before is missing" }],
  [0x6986, { name: "command not allowed, no current file", advice: SELECT_FIRST }],
  [0x6987, { name: "secure messaging data objects missing" }],
  [0x6988, { name: "secure messaging data objects incorrect" }],
  [0x6a00, { name: "wrong parameters P1-P2" }],
  [0x6a80, { name: "incorrect parameters in the command data" }],
  [0x6a81, { name: "function not supported" }],
  [0x6a82, { name: "file, object or application not found", advice: SELECT_FIRST }],
  [0x6a83, { name: "record not found" }],
  [0x6a84, { name: "not enough memory in the file or on the card" }],
  [0x6a85, { name: "Lc does not agree with the TLV structure" }],
  [0x6a86, { name: "incorrect parameters P1-P2" }],
  [0x6a87, { name: "Lc does not agree with P1-P2" }],
  [0x6a88, { name: "referenced data or key not found" }],
  [0x6a89, { name: "file exists already" }],
  [0x6a8a, { name: "application name exists already" }],
  [0x6b00, { name: "wrong parameters P1-P2", advice: "also the answer to an offset beyond the end of the file" }],
  [0x6d00, { name: "instruction not supported or invalid", advice: SELECT_FIRST }],
  [0x6e00, { name: "class not supported", advice: SELECT_FIRST }],
  [0x6f00, { name: "no precise diagnosis", advice: "an internal error of the card" }],

  [0x9484, { name: "algorithm not supported" }],
  [0x9485, { name: "invalid key check value" }],
]);

/**
 * Status words by name: SW1-SW2 as one number (ISO/IEC 7816-4 section 5.6; GlobalPlatform Card Specification 2.3
 * section 11.1.3; SP 800-73-4 part 2 table 1). A name that ends in `…00` and means a range is the range's first value.
 */
export const SW = {
  OK: 0x9000,
  /** 61xx: xx more bytes wait for GET RESPONSE, 00 for 256 or more. */
  BYTES_AVAILABLE: 0x6100,

  WARNING: 0x6200,
  DATA_CORRUPTED: 0x6281,
  END_OF_FILE: 0x6282,
  FILE_DEACTIVATED: 0x6283,
  BAD_FILE_CONTROL_INFORMATION: 0x6284,
  FILE_TERMINATED: 0x6285,
  NO_SENSOR_INPUT: 0x6286,
  REFERENCE_DEACTIVATED: 0x6287,
  VERIFICATION_FAILED: 0x6300,
  MORE_DATA: 0x6310,
  FILE_FILLED_UP: 0x6381,
  /** 63Cx: not verified, or queried (an empty VERIFY, which spends no try); x tries are left. */
  TRIES_LEFT: 0x63c0,

  EXECUTION_ERROR: 0x6400,
  IMMEDIATE_RESPONSE_REQUIRED: 0x6401,
  CHANNEL_SHARING_DENIED: 0x6481,
  CHANNEL_OPENING_DENIED: 0x6482,
  MEMORY_CHANGED: 0x6500,
  MEMORY_FAILURE: 0x6581,
  SECURITY_ISSUE: 0x6600,

  WRONG_LENGTH: 0x6700,
  COMMAND_FORMAT: 0x6701,
  UNEXPECTED_LC: 0x6702,
  CLASS_FUNCTION_NOT_SUPPORTED: 0x6800,
  LOGICAL_CHANNEL_NOT_SUPPORTED: 0x6881,
  SECURE_MESSAGING_NOT_SUPPORTED: 0x6882,
  LAST_COMMAND_EXPECTED: 0x6883,
  CHAINING_NOT_SUPPORTED: 0x6884,
  COMMAND_NOT_ALLOWED: 0x6900,
  COMMAND_INCOMPATIBLE_WITH_FILE: 0x6981,
  SECURITY_STATUS_NOT_SATISFIED: 0x6982,
  AUTHENTICATION_METHOD_BLOCKED: 0x6983,
  REFERENCE_DATA_NOT_USABLE: 0x6984,
  CONDITIONS_NOT_SATISFIED: 0x6985,
  NO_CURRENT_FILE: 0x6986,
  SECURE_MESSAGING_OBJECTS_MISSING: 0x6987,
  SECURE_MESSAGING_OBJECTS_INCORRECT: 0x6988,
  WRONG_PARAMETERS: 0x6a00,
  WRONG_DATA: 0x6a80,
  FUNCTION_NOT_SUPPORTED: 0x6a81,
  FILE_NOT_FOUND: 0x6a82,
  RECORD_NOT_FOUND: 0x6a83,
  NOT_ENOUGH_MEMORY: 0x6a84,
  LC_INCONSISTENT_WITH_TLV: 0x6a85,
  INCORRECT_P1_P2: 0x6a86,
  LC_INCONSISTENT_WITH_P1_P2: 0x6a87,
  REFERENCED_DATA_NOT_FOUND: 0x6a88,
  FILE_EXISTS: 0x6a89,
  NAME_EXISTS: 0x6a8a,
  WRONG_P1_P2: 0x6b00,
  /** 6Cxx: wrong Le; xx is the right one, 00 for 256. */
  CORRECT_LE: 0x6c00,
  INSTRUCTION_NOT_SUPPORTED: 0x6d00,
  CLASS_NOT_SUPPORTED: 0x6e00,
  NO_PRECISE_DIAGNOSIS: 0x6f00,

  ALGORITHM_NOT_SUPPORTED: 0x9484,
  INVALID_KEY_CHECK_VALUE: 0x9485,
} as const;

/** The outcome of a command, by SW1 (ISO/IEC 7816-4 section 5.6 table 5). */
export type StatusKind = "success" | "warning" | "execution error" | "checking error" | "proprietary" | "invalid";

export interface StatusExplanation {
  /** Four uppercase hexadecimal digits. */
  readonly code: string;
  readonly kind: StatusKind;
  /** As text: "security status not satisfied", "not verified, 2 tries left". */
  readonly name: string;
  /** What to do about it, if there is advice. */
  readonly advice?: string;
}

/** The name of a status word as text; every number has one. */
export function statusName(sw: number): string {
  return meaningOf(sw).name;
}

/** The meaning of a status word, and what to do about it. */
export function explainStatus(sw: number): StatusExplanation {
  const { name, advice } = meaningOf(sw);
  const code = sw.toString(16).toUpperCase().padStart(4, "0");
  return { code, kind: kindOf(sw), name, ...(advice !== undefined && { advice }) };
}

function kindOf(sw: number): StatusKind {
  const sw1 = sw >> 8;
  if (sw === SW.OK || sw1 === 0x61) return "success";
  if (sw1 === 0x62 || sw1 === 0x63) return "warning";
  if (sw1 >= 0x64 && sw1 <= 0x66) return "execution error";
  if (sw1 >= 0x67 && sw1 <= 0x6f) return "checking error";
  return sw1 >= 0x90 && sw1 <= 0x9f ? "proprietary" : "invalid";
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** First exact words, then the ranges whose low byte or digit is a number. */
function meaningOf(sw: number): StatusMeaning {
  return STATUS_MEANINGS.get(sw) ?? rangeOf(sw) ?? generalMeaning(sw);
}

function rangeOf(sw: number): StatusMeaning | undefined {
  const sw2 = sw & 0xff;
  switch (sw >> 8) {
    case 0x61:
      return { name: `${sw2 === 0 ? "256 bytes or more" : count(sw2, "more byte")} to collect with GET RESPONSE` };
    case 0x6c:
      return {
        name: `wrong length expected, ${sw2 || 256} is right`,
        advice: `send the command again with Le = ${sw2.toString(16).toUpperCase().padStart(2, "0")}`,
      };
    case 0x63: {
      const tries = countedTries(sw);
      return tries === undefined ? undefined : triesMeaning(tries);
    }
    case 0x62:
    case 0x64:
      // ISO/IEC 7816-4 section 12.5.1: the card has a query of this many bytes.
      return sw2 >= 0x02 && sw2 <= 0x80
        ? { name: `the card asks for a query of ${sw2} bytes to be fetched` }
        : undefined;
    default:
      return undefined;
  }
}

/**
 * The tries in a status word: x of 63Cx (ISO/IEC 7816-4 section 5.6), and of 630x, which a YubiKey NEO answers instead.
 * 6300 has no number.
 */
function countedTries(sw: number): number | undefined {
  if ((sw & 0xfff0) === 0x63c0 || (sw > 0x6300 && sw < 0x6310)) return sw & 0x0f;
  return undefined;
}

function triesMeaning(tries: number): StatusMeaning {
  return {
    name: `not verified, ${tries} ${tries === 1 ? "try" : "tries"} left`,
    ...(tries === 0 && { advice: "the reference is blocked: unblock it with the PUK or reset code" }),
  };
}

const GENERAL: Partial<Record<StatusKind, string>> = {
  warning: "warning",
  "execution error": "execution error",
  "checking error": "checking error",
  proprietary: "a status that the application defines",
};

function generalMeaning(sw: number): StatusMeaning {
  const sw1 = sw >> 8;
  if (sw1 === 0x66) return { name: "security-related issue" };
  const general = GENERAL[kindOf(sw)];
  if (general !== undefined) return { name: general };
  return {
    name: "no status word",
    advice: "a card's last but one byte is 61 to 6F or 90 to 9F: was the answer cut off?",
  };
}

/**
 * Whether a status word means that the card failed, and says nothing about the requested object: 64xx to 66xx and 6Fxx
 * (ISO/IEC 7816-4 tables 5 and 6).
 */
export function isExecutionError(sw: number): boolean {
  return (sw >= SW.EXECUTION_ERROR && sw < SW.WRONG_LENGTH) || sw >> 8 === 0x6f;
}

const hex4 = (sw: number): string => sw.toString(16).toUpperCase().padStart(4, "0");

/** A card's mistake or refusal: the base class of every error of the card layers. */
export class CardError extends Error {
  override readonly name: string = "CardError";
}

/** The card answered a command with a status word other than success. */
export class StatusError extends CardError {
  override readonly name = "StatusError";
  readonly sw: number;

  /** @param action The command, for the message: "VERIFY", "GET DATA 5FC105". */
  constructor(action: string, sw: number) {
    super(`${statusName(sw)} (${hex4(sw)}) from ${action}`);
    this.sw = sw;
  }

  /** Tries left, if the status word contains them: 63Cx and 630x (not 6300) contain x; 6983 means none. */
  get triesLeft(): number | undefined {
    if (this.sw === 0x6983) return 0;
    return countedTries(this.sw);
  }
}

/** The card's answer is malformed: cut off, too long, a wrong length, a chain that does not end. */
export class MalformedAnswerError extends CardError {
  override readonly name = "MalformedAnswerError";
}
