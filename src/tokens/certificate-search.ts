import { DataError, toHex } from "../bytes/index.ts";
import { type CK_OBJECT_HANDLE, type CK_SESSION_HANDLE, CKA, CKC, CKO, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenCertificate } from "./certificate.ts";
import { TokenError } from "./error.ts";

/** X.509 certificates that have the attributes of `template` as well. */
export const certificateTemplate = (template: Template): Template => ({
  [CKA.CLASS]: CKO.CERTIFICATE,
  [CKA.CERTIFICATE_TYPE]: CKC.X_509,
  ...template,
});

/** The certificates that match; one that does not parse is left out. */
export async function certificatesWith(
  access: TokenAccess,
  session: CK_SESSION_HANDLE,
  template: Template,
  signal?: AbortSignal,
): Promise<TokenCertificate[]> {
  const certificates: TokenCertificate[] = [];
  for (const object of await access.find(session, certificateTemplate(template), signal)) {
    const certificate = await readObject(access, session, object, signal);
    if (certificate) certificates.push(certificate);
  }
  return certificates;
}

/** A certificate object, read; undefined if it does not parse, or the token has its URL only. */
export async function readObject(
  access: TokenAccess,
  session: CK_SESSION_HANDLE,
  object: CK_OBJECT_HANDLE,
  signal?: AbortSignal,
): Promise<TokenCertificate | undefined> {
  const known = await access.known(session, object, [CKA.VALUE, CKA.ID, CKA.LABEL], signal);
  const { [CKA.VALUE]: value, [CKA.ID]: id = new Uint8Array(), [CKA.LABEL]: label = "" } = known;
  return value && value.length > 0 ? readOrNone(value, toHex(id), label) : undefined;
}

function readOrNone(der: Uint8Array, id: string, label: string): TokenCertificate | undefined {
  try {
    return new TokenCertificate(der, id, label);
  } catch (error) {
    if (error instanceof TokenError && error.cause instanceof DataError) return undefined;
    throw error;
  }
}
