import { REFERENCE_LENGTH } from "../reference-data.ts";

/** Whether `value` is 6 to 8 decimal digits, filled up with FF to 8 bytes. */
export function isWellFormedPin(value: Uint8Array): boolean {
  const digits = value.findIndex((byte) => byte === 0xff);
  const length = digits === -1 ? value.length : digits;
  return (
    value.length === REFERENCE_LENGTH &&
    length >= 6 &&
    value.every((byte, index) => (index < length ? byte >= 0x30 && byte <= 0x39 : byte === 0xff))
  );
}
