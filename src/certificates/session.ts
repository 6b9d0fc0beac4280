import { CKA, CKO, type CryptokiFunctions, type Template } from "../cryptoki/index.ts";

/** An object of a token. */
export interface StoredObject {
  readonly handle: number;
  /** CKA_ID. */
  readonly id: Uint8Array;
}

/** An open session with a token, as certificates need it. */
export interface CertificateSession {
  readonly cryptoki: CryptokiFunctions;
  /** Of the session. */
  readonly handle: number;
  /** The visible objects that match. */
  find(template: Template): Promise<readonly StoredObject[]>;
  /** CKA_VALUE. */
  value(object: number): Promise<Uint8Array>;
  /** CKA_PUBLIC_KEY_INFO; undefined if the object has none. */
  publicKeyInfo(object: number): Promise<Uint8Array | undefined>;
}

/** SubjectPublicKeyInfo of the key with a CKA_ID, DER; undefined if the token shows none. */
export async function shownKey(session: CertificateSession, id: Uint8Array): Promise<Uint8Array | undefined> {
  const [key] = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  return key && session.publicKeyInfo(key.handle);
}

/** The certificates with a CKA_ID. */
export function certificatesWith(session: CertificateSession, id: Uint8Array): Promise<readonly StoredObject[]> {
  return session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id });
}
