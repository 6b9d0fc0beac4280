import { type CertificateInput, readCertificate } from "./signing-certificate.ts";
import type { SigningKey } from "./signing-key.ts";

/** What a bundle of sigstore says of the key. */
export type SigstoreKeyMaterial =
  { $case: "publicKey"; publicKey: string; hint?: string } | { $case: "x509Certificate"; certificate: string };

/** As the interface Signer of @sigstore/sign has it: for DSSEBundleBuilder and MessageSignatureBundleBuilder. */
export interface SigstoreSigner {
  sign(data: Uint8Array): Promise<{ signature: Buffer; key: SigstoreKeyMaterial }>;
}

export interface SigstoreOptions {
  /** For the bundle. Default: none; the bundle names the public key. */
  readonly certificate?: CertificateInput;
  /** A name by which those who verify find the public key. */
  readonly hint?: string;
}

/**
 * A signer for @sigstore/sign with a key of a token, in place of Fulcio's: ECDSA with the hash of the curve's length in DER, PKCS #1 v1.5 with
 * SHA-256, or Ed25519.
 */
export function sigstoreSigner(key: SigningKey, { certificate, hint }: SigstoreOptions = {}): SigstoreSigner {
  return {
    sign: async (data): Promise<{ signature: Buffer; key: SigstoreKeyMaterial }> => {
      const publicKey = await key.publicKey();
      const scheme = publicKey.algorithm.type === "ec" ? { encoding: "der" as const } : {};
      const signature = Buffer.from(await key.sign(data, scheme));
      if (certificate !== undefined) {
        return { signature, key: { $case: "x509Certificate", certificate: readCertificate(certificate).toPem() } };
      }
      const material = {
        $case: "publicKey" as const,
        publicKey: publicKey.toPem(),
        ...(hint !== undefined && { hint }),
      };
      return { signature, key: material };
    },
  };
}
