import type { CallOptions } from "../async/index.ts";
import { parseCertificate, parseDerCertificate } from "../asn1/index.ts";
import { DataError, equalBytes, fromHex } from "../bytes/index.ts";
import { encodePublicKey } from "../crypto/index.ts";
import {
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKA,
  CKO,
  publicHalfOf,
  type Template,
} from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenCertificate } from "./certificate.ts";
import { certificatesWith, certificateTemplate, readObject } from "./certificate-search.ts";
import { readId, readObjectUri, requireDescription } from "./descriptions.ts";
import { checked, TokenError } from "./error.ts";
import type { PublicKey } from "./public-key.ts";
import { idOfReference, requireReference } from "./references.ts";
import { replacing } from "./replacing.ts";
import type { Writer } from "./writer.ts";

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

/** The key that a certificate is for, as {@link Keys} gives it. */
export interface CertifiedKey {
  /** CKA_ID, hexadecimal. */
  readonly id: string;
  publicKey(options?: CallOptions): Promise<PublicKey>;
}

/** Where a certificate goes. Default: to the key on the token that it is for, if there is one. */
export interface CertificatePlace {
  readonly key?: CertifiedKey;
  /** CKA_ID; text is hexadecimal. */
  readonly id?: string | Uint8Array;
  /** The name that the card has for the key: "9a" on a PIV card. */
  readonly reference?: string;
  /** CKA_LABEL. A PIV card has no place for one. */
  readonly label?: string;
  /** Whether a certificate with the same CKA_ID may be overwritten; default: false. */
  readonly replace?: boolean;
}

/** More issuers than a chain has. */
const LONGEST_CHAIN = 16;

/** The X.509 certificates of a token. */
export class Certificates {
  readonly #access: TokenAccess;
  readonly #writer: Writer;

  /** @internal */
  constructor(access: TokenAccess, writer: Writer) {
    this.#access = access;
    this.#writer = writer;
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
      ...(bytes && { [CKA.ID]: bytes }),
      ...(label !== undefined && { [CKA.LABEL]: label }),
      ...(reference !== undefined && { [CKA.UNIQUE_ID]: `${reference.toUpperCase()}.certificate` }),
    };
    const access = this.#access;
    const found = await access.inSession((session) => certificatesWith(access, session, template, signal), signal);
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

  /**
   * A certificate and its issuers, as far as they are on the token, found by their names; a self-issued one comes last. It verifies
   * nothing.
   */
  async chain(certificate: TokenCertificate, options: CallOptions = {}): Promise<TokenCertificate[]> {
    const { signal } = checked(options);
    const access = this.#access;
    return access.inSession(async (session) => {
      const chain = [certificate];
      let { subject, issuer } = parseCertificate(certificate.der);
      while (!equalBytes(subject, issuer) && chain.length < LONGEST_CHAIN) {
        const [next] = await certificatesWith(access, session, { [CKA.SUBJECT]: issuer }, signal);
        if (!next || chain.some(({ der }) => equalBytes(der, next.der))) break;
        chain.push(next);
        ({ subject, issuer } = parseCertificate(next.der));
      }
      return chain;
    }, signal);
  }

