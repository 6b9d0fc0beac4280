import type { Extension, Name } from "@peculiar/x509";
import { type CallOptions, untilAborted } from "../async/index.ts";
import {
  type CertificateContents,
  type CertificateSigner,
  externalSigner,
  loadX509,
  makeRequest,
  makeSelfSigned,
  renewedContents,
  signatureAlgorithmOf,
  type X509,
} from "../certificates/index.ts";
import { type PublicKey, type SignatureScheme, TokenCertificate, TokenError } from "../tokens/index.ts";

/** A key that signs, such as a Key of a token. */
export interface RequestingKey {
  publicKey(options?: CallOptions): Promise<PublicKey>;
  sign(data: Uint8Array, options?: SignatureScheme & CallOptions): Promise<Uint8Array>;
}

export interface ContentsOptions extends CallOptions {
  /** The subject, as RFC 4514 writes it: "CN=Ada Lovelace,O=Example,C=NO". */
  readonly name?: string;
  /** Extensions, made with @peculiar/x509. */
  readonly extensions?: readonly Extension[];
}

export interface RequestOptions extends ContentsOptions {
  /**
   * A certificate that is to be renewed, also with another key: its name, uses and alternative names are asked for again, except for what
   * `name` and `extensions` say. X.509 in DER or PEM, or as the token gave it.
   */
  readonly renews?: TokenCertificate | Uint8Array | string;
}

/**
 * A certificate request (PKCS #10, RFC 2986) for a key, signed by that key, for a certification authority. Write the certificate that it issues
 * with `token.certificates.add(certificate, { key, replace: true })`.
 * @returns PEM.
 * @throws {TokenError} BAD_INPUT without a name, or for one that is none; what the key throws.
 * @throws {CertificateError} CANNOT_SIGN for X25519.
 */
export async function createRequest(key: RequestingKey, options: RequestOptions = {}): Promise<string> {
  const { renews, signal } = options;
  const library = await loadX509();
  const old = renews === undefined ? undefined : readCertificate(renews);
  const contents = old ? renewedContents(library, old.der, readContents(library, options)) : whole(library, options);
  await using signer = await signerOf(key, { signal });
  return await untilAborted(makeRequest(library, signer, contents), signal);
}

export interface SelfSignOptions extends ContentsOptions {
  readonly name: string;
  /** Valid from now for this many days. Default: 365. */
  readonly days?: number;
}

const DAY = 86_400_000;
/** A certificate can name years up to 9999 (RFC 5280 section 4.1.2.5). */
const MAX_DAYS = 36_525;

/**
 * A certificate for a key that the key itself signs. It is not written to the token: `token.certificates.add` does that.
 * @throws {TokenError} BAD_INPUT for a name that is none, and for days outside 1 to 36,525; what the key throws.
 * @throws {CertificateError} CANNOT_SIGN for X25519.
 */
export async function selfSign(key: RequestingKey, options: SelfSignOptions): Promise<TokenCertificate> {
  const { days = 365, signal } = options;
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS) {
    throw new TokenError("BAD_INPUT", `days is a whole number from 1 to ${MAX_DAYS}`);
  }
  const library = await loadX509();
  const contents = whole(library, options);
  // A certificate names whole seconds.
  const notBefore = new Date(Math.floor(Date.now() / 1000) * 1000);
  const notAfter = new Date(notBefore.getTime() + days * DAY);
  await using signer = await signerOf(key, { signal });
  const made = makeSelfSigned(library, signer, { ...contents, notBefore, notAfter });
  return TokenCertificate.read(await untilAborted(made, signal));
}

const readCertificate = (certificate: TokenCertificate | Uint8Array | string): TokenCertificate =>
  certificate instanceof TokenCertificate ? certificate : TokenCertificate.read(certificate);

function whole(library: X509, options: ContentsOptions): CertificateContents {
  const { name, extensions = [] } = readContents(library, options);
  if (name) return { name, extensions };
  throw new TokenError("BAD_INPUT", 'a certificate wants a name, such as "CN=Ada Lovelace"');
}

function readContents(
  library: X509,
  { name, extensions }: ContentsOptions,
): { readonly name: Name | undefined; readonly extensions: readonly Extension[] | undefined } {
  return { name: name === undefined ? undefined : readName(library, name), extensions };
}

function readName(library: X509, text: string): Name {
  let name: Name | undefined;
  try {
    name = new library.Name(text);
  } catch (cause) {
    throw new TokenError("BAD_INPUT", `"${text}" is no name; write it as CN=Ada Lovelace,O=Example,C=NO`, { cause });
  }
  if (name.toJSON().length > 0) return name;
  throw new TokenError("BAD_INPUT", `"${text}" is no name; write it as CN=Ada Lovelace,O=Example,C=NO`);
}

async function signerOf(key: RequestingKey, { signal }: CallOptions): Promise<CertificateSigner> {
  const { parsed } = await key.publicKey({ signal });
  const algorithm = signatureAlgorithmOf(parsed, "the token");
  return externalSigner(parsed, algorithm, (data) => key.sign(data, { signal }));
}
