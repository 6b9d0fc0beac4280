import { type Certificate, parseCertificate } from "../asn1/index.ts";
import { encodePem, equalBytes, fromHex, toHex } from "../bytes/index.ts";
import { CK_CERTIFICATE_CATEGORY, CKA, CKC, CKO, type Template } from "../cryptoki/index.ts";
import { Token, type TokenAccess, TokenCertificate as StoredCertificate } from "../tokens/parts.ts";
import { type ObjectQuery, templateFor, type WantedAlgorithm } from "./algorithms.ts";
import type { TokenKeyPair } from "./generate.ts";
import type { KeyStorage } from "./key-storage.ts";
import { type BufferSource, copyOf, refusal, refusing } from "./platform.ts";
import { findObjects, knownOf } from "./found-key.ts";

/** The owner of a certificate (CKA_CERTIFICATE_CATEGORY): the token's user, an authority, or another entity. */
export type CertificateCategory = "unspecified" | "user" | "authority" | "other";

const CATEGORIES: ReadonlyMap<number, CertificateCategory> = new Map([
  [CK_CERTIFICATE_CATEGORY.TOKEN_USER, "user"],
  [CK_CERTIFICATE_CATEGORY.AUTHORITY, "authority"],
  [CK_CERTIFICATE_CATEGORY.OTHER_ENTITY, "other"],
]);

/** An X.509 certificate on a token. Its value is read on request. */
export class TokenCertificate {
  /** CKA_ID, the same as its private key's. */
  readonly id: Uint8Array;
  /** CKA_LABEL. */
  readonly label: string;
  /** Its object handle in the session. */
  readonly handle: number;
  readonly #access: TokenAccess;

  private constructor(access: TokenAccess, handle: number, id: Uint8Array, label: string) {
    this.#access = access;
    this.handle = handle;
    this.id = id;
    this.label = label;
  }

  static async of(access: TokenAccess, handle: number): Promise<TokenCertificate> {
    const { [CKA.ID]: id, [CKA.LABEL]: label } = await knownOf(access, handle, [CKA.ID, CKA.LABEL]);
    return new TokenCertificate(access, handle, id ?? new Uint8Array(), label ?? "");
  }

