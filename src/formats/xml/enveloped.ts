import type { CallOptions } from "../../async/index.ts";
import { fromUtf8, utf8 } from "../../bytes/index.ts";
import {
  type KeyAlgorithm,
  type PublicKey,
  type SignatureHash,
  type SignatureScheme,
  TokenCertificate,
  TokenError,
} from "../../tokens/index.ts";
import { requireTrust, type TrustOptions, type VerifiedSigner } from "../cms-verify.ts";
import { FormatError, messageOf, parsing } from "../error.ts";
import { buffer, loadPki } from "../pki.ts";
import { type CertificateOptions, signingCertificate } from "../signing-certificate.ts";
import type { SigningKey } from "../signing-key.ts";
import { loadXmlLibrary, type SignedXml, type XmlDocument, type XmlElement, type XmlLibrary } from "./library.ts";

export interface XmlOptions extends CertificateOptions, CallOptions {
  /** Default: SHA-256; for keys on P-384 and P-521 the hash of the curve's length. */
  readonly hash?: Extract<SignatureHash, "SHA-256" | "SHA-384" | "SHA-512">;
  /** Default: now. */
  readonly signingTime?: Date;
}

const SIGNATURE = "http://www.w3.org/2000/09/xmldsig#";
const ALGORITHMS = "http://www.w3.org/2001/04/xmldsig-more#";

/** Methods of signatures that are taken, with how a key signs so (RFC 9231 sections 2.3.2 and 2.3.6). */
const METHODS: Readonly<Record<string, { readonly type: KeyAlgorithm["type"]; readonly scheme: SignatureScheme }>> = {
  [`${ALGORITHMS}rsa-sha256`]: { type: "rsa", scheme: { hash: "SHA-256" } },
  [`${ALGORITHMS}rsa-sha384`]: { type: "rsa", scheme: { hash: "SHA-384" } },
  [`${ALGORITHMS}rsa-sha512`]: { type: "rsa", scheme: { hash: "SHA-512" } },
  [`${ALGORITHMS}ecdsa-sha256`]: { type: "ec", scheme: { hash: "SHA-256" } },
  [`${ALGORITHMS}ecdsa-sha384`]: { type: "ec", scheme: { hash: "SHA-384" } },
  [`${ALGORITHMS}ecdsa-sha512`]: { type: "ec", scheme: { hash: "SHA-512" } },
};

/** Hashes of references that are taken: SHA-1 is none of them. */
const DIGESTS: readonly string[] = [
  "http://www.w3.org/2001/04/xmlenc#sha256",
  `${ALGORITHMS}sha384`,
  "http://www.w3.org/2001/04/xmlenc#sha512",
];

/** Transforms of a reference to the whole document: the signature is left out, and what is left is made canonical. */
const TRANSFORMS: readonly string[] = [
  `${SIGNATURE}enveloped-signature`,
  "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
  "http://www.w3.org/2001/10/xml-exc-c14n#",
];

/**
 * Signs an XML document with an enveloped signature, XAdES B-B (ETSI EN 319 132-1). What stands outside of the root element, such as a document
 * type, is left out.
 * @param xml UTF-8.
 * @returns The document with its signature, UTF-8.
 * @throws {FormatError} MALFORMED; ALREADY_SIGNED; CERTIFICATE_UNFIT with `strict`; LIBRARY_MISSING.
 * @throws {TokenError} KEY_CANNOT for Ed25519 and X25519; as signCms.
 */
export async function signXml(key: SigningKey, xml: Uint8Array, options: XmlOptions = {}): Promise<Uint8Array> {
  const { signal, signingTime = new Date() } = options;
  const library = await loadXmlLibrary();
  const document = readXml(library, xml);
  if (signaturesIn(document).length > 0) {
    throw new FormatError("ALREADY_SIGNED", "the XML document has a signature; another one would make it invalid");
  }
  const { certificate, chain, publicKey } = await signingCertificate(key, options);
  const hash = options.hash ?? usualHash(publicKey.algorithm);
  const name = publicKey.algorithm.type === "rsa" ? "RSASSA-PKCS1-v1_5" : "ECDSA";
  if (!["rsa", "ec"].includes(publicKey.algorithm.type)) {
    throw new TokenError("KEY_CANNOT", `a key of type ${publicKey.algorithm.type} makes no signature of XML here`);
  }
  const algorithm = { name, hash: { name: hash } };
  const signedXml = new library.xades.SignedXml();
  const signature = signedXml.XmlSignature;
  const root = document.cloneNode(true).documentElement;
  // Of the key, its algorithm is all that is looked at.
  await signedXml.ApplySignOptions(
    signature,
    algorithm,
    { algorithm },
    {
      signingCertificateV2: { certificate: toBase64(certificate.der), digestAlgorithm: "SHA-256" },
      signingTime: { value: signingTime },
      x509: [certificate, ...chain].map(({ der }) => toBase64(der)),
      references: [{ uri: "", hash, transforms: ["enveloped", "exc-c14n"] }],
    },
  );
  await signedXml.DigestReferences(root);
  const { CryptoConfig } = library.dsig;
  const method = CryptoConfig.CreateSignatureMethod(CryptoConfig.GetSignatureAlgorithm(algorithm));
  signature.SignedInfo.SignatureMethod = method;
  const signed = utf8(signedXml.TransformSignedInfo(root));
  signature.SignatureValue = await key.sign(signed, { hash, signal });
  signedXml.document = root.ownerDocument;
  return utf8(`<?xml version="1.0" encoding="UTF-8"?>\n${signedXml.toString()}\n`);
}

