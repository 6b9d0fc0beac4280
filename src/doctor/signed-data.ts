import type { SignedData as PkijsSignedData, SignerInfo } from "pkijs";
import { DataError, toHex } from "../bytes/index.ts";
import type { Libraries } from "./chain.ts";

/** The result of checking a signed object (CMS SignedData, RFC 5652 section 5). */
export type SignatureState =
  /** It is right, and `signer` made it. */
  | { readonly state: "valid"; readonly signer: Uint8Array }
  /** The content, or the signature itself, was changed after signing. */
  | { readonly state: "invalid"; readonly signer: Uint8Array }
  /** None of the known certificates is the signer's. */
  | { readonly state: "no-signer" }
  /** It cannot be checked: the library does not support the algorithm or structure. */
  | { readonly state: "unknown"; readonly problem: string };

/** A signed object of a card. */
export class SignedObject {
  readonly #libraries: Libraries;
  readonly #signed: PkijsSignedData;

  /**
   * @param encoding ContentInfo with SignedData, BER.
   * @throws {DataError} if it is malformed, or is not signed.
   */
  constructor(libraries: Libraries, encoding: Uint8Array) {
    const { ContentInfo, SignedData } = libraries.pkijs;
    this.#libraries = libraries;
    try {
      const info = ContentInfo.fromBER(copyOf(encoding));
      this.#signed = new SignedData({ schema: info.content as unknown });
    } catch (cause) {
      throw new DataError("not a CMS SignedData", { cause });
    }
    if (this.#signed.signerInfos.length === 0) throw new DataError("a SignedData without a signer");
  }

  /** The certificates in it, DER. */
  get certificates(): readonly Uint8Array[] {
    const { Certificate } = this.#libraries.pkijs;
    const found = this.#signed.certificates ?? [];
    return found.filter((one) => one instanceof Certificate).map((one) => new Uint8Array(one.toSchema(true).toBER()));
  }

  /** The content, if the object contains it. */
  get content(): Uint8Array | undefined {
    const { eContent } = this.#signed.encapContentInfo;
    return eContent ? new Uint8Array(eContent.getValue()) : undefined;
  }

  /** The contents of the first value of a signed attribute that is an OCTET STRING; undefined without it. */
  attribute(type: string): Uint8Array | undefined {
    const attribute = this.#signer.signedAttrs?.attributes.find((one) => one.type === type);
    const value = attribute?.values[0] as { valueBlock?: { valueHexView?: Uint8Array } } | undefined;
    return value?.valueBlock?.valueHexView;
  }

  /**
   * Verifies the signature. Does not check the signer's certificate.
   * @param detached The content, if the object does not contain it.
   * @param others Further certificates among which to look for the signer's: DER.
   */
  async verify(detached: Uint8Array | undefined, others: readonly Uint8Array[]): Promise<SignatureState> {
    const { Certificate, CryptoEngine, SignedDataVerifyError } = this.#libraries.pkijs;
    const engine = new CryptoEngine({ name: "host", crypto: globalThis.crypto });
    const known = [...this.certificates, ...others];
    this.#signed.certificates = known.flatMap((der) => {
      try {
        return [Certificate.fromBER(copyOf(der))];
      } catch {
        return [];
      }
    });
    const data = detached && copyOf(detached);
    try {
      const result = await this.#signed.verify(
        { signer: 0, checkChain: false, extendedMode: true, ...(data && { data }) },
        engine,
      );
      return {
        state: result.signatureVerified === true ? "valid" : "invalid",
        signer: encoded(result.signerCertificate),
      };
    } catch (error) {
      if (!(error instanceof SignedDataVerifyError)) throw error;
      if (error.code === NO_CERTIFICATES || error.code === NO_SIGNER) return { state: "no-signer" };
      if (OTHER_CONTENT.test(error.message)) return { state: "invalid", signer: encoded(error.signerCertificate) };
      return { state: "unknown", problem: error.message };
    }
  }

  get #signer(): SignerInfo {
    const [signer] = this.#signed.signerInfos;
    if (!signer) throw new DataError("a SignedData without a signer");
    return signer;
  }
}

/** Codes of SignedDataVerifyError (pkijs, SignedData.ts). */
const NO_CERTIFICATES = 2;
const NO_SIGNER = 3;
/** The error message for a content with another digest than the signed one. */
const OTHER_CONTENT = /message digest/iu;

function encoded(
  certificate: { toSchema(encodeFlag?: boolean): { toBER(): ArrayBuffer } } | null | undefined,
): Uint8Array {
  return certificate ? new Uint8Array(certificate.toSchema().toBER()) : new Uint8Array();
}

/** The library keeps and reads whole buffers: a view is copied into one of its own. */
function copyOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}

/** Identifies a certificate. */
export const fingerprint = (der: Uint8Array): string => toHex(der);
