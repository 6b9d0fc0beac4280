import { concat, utf8 } from "../bytes/index.ts";

/**
 * An answer to reset for protocol T=1 whose historical bytes carry the card capabilities (ISO/IEC 7816-4 section
 * 8.1.1): selection by full and partial name, command chaining, and extended length where `extended` says so.
 * @param label Issuer's data, up to 9 characters.
 */
export function buildAtr(label: string, extended: boolean): Uint8Array {
  const issuer = utf8(label);
  const historical = concat(
    Uint8Array.of(0x80, 0x73, 0xc0, 0x01, extended ? 0xc0 : 0x80),
    Uint8Array.of(0x50 | issuer.length),
    issuer,
  );
  const checked = concat(Uint8Array.of(0x80 | historical.length, 0x01), historical);
  const tck = checked.reduce((sum, byte) => sum ^ byte, 0);
  return concat(Uint8Array.of(0x3b), checked, Uint8Array.of(tck));
}