function usualHash(key: KeyAlgorithm): NonNullable<XmlOptions["hash"]> {
  if (key.type === "ec" && key.curve === "P-384") return "SHA-384";
  return key.type === "ec" && key.curve === "P-521" ? "SHA-512" : "SHA-256";
}

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

function readXml({ dom }: XmlLibrary, xml: Uint8Array): XmlDocument {
  return parsing("the XML document", () => {
    const { DOMParser, onErrorStopParsing } = dom;
    return new DOMParser({ onError: onErrorStopParsing }).parseFromString(fromUtf8(xml), "application/xml");
  });
}

const signaturesIn = (document: XmlDocument): XmlElement[] => [
  ...document.getElementsByTagNameNS(SIGNATURE, "Signature"),
];

/**
 * Verifies the enveloped signature of an XML document. There must be one signature, and it must cover the whole document.
 * @param xml UTF-8.
 * @throws {FormatError} NOT_VALID; MALFORMED; LIBRARY_MISSING.
 */
export async function verifyXml(
  xml: Uint8Array,
  options: TrustOptions = {},
): Promise<{ readonly signers: readonly VerifiedSigner[] }> {
  const library = await loadXmlLibrary();
  const document = readXml(library, xml);
  const [element, ...others] = signaturesIn(document);
  if (!element) throw new FormatError("NOT_VALID", "the XML document has no signature");
  if (others.length > 0)
    throw new FormatError("NOT_VALID", "the XML document has several signatures; one is verified here");
  if (element.parentNode !== document.documentElement) {
    throw new FormatError("NOT_VALID", "the signature does not stand in the root element");
  }
  const signedXml = new library.xades.SignedXml(document);
  parsing("the signature", () => {
    signedXml.LoadXml(element);
  });
  const { SignedInfo, KeyInfo } = signedXml.XmlSignature;
  requireWholeDocument(SignedInfo);
  const [signer, ...more] = certificatesOf(library, KeyInfo);
  if (!signer) throw new FormatError("NOT_VALID", "the signature has no certificate");
  const { publicKey } = signer;
  const method = METHODS[SignedInfo.SignatureMethod.Algorithm];
  if (method?.type !== publicKey.algorithm.type) {
    throw new FormatError(
      "NOT_VALID",
      `the signature has a method that is not taken: ${SignedInfo.SignatureMethod.Algorithm}`,
    );
  }
  let isRight: boolean;
  try {
    isRight = await isSigned(signedXml, document, publicKey, method.scheme);
  } catch (cause) {
    throw new FormatError("NOT_VALID", `the signature does not verify: ${messageOf(cause)}`, { cause });
  }
  if (!isRight) throw new FormatError("NOT_VALID", "the signature is not the certificate's");
  const pki = await loadPki();
  const parsed = [signer, ...more].map(({ der }) => pki.pkijs.Certificate.fromBER(buffer(der)));
  const [own] = parsed;
  const trusted =
    own && (await requireTrust(pki, own, { certificates: parsed }, options.trusted, options.date ?? new Date()));
  return { signers: [{ certificate: signer, trusted, signingTime: signingTimeOf(signedXml), timestamp: undefined }] };
}

async function isSigned(
  signedXml: SignedXml,
  document: XmlDocument,
  publicKey: PublicKey,
  scheme: SignatureScheme,
): Promise<boolean> {
  await signedXml.ValidateReferences(document.cloneNode(true).documentElement);
  const signed = utf8(signedXml.TransformSignedInfo(document));
  return publicKey.verify(signed, signedXml.XmlSignature.SignatureValue ?? new Uint8Array(), scheme);
}

/** One reference is to the whole document, and nothing but its signature is left out. */
function requireWholeDocument({ References }: SignedXml["XmlSignature"]["SignedInfo"]): void {
  let covers = false;
  for (const { Uri, Transforms, DigestMethod } of References.GetIterator()) {
    if (!DIGESTS.includes(DigestMethod.Algorithm)) {
      throw new FormatError("NOT_VALID", `the signature has a hash that is not taken: ${DigestMethod.Algorithm}`);
    }
    const transforms = [...Transforms.GetIterator()].map(({ Algorithm }) => Algorithm);
    const known = transforms.every((transform) => TRANSFORMS.includes(transform));
    if (!known) throw new FormatError("NOT_VALID", "the signature leaves out parts of the document");
    if (Uri === "") covers = true;
  }
  if (!covers) throw new FormatError("NOT_VALID", "the signature does not cover the whole document");
}

function certificatesOf({ dsig }: XmlLibrary, info: SignedXml["XmlSignature"]["KeyInfo"]): TokenCertificate[] {
  const found: TokenCertificate[] = [];
  for (const clause of info.GetIterator()) {
    if (!(clause instanceof dsig.KeyInfoX509Data)) continue;
    for (const certificate of clause.Certificates) found.push(TokenCertificate.read(certificate.GetRaw()));
  }
  return found;
}

function signingTimeOf(signed: SignedXml): Date | undefined {
  try {
    return signed.Properties?.SignedProperties.SignedSignatureProperties.SigningTime.Value;
  } catch {
    return undefined;
  }
}
