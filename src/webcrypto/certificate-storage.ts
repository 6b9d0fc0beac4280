import { type Certificate, parseCertificate, parseDerCertificate } from "../asn1/index.ts";
import { equalBytes } from "../bytes/index.ts";
import { CKA, CKC, CKO, type Template } from "../cryptoki/index.ts";
import { copyOf } from "./buffer-source.ts";
import { refusal, refusing } from "./error.ts";
import type { TokenKeyPair } from "./generate.ts";
import { type ObjectQuery, templateFor, type WantedAlgorithm } from "./key-query.ts";
import type { KeyStorage } from "./key-storage.ts";
import { fromPem } from "./pem.ts";
import { TokenCertificate } from "./token-certificate.ts";
import type { TokenSession } from "./token-session.ts";
import type { BufferSource } from "./types.ts";

/** How a certificate is stored. */
export interface CertificatePlace {
  /** CKA_ID: that of its private key, which is what joins them; on a PIV card it says which of the card's certificates. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
}

/** More authorities than any chain has. */
const MAX_CHAIN = 16;

/** The X.509 certificates on a token. They are public: no PIN is asked for to find and read them. */
export class CertificateStorage {
  readonly #session: TokenSession;
  readonly #keys: KeyStorage;

  constructor(session: TokenSession, keys: KeyStorage) {
    this.#session = session;
    this.#keys = keys;
  }

  /** Those that fit. None is read. */
  list(query: ObjectQuery = {}): Promise<TokenCertificate[]> {
    return refusing(async () => this.#find(await templateFor(query, this.#session.slot)));
  }

  /** The only one that fits. @throws {DOMException} NotFoundError if none does; DataError if several do. */
  get(query: ObjectQuery = {}): Promise<TokenCertificate> {
    return refusing(async () => {
      const [only, ...others] = await this.list(query);
      if (!only) throw refusal("NotFoundError", "no such certificate on the token");
      if (others.length > 0) {
        throw refusal("DataError", `${others.length + 1} certificates fit; name one by its id or label`);
      }
      return only;
    });
  }

  /** The pair of keys that a certificate on this token is for, found by its CKA_ID. @throws {DOMException} as KeyStorage.pair does. */
  keys({ id }: TokenCertificate, algorithm?: WantedAlgorithm): Promise<TokenKeyPair> {
    return this.#keys.pair({ id, ...(algorithm !== undefined && { algorithm }) });
  }

  /**
   * A certificate and its issuers, as far as they are on the token, found by their names; a self-issued one is the last. Nothing is
   * verified: that is the business of whoever trusts one of them.
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
   * Stores a certificate. The token must have been opened with `readWrite`, or with a session that may write.
   * @param certificate DER, or text in PEM.
   * @throws {DOMException} DataError if it is none; OperationError as the token refuses.
   */
  add(certificate: BufferSource | string, place: CertificatePlace = {}): Promise<TokenCertificate> {
    return refusing(async () => {
      const der = typeof certificate === "string" ? fromPem(certificate) : copyOf(certificate, "the certificate");
      const { subject, issuer, serialNumber } = parseDerCertificate(der);
      const { cryptoki, handle, pins } = this.#session;
      const template: Template = {
        [CKA.CLASS]: CKO.CERTIFICATE,
        [CKA.CERTIFICATE_TYPE]: CKC.X_509,
        [CKA.TOKEN]: true,
        [CKA.SUBJECT]: subject,
        [CKA.ISSUER]: issuer,
        [CKA.SERIAL_NUMBER]: serialNumber,
        [CKA.VALUE]: der,
        ...(place.id && { [CKA.ID]: copyOf(place.id, "the id") }),
        ...(place.label !== undefined && { [CKA.LABEL]: place.label }),
      };
      if (pins.canAsk) await pins.login();
      return TokenCertificate.of(this.#session, await cryptoki.C_CreateObject(handle, template));
    });
  }

  /** Takes a certificate off the token. @throws {DOMException} OperationError as the token refuses. */
  remove(certificate: TokenCertificate): Promise<void> {
    return refusing(async () => {
      const { cryptoki, handle, pins } = this.#session;
      if (pins.canAsk) await pins.login();
      await cryptoki.C_DestroyObject(handle, certificate.handle);
    });
  }

  async #find(template: Template): Promise<TokenCertificate[]> {
    const session = this.#session;
    const found = await session.find({
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      ...template,
    });
    return Promise.all(found.map((handle) => TokenCertificate.of(session, handle)));
  }
}

async function parsed(certificate: TokenCertificate): Promise<Certificate> {
  return parseCertificate(await certificate.der());
}
