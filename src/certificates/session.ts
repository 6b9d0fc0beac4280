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
  /**
   * SubjectPublicKeyInfo of the key with a CKA_ID, DER; undefined if the token shows none. Where the token tells what the key itself is, not
   * what its certificate says.
   */
  currentKey(id: Uint8Array): Promise<Uint8Array | undefined>;
}

/** The certificates with a CKA_ID. */
export function certificatesWith(session: CertificateSession, id: Uint8Array): Promise<readonly StoredObject[]> {
  return session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id });
}