  /**
   * Writes a certificate to the token.
   * @param certificate X.509, DER, or the first certificate of a PEM text.
   * @throws {TokenError} BAD_INPUT if it is malformed, or of another key than `key`; OBJECT_EXISTS without `replace` if there is one in its
   *   place; CKR_USER_NOT_LOGGED_IN if only the security officer may write.
   */
  async add(
    certificate: TokenCertificate | Uint8Array | string,
    options: CertificatePlace & CallOptions = {},
  ): Promise<TokenCertificate> {
    const { signal, ...place } = checked(options);
    const read = certificate instanceof TokenCertificate ? certificate : TokenCertificate.read(certificate);
    const template = templateOf(read);
    const { key, label, reference } = place;
    if ([key, place.id, reference].filter((one) => one !== undefined).length > 1) {
      throw new TokenError("BAD_INPUT", "name the place by one of `key`, `id` and `reference`");
    }
    if (reference !== undefined) requireReference(reference);
    const given = readId(place.id);
    const access = this.#access;
    if (key && !equalBytes((await key.publicKey({ signal })).spki, read.publicKey.spki)) {
      throw new TokenError("BAD_INPUT", "the certificate is of another key");
    }
    const named = key
      ? fromHex(key.id)
      : reference === undefined
        ? given
        : idOfReference(reference, await access.run(() => access.description(signal), signal));
    const id = named ?? (await access.inSession((session) => this.#ownerOf(session, read, signal), signal));
    return this.#writer.write(async (session) => {
      const [made] = await replacing(
        { access, session, signal },
        id && id.length > 0 ? [certificateTemplate({ [CKA.ID]: id })] : [],
        place.replace,
        async () => {
          const attributes = {
            ...template,
            [CKA.TOKEN]: true,
            ...(id && { [CKA.ID]: id }),
            ...(label !== undefined && { [CKA.LABEL]: label }),
          };
          return [await access.cryptoki.C_CreateObject(session, attributes, { signal })] as const;
        },
      );
      return (await readObject(access, session, made)) ?? read;
    }, signal);
  }

  /** The CKA_ID of the key on the token that a certificate is for; undefined if the token shows none. */
  async #ownerOf(
    session: CK_SESSION_HANDLE,
    certificate: TokenCertificate,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const access = this.#access;
    const source = {
      find: (template: Template) => access.find(session, template, signal),
      known: (object: CK_OBJECT_HANDLE, types: readonly number[]) => access.known(session, object, types, signal),
    };
    const wanted = certificate.publicKey.spki;
    for (const objectClass of [CKO.PUBLIC_KEY, CKO.PRIVATE_KEY]) {
      for (const object of await access.find(session, { [CKA.CLASS]: objectClass }, signal)) {
        const { [CKA.ID]: id } = await access.known(session, object, [CKA.ID], signal);
        if (!id || id.length === 0) continue;
        // A key of a type that is not known here is not this certificate's.
        const found = await publicHalfOf(source, object, id).catch(unlessUnreadable);
        if (found && equalBytes(encodePublicKey(found), wanted)) return id;
      }
    }
    return undefined;
  }

  /** Deletes a certificate from the token. @throws {TokenError} NO_OBJECT if it is not there. */
  async delete(certificate: TokenCertificate, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    if (!(certificate instanceof TokenCertificate)) {
      throw new TokenError("BAD_INPUT", "a certificate to delete is one that certificates.get() gave");
    }
    const { der, id } = certificate;
    const template = certificateTemplate({ ...(id !== "" && { [CKA.ID]: fromHex(id) }), [CKA.VALUE]: der });
    const access = this.#access;
    return this.#writer.write(async (session) => {
      const [object] = await access.find(session, template, signal);
      if (object === undefined) throw new TokenError("NO_OBJECT", "the certificate is not on the token");
      await access.cryptoki.C_DestroyObject(session, object, { signal });
    }, signal);
  }
}

function unlessUnreadable(error: unknown): undefined {
  if (!(error instanceof DataError)) throw error;
}

/** @throws {TokenError} BAD_INPUT for a certificate that is not DER. */
function templateOf({ der }: TokenCertificate): Template {
  try {
    const { subject, issuer, serialNumber } = parseDerCertificate(der);
    return certificateTemplate({
      [CKA.SUBJECT]: subject,
      [CKA.ISSUER]: issuer,
      [CKA.SERIAL_NUMBER]: serialNumber,
      [CKA.VALUE]: der,
    });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", cause.message, { cause });
  }
}

function described({ id, label }: ReturnType<typeof readObjectUri>): CertificateDescription {
  return { ...(id && { id }), ...(label !== undefined && { label }) };
}

function fits(certificate: TokenCertificate, { subject, issuer, expiresBefore }: CertificateDescription): boolean {
  return (
    (subject === undefined || certificate.subject.includes(subject)) &&
    (issuer === undefined || certificate.issuer.includes(issuer)) &&
    (expiresBefore === undefined || certificate.notAfter < expiresBefore)
  );
}
