import type * as pkijs from "pkijs";
import { digest } from "../crypto/index.ts";
import { equalBytes, toHex } from "../bytes/index.ts";
import { TokenCertificate } from "../tokens/index.ts";
import { FormatError, messageOf, parsing } from "./error.ts";
import { buffer, loadPki, OID, type Pki, readContentInfo } from "./pki.ts";
import { type CertificateInput, readCertificate } from "./signing-certificate.ts";
import { verifiedTimestamp } from "./timestamp.ts";

/** Whom those who verify trust. */
export interface TrustOptions {
  /** Certificates that a signer's must lead to: authorities, or signers themselves. Default: certificates are not checked. */
  readonly trusted?: readonly CertificateInput[];
  /** When the certificates must be valid. Default: at the time of a time stamp, if there is one, else now. */
  readonly date?: Date;
}

export interface CmsVerifyOptions extends TrustOptions {
  /** What was signed, for a message that does not hold it. */
  readonly content?: Uint8Array;
}

/** A signer of a message, whose signature verifies. */
export interface VerifiedSigner {
  readonly certificate: TokenCertificate;
  /** Whether the certificate leads to one that is trusted; undefined if none was named. */
  readonly trusted: boolean | undefined;
  /** As the signer says. */
  readonly signingTime: Date | undefined;
  /** As a time-stamping authority says. It is not checked whether that one is to be trusted. */
  readonly timestamp: { readonly time: Date; readonly authority: TokenCertificate } | undefined;
}

export interface VerifiedCms {
  readonly signers: readonly VerifiedSigner[];
  readonly content: Uint8Array;
}

/**
 * Verifies a CMS message: every signature in it must be right, and every time stamp.
 * @param message ContentInfo, DER or BER.
 * @throws {FormatError} NOT_VALID, MALFORMED, TIMESTAMP.
 */
export async function verifyCms(message: Uint8Array, options: CmsVerifyOptions = {}): Promise<VerifiedCms> {
  const pki = await loadPki();
  const info = readContentInfo(pki, message, OID.signedData, "the message");
  const signed = parsing("the message", () => new pki.pkijs.SignedData({ schema: info.content }));
  const content = contentOf(signed, options.content);
  if (signed.signerInfos.length === 0) throw new FormatError("NOT_VALID", "the message has no signature");
  const signers: VerifiedSigner[] = [];
  for (const index of signed.signerInfos.keys()) signers.push(await verifySigner(pki, signed, index, content, options));
  return { signers, content };
}

function contentOf({ encapContentInfo }: pkijs.SignedData, given: Uint8Array | undefined): Uint8Array {
  const { eContent } = encapContentInfo;
  if (!eContent) {
    if (given) return given;
    throw new FormatError("NOT_VALID", "the message does not hold what was signed: give it too");
  }
  const held = new Uint8Array(eContent.getValue());
  if (given && !equalBytes(held, given)) throw new FormatError("NOT_VALID", "the message holds another content");
  return held;
}

async function verifySigner(
  pki: Pki,
  signed: pkijs.SignedData,
  index: number,
  content: Uint8Array,
  options: TrustOptions,
): Promise<VerifiedSigner> {
  let verified: pkijs.SignedDataVerifyResult;
  try {
    verified = await signed.verify({ signer: index, data: buffer(content), extendedMode: true }, pki.engine);
  } catch (cause) {
    throw new FormatError("NOT_VALID", `the signature does not verify: ${messageOf(cause)}`, { cause });
  }
  const { signatureVerified, signerCertificate } = verified;
  if (signatureVerified !== true || !signerCertificate) {
    throw new FormatError("NOT_VALID", "the signature is not the certificate's");
  }
  const signer = signed.signerInfos[index];
  const certificate = TokenCertificate.read(derOf(signerCertificate));
  const attribute = (list: pkijs.SignedAndUnsignedAttributes | undefined, type: string): unknown =>
    list?.attributes.find((one) => one.type === type)?.values[0];
  requireContentType(pki, attribute(signer?.signedAttrs, OID.contentType), signed);
  requireNamed(pki, attribute(signer?.signedAttrs, OID.signingCertificateV2), certificate);
  const time = attribute(signer?.signedAttrs, OID.signingTime);
  const isTime = time instanceof pki.asn1js.UTCTime || time instanceof pki.asn1js.GeneralizedTime;
  const token = attribute(signer?.unsignedAttrs, OID.timeStampToken);
  const stamp =
    token instanceof pki.asn1js.BaseBlock && signer
      ? await verifiedTimestamp(pki, new Uint8Array(token.toBER()), signer.signature.valueBlock.valueHexView)
      : undefined;
  const timestamp = stamp && { time: stamp.info.genTime, authority: TokenCertificate.read(derOf(stamp.certificate)) };
  const date = options.date ?? timestamp?.time ?? new Date();
  const trusted = await requireTrust(pki, signerCertificate, signed, options.trusted, date);
  return { certificate, trusted, signingTime: isTime ? time.toDate() : undefined, timestamp };
}

const derOf = (certificate: pkijs.Certificate): Uint8Array => new Uint8Array(certificate.toSchema().toBER());

function requireContentType({ asn1js }: Pki, value: unknown, { encapContentInfo }: pkijs.SignedData): void {
  if (value === undefined) return;
  if (value instanceof asn1js.ObjectIdentifier && value.getValue() === encapContentInfo.eContentType) return;
  throw new FormatError("NOT_VALID", "the signature is for another type of content");
}

/** A certificate that the signature names must be the signer's (RFC 5035 section 4); only SHA-256, the default, is compared. */
function requireNamed({ asn1js }: Pki, value: unknown, certificate: TokenCertificate): void {
  if (!(value instanceof asn1js.Sequence)) return;
  const [certificates] = value.valueBlock.value;
  const [first] = certificates instanceof asn1js.Sequence ? certificates.valueBlock.value : [];
  const [hash] = first instanceof asn1js.Sequence ? first.valueBlock.value : [];
  if (!(hash instanceof asn1js.OctetString)) return;
  const named = toHex(hash.valueBlock.valueHexView);
  if (named !== toHex(digest("sha256", certificate.der))) {
    throw new FormatError("NOT_VALID", "the signature names another certificate than the one that verifies it");
  }
}

/** @throws {FormatError} NOT_VALID if the certificate leads to none that is trusted. */
export async function requireTrust(
  { pkijs, engine }: Pki,
  certificate: pkijs.Certificate,
  { certificates }: Pick<pkijs.SignedData, "certificates">,
  trusted: readonly CertificateInput[] | undefined,
  checkDate: Date,
): Promise<true | undefined> {
  if (!trusted) return undefined;
  const anchors = trusted.map((one) => pkijs.Certificate.fromBER(buffer(readCertificate(one).der)));
  const others = (certificates ?? []).filter((one): one is pkijs.Certificate => one instanceof pkijs.Certificate);
  const validation = new pkijs.CertificateChainValidationEngine({
    trustedCerts: anchors,
    // The last one is the one that is checked.
    certs: [...others.filter((one) => !isSame(one, certificate)), certificate],
    checkDate,
  });
  const { result, resultMessage } = await validation.verify({}, engine);
  if (result) return true;
  throw new FormatError("NOT_VALID", `the signer's certificate is not trusted: ${resultMessage}`);
}

const isSame = (one: pkijs.Certificate, other: pkijs.Certificate): boolean => equalBytes(derOf(one), derOf(other));
