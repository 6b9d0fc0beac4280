import type { CallOptions } from "../async/index.ts";
import { type PublicKey, TokenCertificate, TokenError } from "../tokens/index.ts";
import { FormatError } from "./error.ts";
import { buffer, loadPki, type Pki } from "./pki.ts";
import type { SigningKey } from "./signing-key.ts";

/** As the token gave it, or X.509 in DER or PEM. */
export type CertificateInput = TokenCertificate | Uint8Array | string;

/** Which certificate goes with a signature. */
export interface CertificateOptions {
  /** The certificate of the key. Default: the key's own on its token. */
  readonly certificate?: CertificateInput;
  /** More certificates for those who verify: its issuers. */
  readonly chain?: readonly CertificateInput[];
  /** Whether a certificate that is not fit for the signature is refused. Default: `onWarning` is told. */
  readonly strict?: boolean;
  /** Told what is wrong with the certificate: "the certificate has expired ...". */
  readonly onWarning?: (warning: string) => void;
}

/** What a certificate is used for, beside signatures as such (RFC 5280 section 4.2.1.12). */
export type Purpose = "email" | "code";

const PURPOSES: Readonly<Record<Purpose, { readonly oid: string; readonly name: string }>> = {
  email: { oid: "1.3.6.1.5.5.7.3.4", name: "e-mail" },
  code: { oid: "1.3.6.1.5.5.7.3.3", name: "code signing" },
};

const EXTENSION = { keyUsage: "2.5.29.15", extendedKeyUsage: "2.5.29.37" } as const;
const ANY_USAGE = "2.5.29.37.0";
/** Bits of the key usage: digitalSignature and nonRepudiation. */
const SIGNS = 0x80 | 0x40;

/** The key's certificate and its issuers. */
export interface SigningCertificate {
  readonly certificate: TokenCertificate;
  readonly chain: readonly TokenCertificate[];
  readonly publicKey: PublicKey;
}

export function readCertificate(certificate: CertificateInput): TokenCertificate {
  return certificate instanceof TokenCertificate ? certificate : TokenCertificate.read(certificate);
}

/**
 * The certificate to sign with.
 * @throws {TokenError} NO_OBJECT if there is none; BAD_INPUT if it is of another key, so that no signature could verify.
 * @throws {FormatError} CERTIFICATE_UNFIT with `strict`.
 */
export async function signingCertificate(
  key: SigningKey,
  options: CertificateOptions & CallOptions,
  purpose?: Purpose,
): Promise<SigningCertificate> {
  const { signal } = options;
  const publicKey = await key.publicKey({ signal });
  const certificate = options.certificate ? readCertificate(options.certificate) : await key.certificate?.({ signal });
  if (!certificate) throw new TokenError("NO_OBJECT", "the signature wants a certificate: give the option certificate");
  if (publicKey.fingerprint() !== certificate.publicKey.fingerprint()) {
    throw new TokenError("BAD_INPUT", "the certificate is not of the key that signs");
  }
  for (const problem of await unfitness(certificate, purpose)) {
    if (options.strict) throw new FormatError("CERTIFICATE_UNFIT", problem);
    options.onWarning?.(problem);
  }
  return { certificate, chain: (options.chain ?? []).map(readCertificate), publicKey };
}

/** Why those who verify may refuse a certificate. */
async function unfitness(certificate: TokenCertificate, purpose: Purpose | undefined): Promise<string[]> {
  const { notBefore, notAfter, subject } = certificate;
  const problems: string[] = [];
  const now = Date.now();
  if (notAfter.getTime() < now) problems.push(`the certificate of ${subject} expired on ${dayOf(notAfter)}`);
  if (notBefore.getTime() > now) {
    problems.push(`the certificate of ${subject} is not valid before ${dayOf(notBefore)}`);
  }
  const { signs, purposes } = usesOf(await loadPki(), certificate);
  if (!signs) problems.push(`the certificate of ${subject} is not for signatures: its key usage says so`);
  if (purpose && purposes && !purposes.includes(PURPOSES[purpose].oid) && !purposes.includes(ANY_USAGE)) {
    problems.push(`the certificate of ${subject} is not for ${PURPOSES[purpose].name}`);
  }
  return problems;
}

const dayOf = (date: Date): string => date.toISOString().slice(0, 10);

function usesOf(
  { pkijs, asn1js }: Pki,
  { der }: TokenCertificate,
): { readonly signs: boolean; readonly purposes: readonly string[] | undefined } {
  const extensions = pkijs.Certificate.fromBER(buffer(der)).extensions ?? [];
  const value = (oid: string): unknown => extensions.find(({ extnID }) => extnID === oid)?.parsedValue;
  const usage = value(EXTENSION.keyUsage);
  const purposes = value(EXTENSION.extendedKeyUsage);
  return {
    signs: !(usage instanceof asn1js.BitString) || ((usage.valueBlock.valueHexView[0] ?? 0) & SIGNS) !== 0,
    purposes: purposes instanceof pkijs.ExtKeyUsage ? purposes.keyPurposes : undefined,
  };
}
