/** What a status word says, and what helps. */
export interface StatusMeaning {
  readonly name: string;
  readonly advice?: string;
}

const VERIFY_FIRST = "verify the PIN, or authenticate with the key that the object asks for";
const SELECT_FIRST = "is the right application selected?";

/**
 * The status words with a meaning of their own (ISO/IEC 7816-4 section 5.6 tables 6 and 7; 94xx: GlobalPlatform Card
 * Specification 2.3 section 11.1.3). Where GlobalPlatform or PIV say more than ISO, the advice tells.
 */
export const STATUS_MEANINGS: ReadonlyMap<number, StatusMeaning> = new Map<number, StatusMeaning>([
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

  [0x6700, { name: "wrong length", advice: "the command data or Le has a length that the card does not take" }],
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
  [0x6b00, { name: "wrong parameters P1-P2", advice: "an offset beyond the end of the file is answered so, too" }],
  [0x6d00, { name: "instruction not supported or invalid", advice: SELECT_FIRST }],
  [0x6e00, { name: "class not supported", advice: SELECT_FIRST }],
  [0x6f00, { name: "no precise diagnosis", advice: "an internal error of the card" }],

  [0x9484, { name: "algorithm not supported" }],
  [0x9485, { name: "invalid key check value" }],
]);
