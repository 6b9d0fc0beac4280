import type * as asn1js from "asn1js";
import type * as pkijs from "pkijs";
import type { CallOptions } from "../async/index.ts";
import { concat } from "../bytes/index.ts";
import { Hasher } from "../crypto/index.ts";
import { type DataInput, type KeyAlgorithm, type PublicKey, TokenCertificate, TokenError } from "../tokens/index.ts";
import type { SigningKey } from "./jws.ts";

export interface CmsOptions extends CallOptions {
  /** The certificate of the key: as the token gave it, or X.509 in DER or PEM. */
  readonly certificate: TokenCertificate | Uint8Array | string;
  /** More certificates for those who verify, X.509 in DER or PEM. */
  readonly chain?: readonly (TokenCertificate | Uint8Array | string)[];
  /** False: the message holds what is signed. Default: true, what is signed stays outside. */
  readonly detached?: boolean;
  /** Default: SHA-256; for keys on P-384 and P-521 the hash of the curve's length. */
  readonly hash?: CmsHash;
  /** Default: now. Null leaves the signing time out. */
  readonly signingTime?: Date | null;
}

export type CmsHash = keyof typeof HASHES;

const HASHES = {
  "SHA-256": { name: "sha256", oid: "2.16.840.1.101.3.4.2.1", ecdsa: "1.2.840.10045.4.3.2" },
  "SHA-384": { name: "sha384", oid: "2.16.840.1.101.3.4.2.2", ecdsa: "1.2.840.10045.4.3.3" },
  "SHA-512": { name: "sha512", oid: "2.16.840.1.101.3.4.2.3", ecdsa: "1.2.840.10045.4.3.4" },
} as const;

const OID = {
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingTime: "1.2.840.113549.1.9.5",
  rsaEncryption: "1.2.840.113549.1.1.1",
} as const;

/** Bytes of a message that is kept whole, because the result holds it. */
const MAX_ENCLOSED = 256 * 1024 * 1024;
const SET = 0x31;

/**
 * Signs data as a CMS message with one signer (RFC 5652 section 5): content type, message digest and signing time are signed.
 * Detached data may be a stream of any length.
 * @returns ContentInfo, DER, as `openssl cms -verify -inform DER` takes it.
 * @throws {TokenError} BAD_INPUT if the certificate is of another key; KEY_CANNOT for a key that signs no CMS (Ed25519, X25519); what the
 *   key throws.
 */
export async function signCms(key: SigningKey, data: DataInput, options: CmsOptions): Promise<Uint8Array> {
  const { signal, detached = true } = options;
  const certificate = certificateOf(options.certificate);
  const publicKey = await key.publicKey({ signal });
  if (publicKey.fingerprint() !== certificate.publicKey.fingerprint()) {
    throw new TokenError("BAD_INPUT", "the certificate is not of the key that signs");
  }
  const hash = hashFor(publicKey.algorithm, options.hash);
  const { digest, content } = await digestOf(data, HASHES[hash].name, !detached, signal);
  const library = await load();
  const attributes = signedAttributes(
    library,
    digest,
    options.signingTime === undefined ? new Date() : options.signingTime,
  );
  // What is signed has the tag of a SET, not the one that it has in the message (RFC 5652 section 5.4).
  const signed = new Uint8Array(attributes.toSchema().toBER());
  signed[0] = SET;
  const signature = await key.sign(signed, {
    hash,
    ...(publicKey.algorithm.type === "ec" && { encoding: "der" }),
    signal,
  });
  const chain = (options.chain ?? []).map(certificateOf);
  return assemble(library, { publicKey, hash, certificate, chain, attributes, signature, content });
}

interface Library {
  readonly pkijs: typeof pkijs;
  readonly asn1js: typeof asn1js;
}

/** Loaded when it is used: it is large. */
async function load(): Promise<Library> {
  return { pkijs: await import("pkijs"), asn1js: await import("asn1js") };
}

function certificateOf(certificate: TokenCertificate | Uint8Array | string): TokenCertificate {
  return certificate instanceof TokenCertificate ? certificate : TokenCertificate.read(certificate);
}

function hashFor(key: KeyAlgorithm, wanted: CmsHash | undefined): CmsHash {
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

function signedAttributes(
  { pkijs, asn1js }: Library,
  digest: Uint8Array,
  signingTime: Date | null,
): pkijs.SignedAndUnsignedAttributes {
  const attributes = [
    new pkijs.Attribute({ type: OID.contentType, values: [new asn1js.ObjectIdentifier({ value: OID.data })] }),
    ...(signingTime ? [new pkijs.Attribute({ type: OID.signingTime, values: [timeOf(asn1js, signingTime)] })] : []),
    new pkijs.Attribute({ type: OID.messageDigest, values: [octets(asn1js, digest)] }),
  ];
  return new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes });
}

/** UTCTime through the year 2049 (RFC 5652 section 11.3). */
function timeOf(library: typeof asn1js, valueDate: Date): asn1js.UTCTime | asn1js.GeneralizedTime {
  const year = valueDate.getUTCFullYear();
  return year >= 1950 && year < 2050 ? new library.UTCTime({ valueDate }) : new library.GeneralizedTime({ valueDate });
}

function octets(library: typeof asn1js, bytes: Uint8Array): asn1js.OctetString {
  return new library.OctetString({ valueHex: Uint8Array.from(bytes).buffer });
}

interface Signed {
  readonly publicKey: PublicKey;
  readonly hash: CmsHash;
  readonly certificate: TokenCertificate;
  readonly chain: readonly TokenCertificate[];
  readonly attributes: pkijs.SignedAndUnsignedAttributes;
  readonly signature: Uint8Array;
  readonly content: Uint8Array | undefined;
}

function assemble({ pkijs, asn1js }: Library, signed: Signed): Uint8Array {
  const { oid, ecdsa } = HASHES[signed.hash];
  const digestAlgorithm = new pkijs.AlgorithmIdentifier({ algorithmId: oid });
  const isRsa = signed.publicKey.algorithm.type === "rsa";
  const signatureAlgorithm = isRsa
    ? new pkijs.AlgorithmIdentifier({ algorithmId: OID.rsaEncryption, algorithmParams: new asn1js.Null() })
    : new pkijs.AlgorithmIdentifier({ algorithmId: ecdsa });
  const certificate = pkijs.Certificate.fromBER(Uint8Array.from(signed.certificate.der).buffer);
  const { issuer, serialNumber } = certificate;
  const signer = new pkijs.SignerInfo({
    version: 1,
    sid: new pkijs.IssuerAndSerialNumber({ issuer, serialNumber }),
    digestAlgorithm,
    signatureAlgorithm,
    signedAttrs: signed.attributes,
    signature: octets(asn1js, signed.signature),
  });
  const chain = signed.chain.map(({ der }) => pkijs.Certificate.fromBER(Uint8Array.from(der).buffer));
  const message = new pkijs.SignedData({
    version: 1,
    digestAlgorithms: [digestAlgorithm],
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: OID.data,
      ...(signed.content && { eContent: octets(asn1js, signed.content) }),
    }),
    certificates: [certificate, ...chain],
    signerInfos: [signer],
  });
  const info = new pkijs.ContentInfo({ contentType: OID.signedData, content: message.toSchema(true) });
  return new Uint8Array(info.toSchema().toBER());
}
