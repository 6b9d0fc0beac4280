import type * as asn1js from "asn1js";
import type * as pkijs from "pkijs";
import type { CallOptions } from "../async/index.ts";
import { concat, equalBytes } from "../bytes/index.ts";
import { digest, Hasher } from "../crypto/index.ts";
import { type DataInput, type KeyAlgorithm, type TokenCertificate, TokenError } from "../tokens/index.ts";
import { buffer, type CmsHash, HASHES, loadPki, octets, OID, type Pki } from "./pki.ts";
import { type CertificateOptions, type SigningCertificate, signingCertificate } from "./signing-certificate.ts";
import type { SigningKey } from "./signing-key.ts";
import { requestTimestamp, type Timestamp } from "./timestamp.ts";

export interface CmsOptions extends CertificateOptions, CallOptions {
  /** False: the message holds what is signed. Default: true, what is signed stays outside. */
  readonly detached?: boolean;
  /** Default: SHA-256; for keys on P-384 and P-521 the hash of the curve's length. */
  readonly hash?: CmsHash;
  /** Default: now. Null leaves the signing time out. */
  readonly signingTime?: Date | null;
  /** Whether the signature names its certificate (signing-certificate-v2, RFC 5035), as CAdES wants it. Default: false. */
  readonly cades?: boolean;
  /** A time-stamping authority that states when the signature was there (RFC 3161). */
  readonly timestamp?: Timestamp;
}

/** Bytes of a message that is kept whole, because the result holds it. */
const MAX_ENCLOSED = 256 * 1024 * 1024;
const SET = 0x31;

/**
 * Signs data as a CMS message with one signer (RFC 5652 section 5): content type, message digest and signing time are signed. With `cades`
 * it is CAdES B-B, with `timestamp` too CAdES B-T (ETSI EN 319 122-1). Detached data may be a stream of any length.
 * @returns ContentInfo, DER, as `openssl cms -verify -inform DER` takes it.
 * @throws {TokenError} NO_OBJECT without a certificate; BAD_INPUT if the certificate is of another key; KEY_CANNOT for a key that signs no
 *   CMS (Ed25519, X25519); what the key throws.
 * @throws {FormatError} CERTIFICATE_UNFIT with `strict`; TIMESTAMP.
 */
export async function signCms(key: SigningKey, data: DataInput, options: CmsOptions = {}): Promise<Uint8Array> {
  return signedMessage(key, await signingCertificate(key, options), data, options);
}

/** As {@link signCms}, with a certificate that was checked. */
export async function signedMessage(
  key: SigningKey,
  signer: SigningCertificate,
  data: DataInput,
  options: Omit<CmsOptions, keyof CertificateOptions>,
): Promise<Uint8Array> {
  const { signal, detached = true, cades = false, timestamp } = options;
  const hash = hashFor(signer.publicKey.algorithm, options.hash);
  const { digest, content } = await digestOf(data, HASHES[hash].name, !detached, signal);
  const pki = await loadPki();
  const signingTime = options.signingTime === undefined ? new Date() : options.signingTime;
  const attributes = signedAttributes(pki, digest, { signingTime, names: cades ? signer.certificate : undefined });
  // What is signed has the tag of a SET, not the one that it has in the message (RFC 5652 section 5.4).
  const signed = new Uint8Array(attributes.toSchema().toBER());
  signed[0] = SET;
  const signature = await key.sign(signed, {
    hash,
    ...(signer.publicKey.algorithm.type === "ec" && { encoding: "der" }),
    signal,
  });
  const stamp = timestamp === undefined ? undefined : await requestTimestamp(signature, timestamp, { signal });
  return assemble(pki, { signer, hash, attributes, signature, content, timestamp: stamp });
}

/** The hash of a signature. @throws {TokenError} KEY_CANNOT; BAD_INPUT for a hash that CMS does not have here. */
export function hashFor(key: KeyAlgorithm, wanted: CmsHash | undefined): CmsHash {
  if (key.type !== "rsa" && key.type !== "ec") {
    throw new TokenError("KEY_CANNOT", `a key of type ${key.type} makes no signature of CMS here`);
  }
  if (wanted !== undefined && !Object.hasOwn(HASHES, wanted)) {
    throw new TokenError("BAD_INPUT", `no hash "${wanted}"; there are ${Object.keys(HASHES).join(", ")}`);
  }
  if (wanted !== undefined) return wanted;
  if (key.type === "ec" && key.curve === "P-384") return "SHA-384";
  return key.type === "ec" && key.curve === "P-521" ? "SHA-512" : "SHA-256";
}

async function digestOf(
  data: DataInput,
  hash: (typeof HASHES)[CmsHash]["name"],
  keeps: boolean,
  signal?: AbortSignal,
): Promise<{ readonly digest: Uint8Array; readonly content: Uint8Array | undefined }> {
  const hasher = new Hasher(hash);
  const kept: Uint8Array[] = [];
  let length = 0;
  const parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array> = data instanceof Uint8Array ? [data] : data;
  for await (const part of parts) {
    signal?.throwIfAborted();
    hasher.update(part);
    if (!keeps) continue;
    length += part.length;
    if (length > MAX_ENCLOSED) throw new TokenError("BAD_INPUT", `more than ${MAX_ENCLOSED} bytes; sign them detached`);
    kept.push(Uint8Array.from(part));
  }
  return { digest: hasher.digest(), content: keeps ? concat(...kept) : undefined };
}