  /** Reads the certificate, DER. @throws {DOMException} NotFoundError if the token holds only its URL. */
  der(): Promise<Uint8Array<ArrayBuffer>> {
    return refusing(async () => {
      const { cryptoki } = this.#access;
      const { [CKA.VALUE]: value } = await this.#access.inSession((session) =>
        cryptoki.C_GetAttributeValue(session, this.handle, [CKA.VALUE]),
      );
      if (value.length === 0) throw refusal("NotFoundError", "the token holds only the URL of the certificate");
      return new Uint8Array(value);
    });
  }

  /** Reads the certificate as PEM (RFC 7468). @throws {DOMException} as {@link der}. */
  async pem(): Promise<string> {
    return encodePem("CERTIFICATE", await this.der());
  }

  /** The PKCS #11 URI of this certificate on this token. */
  uri(): Promise<string> {
    const object = { class: CKO.CERTIFICATE, id: this.id, label: this.label };
    return refusing(() => this.#access.run(() => this.#access.uri(object)));
  }

  /** CKA_CERTIFICATE_CATEGORY. If the token does not give it, the certificate's value is read. */
  category(): Promise<CertificateCategory> {
    return refusing(async () => {
      const known = await knownOf(this.#access, this.handle, [CKA.CERTIFICATE_CATEGORY]);
      return CATEGORIES.get(known[CKA.CERTIFICATE_CATEGORY] ?? CK_CERTIFICATE_CATEGORY.UNSPECIFIED) ?? "unspecified";
    });
  }
}

/** Attributes of a new certificate. */
export interface CertificatePlace {
  /** CKA_ID: that of its private key, which links the two; on a PIV card it selects the certificate's container. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  /** Whether a certificate with the same CKA_ID may be overwritten; default: false. */
  readonly replace?: boolean;
}

/** Longest chain: more authorities than real chains have. */
const MAX_CHAIN = 16;

/** The X.509 certificates on a token. They are public, so finding and reading them needs no PIN. */
export class CertificateStorage {
  readonly #token: Token;
  readonly #access: TokenAccess;
  readonly #keys: KeyStorage;

  constructor(token: Token, keys: KeyStorage) {
    this.#token = token;
    this.#access = Token.accessOf(token);
    this.#keys = keys;
  }

  /** Finds the certificates that match, without reading them. */
  list(query: ObjectQuery = {}): Promise<TokenCertificate[]> {
    return refusing(async () => this.#find(await templateFor(query, this.#access)));
  }

  /**
   * Finds the only certificate that matches.
   * @throws {DOMException} NotFoundError if none does; DataError if several do.
   */
  get(query: ObjectQuery = {}): Promise<TokenCertificate> {
    return refusing(async () => {
      const [only, ...others] = await this.list(query);
      if (!only) throw refusal("NotFoundError", "no such certificate on the token");
      if (others.length > 0) {
        throw refusal("DataError", `${others.length + 1} certificates match; choose one by its id or label`);
      }
      return only;
    });
  }

  /** Finds the key pair of a certificate by its CKA_ID. @throws {DOMException} as KeyStorage.pair does. */
  keys({ id }: TokenCertificate, algorithm?: WantedAlgorithm): Promise<TokenKeyPair> {
    return this.#keys.pair({ id, ...(algorithm !== undefined && { algorithm }) });
  }

  /**
   * Returns a certificate and its issuers, as far as they are on the token, found by their names; a self-issued one
   * comes last. It verifies nothing: that is the caller's task.
   */
  chain(certificate: TokenCertificate): Promise<TokenCertificate[]> {
    return refusing(async () => {
      const chain = [certificate];
      let { subject, issuer } = await parsed(certificate);
      while (!equalBytes(subject, issuer) && chain.length < MAX_CHAIN) {
        const [next] = await this.#find({ [CKA.SUBJECT]: issuer });
        if (!next || chain.some(({ handle }) => handle === next.handle)) break;
        chain.push(next);
        ({ subject, issuer } = await parsed(next));
      }
      return chain;
    });
  }

  /**
   * Stores a certificate.
   * @param certificate DER, or text in PEM.
   * @throws {DOMException} DataError if it is malformed; OperationError if the token refuses.
   */
  add(certificate: BufferSource | string, place: CertificatePlace = {}): Promise<TokenCertificate> {
    return refusing(async () => {
      const given = typeof certificate === "string" ? certificate : copyOf(certificate, "the certificate");
      const { id, ...others } = place;
      const { der, id: ownId } = await this.#token.certificates.add(given, {
        ...others,
        ...(id && { id: copyOf(id, "the id") }),
      });
      const [added] = await this.#find({ ...(ownId !== "" && { [CKA.ID]: fromHex(ownId) }), [CKA.VALUE]: der });
      if (!added) throw refusal("OperationError", "the token does not show the certificate that was stored");
      return added;
    });
  }

  /** Deletes a certificate from the token. @throws {DOMException} OperationError if the token refuses. */
  remove(certificate: TokenCertificate): Promise<void> {
    return refusing(async () => {
      const { id, label } = certificate;
      await this.#token.certificates.delete(new StoredCertificate(await certificate.der(), toHex(id), label));
    });
  }

  async #find(template: Template): Promise<TokenCertificate[]> {
    const wanted = { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.CERTIFICATE_TYPE]: CKC.X_509, ...template };
    const found = await findObjects(this.#access, wanted);
    return Promise.all(found.map((handle) => TokenCertificate.of(this.#access, handle)));
  }
}

async function parsed(certificate: TokenCertificate): Promise<Certificate> {
  return parseCertificate(await certificate.der());
}
