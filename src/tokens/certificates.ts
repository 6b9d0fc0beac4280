import type { CallOptions } from "../async/index.ts";
import { DataError, toHex } from "../bytes/index.ts";
import { CKA, CKC, CKO, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenCertificate } from "./certificate.ts";
import { checked, TokenError } from "./error.ts";
import { readId, readObjectUri, requireDescription } from "./keys.ts";

/** Which certificate is wanted: all that is given must be true of it. */
export interface CertificateDescription {
  /** CKA_ID; text is hexadecimal. */
  readonly id?: string | Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  /** The name that the card has for the key: "9a" on a PIV card. */
  readonly reference?: string;
  /** A part of the subject's line of text. */
  readonly subject?: string;
  /** A part of the issuer's line of text. */
  readonly issuer?: string;
  readonly expiresBefore?: Date;
}

export type CertificateQuery = string | CertificateDescription;

/** The X.509 certificates of a token. */
export class Certificates {
  readonly #access: TokenAccess;

  /** @internal */
  constructor(access: TokenAccess) {
    this.#access = access;
  }

  /** The certificates that fit; one that does not parse is left out. */
  async *find(query: CertificateQuery = {}, options: CallOptions = {}): AsyncGenerator<TokenCertificate> {
    const { signal } = checked(options);
    const description: CertificateDescription =
      typeof query === "string" ? described(readObjectUri(query, "a certificate")) : query;
    requireDescription(description, "a certificate", ["label", "reference", "subject", "issuer"]);
    const { id, label, reference, ...wanted } = description;
    const bytes = readId(id);
    const template: Template = {
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      ...(bytes && { [CKA.ID]: bytes }),
      ...(label !== undefined && { [CKA.LABEL]: label }),
      ...(reference !== undefined && { [CKA.UNIQUE_ID]: `${reference.toUpperCase()}.certificate` }),
    };
    const access = this.#access;
    const found = await access.inSession(async (session) => {
      const certificates: TokenCertificate[] = [];
      for (const object of await access.find(session, template, signal)) {
        const known = await access.known(session, object, [CKA.VALUE, CKA.ID, CKA.LABEL], signal);
        const { [CKA.VALUE]: value, [CKA.ID]: ownId = new Uint8Array(), [CKA.LABEL]: ownLabel = "" } = known;
        const certificate = value && value.length > 0 ? readOrNone(value, toHex(ownId), ownLabel) : undefined;
        if (certificate) certificates.push(certificate);
      }
      return certificates;
    }, signal);
    for (const certificate of found) if (fits(certificate, wanted)) yield certificate;
  }

  /**
   * The only certificate that fits.
   * @throws {TokenError} NO_OBJECT; SEVERAL_OBJECTS with their subjects in `candidates`.
   */
  async get(query: CertificateQuery = {}, options: CallOptions = {}): Promise<TokenCertificate> {
    const found: TokenCertificate[] = [];
    for await (const certificate of this.find(query, options)) found.push(certificate);
    const [only, ...others] = found;
    if (!only) throw new TokenError("NO_OBJECT", "no certificate on the token fits the query");
    if (others.length === 0) return only;
    throw new TokenError("SEVERAL_OBJECTS", `${found.length} certificates fit the query; describe one of them`, {
      candidates: found.map(({ id, subject }) => `${id} ${subject}`),
    });
  }
}

function described({ id, label }: ReturnType<typeof readObjectUri>): CertificateDescription {
  return { ...(id && { id }), ...(label !== undefined && { label }) };
}

function readOrNone(der: Uint8Array, id: string, label: string): TokenCertificate | undefined {
  try {
    return new TokenCertificate(der, id, label);
  } catch (error) {
    if (error instanceof TokenError && error.cause instanceof DataError) return undefined;
    throw error;
  }
}

function fits(certificate: TokenCertificate, { subject, issuer, expiresBefore }: CertificateDescription): boolean {
  return (
    (subject === undefined || certificate.subject.includes(subject)) &&
    (issuer === undefined || certificate.issuer.includes(issuer)) &&
    (expiresBefore === undefined || certificate.notAfter < expiresBefore)
  );
}
