/** Why a certificate cannot be made, written or renewed. */
export type CertificateProblem =
  /** There is no such key or certificate. */
  | "NOT_FOUND"
  /** The certificate, or the request, is of another key. */
  | "WRONG_KEY"
  /** The key cannot sign its own request. */
  | "CANNOT_SIGN"
  /** The place is taken by something that must stay. */
  | "OCCUPIED";

/** A certificate cannot be made, written or renewed as asked; nothing was changed. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
  readonly code: CertificateProblem;

  constructor(code: CertificateProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
