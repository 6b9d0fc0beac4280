import { nameText, parseCertificate } from "../asn1/index.ts";
import { encodePem, DataError, toHex, tryParse } from "../bytes/index.ts";
import { TokenError } from "./error.ts";
import { PublicKey, readPem } from "./public-key.ts";

/** A certificate that is on a token, or is to be written there. */
export class TokenCertificate {
  /** X.509, DER. */
  readonly der: Uint8Array;
  /** CKA_ID, lower-case hexadecimal; empty if it has none. */
  readonly id: string;
  /** CKA_LABEL. */
  readonly label: string;
  /** In a line, as RFC 4514 writes it; empty if it does not parse. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly #spki: Uint8Array;

  /** @internal */
  constructor(der: Uint8Array, id = "", label = "") {
    try {
      const certificate = parseCertificate(der);
      this.subject = tryParse(() => nameText(certificate.subject)) ?? "";
      this.issuer = tryParse(() => nameText(certificate.issuer)) ?? "";
      this.serialNumber = toHex(certificate.serialNumber);
      this.notBefore = tryParse(() => certificate.notBefore) ?? new Date(NaN);
      this.notAfter = tryParse(() => certificate.notAfter) ?? new Date(NaN);
      this.#spki = certificate.subjectPublicKeyInfo;
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new TokenError("BAD_INPUT", cause.message, { cause });
    }
    this.der = der;
    this.id = id;
    this.label = label;
  }

  /** @param certificate X.509, DER, or the first certificate of a PEM text. @throws {TokenError} BAD_INPUT. */
  static read(certificate: Uint8Array | string): TokenCertificate {
    if (typeof certificate !== "string") return new TokenCertificate(certificate);
    return new TokenCertificate(readPem("CERTIFICATE", certificate));
  }

  /** @throws {TokenError} BAD_INPUT for a key of a type that is not known here. */
  get publicKey(): PublicKey {
    return new PublicKey(this.#spki);
  }

  toPem(): string {
    return encodePem("CERTIFICATE", this.der);
  }
}
