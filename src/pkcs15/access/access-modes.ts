/** Bits of the access mode byte, the highest first: what they stand for in EFs and in DFs (ISO/IEC 7816-4 tables 17 and 18). */
const EF_MODES = ["delete", "terminate", "activate", "deactivate", "write", "update", "read"] as const;
const DF_MODES = ["delete", "terminate", "activate", "deactivate", "create DF", "create EF", "delete child"] as const;

/** With the highest bit set, bits 4 to 7 are the maker's own. */
const OWN = 0x80;

/** Bits of the security condition byte (table 20). */
const CONDITION = { ALL: 0x80, SECURE_MESSAGING: 0x40, EXTERNAL: 0x20, USER: 0x10, ENVIRONMENT: 0x0f } as const;

/** What an access mode byte allows, the highest bit first; undefined for modes of the maker's own. */
export function accessModes(mode: number, isDirectory: boolean): readonly string[] | undefined {
  if ((mode & OWN) !== 0) return undefined;
  return (isDirectory ? DF_MODES : EF_MODES).filter((_, index) => (mode & (0x40 >> index)) !== 0);
}

/** A security condition byte in words. */
export function securityCondition(byte: number): string {
  if (byte === 0x00) return "always";
  if (byte === 0xff) return "never";
  const parts = [
    ...((byte & CONDITION.USER) !== 0 ? ["user"] : []),
    ...((byte & CONDITION.EXTERNAL) !== 0 ? ["external authentication"] : []),
    ...((byte & CONDITION.SECURE_MESSAGING) !== 0 ? ["secure messaging"] : []),
  ];
  const environment = byte & CONDITION.ENVIRONMENT;
  const words = parts.join((byte & CONDITION.ALL) !== 0 ? " and " : " or ") || "a condition of the card's own";
  return environment === 0 ? words : `${words} (environment ${environment})`;
}