interface SignedFacts {
  readonly signingTime: Date | null;
  /** The certificate that the signature names. */
  readonly names: TokenCertificate | undefined;
}

function signedAttributes(
  pki: Pki,
  messageDigest: Uint8Array,
  { signingTime, names }: SignedFacts,
): pkijs.SignedAndUnsignedAttributes {
  const { pkijs, asn1js } = pki;
  const attributes = [
    new pkijs.Attribute({ type: OID.contentType, values: [new asn1js.ObjectIdentifier({ value: OID.data })] }),
    ...(signingTime ? [new pkijs.Attribute({ type: OID.signingTime, values: [timeOf(pki, signingTime)] })] : []),
    new pkijs.Attribute({ type: OID.messageDigest, values: [octets(pki, messageDigest)] }),
    ...(names
      ? [new pkijs.Attribute({ type: OID.signingCertificateV2, values: [signingCertificateV2(pki, names)] })]
      : []),
  ];
  return new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes: inOrder(attributes) });
}

/** In the order of their encodings, as DER has the elements of a SET OF (X.690 section 11.6). */
function inOrder(attributes: readonly pkijs.Attribute[]): pkijs.Attribute[] {
  const encoded = attributes.map((attribute) => ({ attribute, bytes: new Uint8Array(attribute.toSchema().toBER()) }));
  encoded.sort((a, b) => compare(a.bytes, b.bytes));
  return encoded.map(({ attribute }) => attribute);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** SigningCertificateV2 with the SHA-256 of one certificate (RFC 5035 section 3). SHA-256 is the default, and DER leaves it out. */
function signingCertificateV2(pki: Pki, { der }: TokenCertificate): asn1js.Sequence {
  const { Sequence } = pki.asn1js;
  const id = new Sequence({ value: [octets(pki, digest("sha256", der))] });
  return new Sequence({ value: [new Sequence({ value: [id] })] });
}

/** UTCTime through the year 2049 (RFC 5652 section 11.3). */
function timeOf({ asn1js }: Pki, valueDate: Date): asn1js.UTCTime | asn1js.GeneralizedTime {
  const year = valueDate.getUTCFullYear();
  return year >= 1950 && year < 2050 ? new asn1js.UTCTime({ valueDate }) : new asn1js.GeneralizedTime({ valueDate });
}

interface Signed {
  readonly signer: SigningCertificate;
  readonly hash: CmsHash;
  readonly attributes: pkijs.SignedAndUnsignedAttributes;
  readonly signature: Uint8Array;
  readonly content: Uint8Array | undefined;
  /** A time-stamp token, ContentInfo. */
  readonly timestamp: Uint8Array | undefined;
}

function assemble(pki: Pki, signed: Signed): Uint8Array {
  const { pkijs, asn1js } = pki;
  const { certificate, chain, publicKey } = signed.signer;
  const { oid, ecdsa } = HASHES[signed.hash];
  const digestAlgorithm = new pkijs.AlgorithmIdentifier({ algorithmId: oid });
  const isRsa = publicKey.algorithm.type === "rsa";
  const signatureAlgorithm = isRsa
    ? new pkijs.AlgorithmIdentifier({ algorithmId: OID.rsaEncryption, algorithmParams: new asn1js.Null() })
    : new pkijs.AlgorithmIdentifier({ algorithmId: ecdsa });
  const parsed = pkijs.Certificate.fromBER(buffer(certificate.der));
  const { issuer, serialNumber } = parsed;
  const signer = new pkijs.SignerInfo({
    version: 1,
    sid: new pkijs.IssuerAndSerialNumber({ issuer, serialNumber }),
    digestAlgorithm,
    signatureAlgorithm,
    signedAttrs: signed.attributes,
    signature: octets(pki, signed.signature),
    ...(signed.timestamp && { unsignedAttrs: timestampAttribute(pki, signed.timestamp) }),
  });
  const others = chain.filter(({ der }) => !equalBytes(der, certificate.der));
  const message = new pkijs.SignedData({
    version: 1,
    digestAlgorithms: [digestAlgorithm],
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: OID.data,
      ...(signed.content && { eContent: octets(pki, signed.content) }),
    }),
    certificates: [parsed, ...others.map(({ der }) => pkijs.Certificate.fromBER(buffer(der)))],
    signerInfos: [signer],
  });
  const info = new pkijs.ContentInfo({ contentType: OID.signedData, content: message.toSchema(true) });
  return new Uint8Array(info.toSchema().toBER());
}

function timestampAttribute({ pkijs, asn1js }: Pki, token: Uint8Array): pkijs.SignedAndUnsignedAttributes {
  const { result } = asn1js.fromBER(buffer(token));
  const attribute = new pkijs.Attribute({ type: OID.timeStampToken, values: [result] });
  return new pkijs.SignedAndUnsignedAttributes({ type: 1, attributes: [attribute] });
}
