import { loadX509 } from "../certificates/index.ts";
import { DataError } from "../bytes/index.ts";
import { createRequest } from "../x509/index.ts";
import type { ServedKey } from "./directory.ts";

interface Wanted {
  /** As RFC 4514 writes it: "CN=Ada Lovelace, O=Example". */
  readonly subject: string;
  readonly dns?: readonly string[];
  readonly email?: readonly string[];
}

/**
 * A request for a certificate (RFC 2986), signed by the key, with the alternative names of a body.
 * @returns PEM.
 * @throws {DataError} for an alternative name that cannot be; what `createRequest` throws.
 */
export async function requestFor(
  { key }: ServedKey,
  { subject, dns = [], email = [] }: Wanted,
  signal: AbortSignal,
): Promise<string> {
  const { SubjectAlternativeNameExtension } = await loadX509();
  const names = [
    ...dns.map((value) => ({ type: "dns" as const, value })),
    ...email.map((value) => ({ type: "email" as const, value })),
  ];
  const extensions = [];
  try {
    if (names.length > 0) extensions.push(new SubjectAlternativeNameExtension(names));
  } catch (cause) {
    throw new DataError("one of the alternative names cannot be written in a certificate: use ASCII", { cause });
  }
  return createRequest(key, { name: subject, extensions, signal });
}
