/** Signed and encrypted data in the forms of other programs, with keys of tokens. The libraries of the forms are loaded when they are used. */
export { type AuthenticodeOptions, signAuthenticode } from "./authenticode.ts";
export { type CmsOptions, signCms } from "./cms.ts";
export {
  type CmsVerifyOptions,
  type TrustOptions,
  type VerifiedCms,
  type VerifiedSigner,
  verifyCms,
} from "./cms-verify.ts";
export { type CoseOptions, signCose, type VerifiedCose, verifyCose } from "./cose.ts";
export type { DecryptingKey } from "./decrypting-key.ts";
export { decryptCms, type DecryptCmsOptions, encryptCms } from "./enveloped.ts";
export { decryptJwe, encryptJwe, type JweOptions } from "./jwe.ts";
export { FormatError, type FormatProblem } from "./error.ts";
export {
  algorithmFor,
  type GeneralJws,
  type JoseHeader,
  type JwsAlgorithm,
  type JwsOptions,
  type JwsSignature,
  signGeneralJws,
  signJws,
  signJwt,
} from "./jws.ts";
export { type ClaimsOptions, type VerifiedJws, verifyJws, verifyJwt } from "./jws-verify.ts";
export { type PdfOptions, type PdfPlace, signPdf } from "./pdf/sign.ts";
export { type VerifiedPdfSignature, verifyPdf } from "./pdf/verify.ts";
export type { CmsHash } from "./pki.ts";
export type { CertificateInput, CertificateOptions } from "./signing-certificate.ts";
export { type SigstoreKeyMaterial, type SigstoreOptions, type SigstoreSigner, sigstoreSigner } from "./sigstore.ts";
export type { SigningKey } from "./signing-key.ts";
export { signSmime, type SmimeOptions, verifySmime } from "./smime.ts";
export { requestTimestamp, type Timestamp, type TimestampFunction } from "./timestamp.ts";
export { signXml, verifyXml, type XmlOptions } from "./xml/enveloped.ts";
