import { derLength } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { type CK_OBJECT_HANDLE, type CK_SESSION_HANDLE, CKA_CRYPTOKI } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenError } from "./error.ts";

/** What proves that a card made a key: certificates, DER. */
export interface Attestation {
  /** Certifies the key. */
  readonly certificate: Uint8Array;
  /** That of the key which signed it, and further ones towards the maker's root. */
  readonly chain: readonly Uint8Array[];
}

/** The attestation that a key object shows, if it does. */
export async function readAttestation(
  access: TokenAccess,
  session: CK_SESSION_HANDLE,
  object: CK_OBJECT_HANDLE,
  signal?: AbortSignal,
): Promise<Attestation | undefined> {
  const known = await access.known(session, object, [CKA_CRYPTOKI.ATTESTATION], signal);
  const value = (known as Readonly<Record<number, unknown>>)[CKA_CRYPTOKI.ATTESTATION];
  if (!(value instanceof Uint8Array)) return undefined;
  const [certificate, ...chain] = split(value);
  return certificate && { certificate, chain };
}

/** Certificates that stand one after the other. */
function split(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  try {
    for (let rest = bytes; rest.length > 0;) {
      const length = derLength(rest);
      if (length > rest.length) throw new DataError("a certificate that ends early");
      found.push(rest.slice(0, length));
      rest = rest.subarray(length);
    }
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("CKR_DEVICE_ERROR", `the attestation does not parse: ${cause.message}`, { cause });
  }
  return found;
}
