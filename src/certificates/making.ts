import type { Extension, Name } from "@peculiar/x509";
import { encodePem, toHex } from "../bytes/index.ts";
import { randomBytes } from "../crypto/index.ts";
import type { CertificateSigner } from "./signer.ts";
import type { X509 } from "./x509.ts";

/** What a request, or a certificate that its own key signs, says. */
export interface CertificateContents {
  readonly name: Name;
  readonly extensions: readonly Extension[];
}

/** What a request for a renewed certificate takes from the old one: its uses and names, and a template's name for Microsoft's authorities. */
const KEPT_EXTENSIONS: readonly string[] = [
  "2.5.29.15",
  "2.5.29.37",
  "2.5.29.17",
  "1.3.6.1.4.1.311.20.2",
  "1.3.6.1.4.1.311.21.7",
];

/** What a request for a renewed certificate says: as the old one, except for what is given. @param old X.509, DER. */
export function renewedContents(
  library: X509,
  old: Uint8Array,
  given: { readonly name?: Name | undefined; readonly extensions?: readonly Extension[] | undefined },
): CertificateContents {
  const certificate = new library.X509Certificate(old.slice());
  const extensions = given.extensions ?? [];
  const kept = certificate.extensions.filter(({ type }) => KEPT_EXTENSIONS.includes(type));
  return {
    name: given.name ?? certificate.subjectName,
    extensions: [...kept.filter(({ type }) => !extensions.some((one) => one.type === type)), ...extensions],
  };
}

/** A certificate request (PKCS #10), signed by its key. @returns PEM. */
export async function makeRequest(
  library: X509,
  { keys, algorithm, crypto }: CertificateSigner,
  { name, extensions }: CertificateContents,
): Promise<string> {
  const made = await library.Pkcs10CertificateRequestGenerator.create(
    { name, keys, extensions: [...extensions], signingAlgorithm: algorithm },
    crypto,
  );
  return encodePem("CERTIFICATE REQUEST", new Uint8Array(made.rawData));
}

/** A certificate that its own key signs. @returns X.509, DER. */
export async function makeSelfSigned(
  library: X509,
  { keys, algorithm, crypto }: CertificateSigner,
  contents: CertificateContents & { readonly notBefore: Date; readonly notAfter: Date },
): Promise<Uint8Array> {
  const { name, extensions, notBefore, notAfter } = contents;
  const made = await library.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name,
      notBefore,
      notAfter,
      keys,
      signingAlgorithm: algorithm,
      extensions: [new library.BasicConstraintsExtension(false), ...extensions],
    },
    crypto,
  );
  return new Uint8Array(made.rawData);
}

/** Random, positive, 16 bytes. */
function serialNumber(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return toHex(serial);
}
