/** Status words by name (ISO/IEC 7816-4 section 5.1.3, GlobalPlatform 2.3 chapter 11, SP 800-73-4 part 2). */
export const SW = {
  OK: 0x9000,
  CORRECT_LE: 0x6c00,
  BYTES_AVAILABLE: 0x6100,
  WRONG_LENGTH: 0x6700,
  LAST_COMMAND_EXPECTED: 0x6883,
  CHAINING_NOT_SUPPORTED: 0x6884,
  SECURITY_STATUS_NOT_SATISFIED: 0x6982,
  AUTHENTICATION_METHOD_BLOCKED: 0x6983,
  REFERENCE_DATA_NOT_USABLE: 0x6984,
  CONDITIONS_NOT_SATISFIED: 0x6985,
  WRONG_DATA: 0x6a80,
  FUNCTION_NOT_SUPPORTED: 0x6a81,
  FILE_NOT_FOUND: 0x6a82,
  RECORD_NOT_FOUND: 0x6a83,
  NOT_ENOUGH_MEMORY: 0x6a84,
  INCORRECT_P1_P2: 0x6a86,
  REFERENCED_DATA_NOT_FOUND: 0x6a88,
  WRONG_P1_P2: 0x6b00,
  INSTRUCTION_NOT_SUPPORTED: 0x6d00,
  CLASS_NOT_SUPPORTED: 0x6e00,
  NO_PRECISE_DIAGNOSIS: 0x6f00,
} as const;

/** The name of a status word in words. */
export function statusName(sw: number): string {
  const entry = Object.entries(SW).find(([, value]) => value === sw);
  return entry ? entry[0].toLowerCase().replaceAll("_", " ") : "status word";
}
