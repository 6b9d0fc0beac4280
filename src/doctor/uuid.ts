import { fromHex, toHex } from "../bytes/index.ts";

/** "94e28c68-84db-44db-8a0e-f502d6689b14" for 16 bytes. */
export function uuidText(bytes: Uint8Array): string {
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, "$1-$2-$3-$4-$5");
}

/** The UUID of a URN (RFC 4122 section 3); undefined for any other URI. */
export function uuidOfUrn(uri: string): Uint8Array | undefined {
  const [, digits] = /^urn:uuid:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/iu.exec(uri) ?? [];
  return digits === undefined ? undefined : fromHex(digits.replaceAll("-", ""));
}

/** Whether variant and version are those of RFC 4122: version 1, 4 or 5 (SP 800-73-4 part 1 section 3.4.1). */
export function isValidUuid(bytes: Uint8Array): boolean {
  const version = (bytes[6] ?? 0) >> 4;
  return bytes.length === 16 && (bytes[8] ?? 0) >> 6 === 0b10 && [1, 4, 5].includes(version);
}
