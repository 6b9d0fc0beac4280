import { CK_CERTIFICATE_CATEGORY, CKA, CKO } from "../cryptoki/index.ts";
import { refusal, refusing } from "./error.ts";
import { toPem } from "./pem.ts";
import type { TokenSession } from "./token-session.ts";

/** Whose a certificate is (CKA_CERTIFICATE_CATEGORY): the token's user's, an authority's, or another's. */
export type CertificateCategory = "unspecified" | "user" | "authority" | "other";

const CATEGORIES: ReadonlyMap<number, CertificateCategory> = new Map([
  [CK_CERTIFICATE_CATEGORY.TOKEN_USER, "user"],
  [CK_CERTIFICATE_CATEGORY.AUTHORITY, "authority"],
  [CK_CERTIFICATE_CATEGORY.OTHER_ENTITY, "other"],
]);

/** An X.509 certificate on a token. It is read when its value is asked for. */
export class TokenCertificate {
  /** CKA_ID: that of its private key. */
  readonly id: Uint8Array;
  /** CKA_LABEL. */
  readonly label: string;
  /** Its object in the session. */
  readonly handle: number;
  readonly #session: TokenSession;

  private constructor(session: TokenSession, handle: number, id: Uint8Array, label: string) {
    this.#session = session;
    this.handle = handle;
    this.id = id;
    this.label = label;
  }

  static async of(session: TokenSession, handle: number): Promise<TokenCertificate> {
    const { [CKA.ID]: id, [CKA.LABEL]: label } = await session.known(handle, [CKA.ID, CKA.LABEL]);
    return new TokenCertificate(session, handle, id ?? new Uint8Array(), label ?? "");
  }

  /** The certificate, DER. @throws {DOMException} NotFoundError if the token only tells where on the net it is. */
  der(): Promise<Uint8Array<ArrayBuffer>> {
    return refusing(async () => {
      const { [CKA.VALUE]: value } = await this.#session.attributes(this.handle, [CKA.VALUE]);
      if (value.length === 0) throw refusal("NotFoundError", "the certificate itself is not on the token");
      return new Uint8Array(value);
    });
  }

  /** The certificate, PEM (RFC 7468). @throws {DOMException} as {@link der}. */
  async pem(): Promise<string> {
    return toPem(await this.der());
  }

  /** The PKCS #11 URI of this certificate on this token. */
  uri(): Promise<string> {
    return this.#session.uri({ class: CKO.CERTIFICATE, id: this.id, label: this.label });
  }

  /** CKA_CERTIFICATE_CATEGORY. Telling an authority's from another's may want its value. */
  category(): Promise<CertificateCategory> {
    return refusing(async () => {
      const known = await this.#session.known(this.handle, [CKA.CERTIFICATE_CATEGORY]);
      return CATEGORIES.get(known[CKA.CERTIFICATE_CATEGORY] ?? CK_CERTIFICATE_CATEGORY.UNSPECIFIED) ?? "unspecified";
    });
  }
}
