import { DataError, encodePem } from "../bytes/index.ts";
import { loadX509, signatureAlgorithmOf } from "../certificates/index.ts";
import type { PublicKey } from "../tokens/index.ts";
import type { ServedKey } from "./directory.ts";

interface Wanted {
  /** As RFC 4514 writes it: "CN=Ada Lovelace, O=Example". */
  readonly subject: string;
  readonly dns?: readonly string[];
  readonly email?: readonly string[];
}

/**
 * A request for a certificate (RFC 2986), signed by the key.
 * @returns PEM.
 * @throws {DataError} for a subject that is no name; {CertificateError} CANNOT_SIGN for X25519.
 */
export async function createRequest(
  { key, publicKey, served }: ServedKey,
  { subject, dns = [], email = [] }: Wanted,
  signal: AbortSignal,
): Promise<string> {
  const library = await loadX509();
  const signingAlgorithm = signatureAlgorithmOf(publicKey.parsed, key.reference ?? key.id);
  const crypto = await served.token.webCrypto({ signal });
  const keys = {
    privateKey: await key.toCryptoKey({ algorithm: signingAlgorithm, signal }),
    publicKey: await crypto.subtle.importKey(
      "spki",
      Uint8Array.from(publicKey.spki),
      webAlgorithmOf(publicKey, signingAlgorithm),
      true,
      ["verify"],
    ),
  };
  const names = [
    ...dns.map((value) => ({ type: "dns" as const, value })),
    ...email.map((value) => ({ type: "email" as const, value })),
  ];
  const extensions = names.length === 0 ? [] : [new library.SubjectAlternativeNameExtension(names)];
  const name = new library.Name(subject);
  if (name.toJSON().length === 0) {
    throw new DataError("the subject is no name as RFC 4514 writes it, such as CN=Ada Lovelace");
  }
  const request = await library.Pkcs10CertificateRequestGenerator.create(
    { name: name.toString(), keys, extensions, signingAlgorithm },
    crypto,
  );
  return encodePem("CERTIFICATE REQUEST", new Uint8Array(request.rawData));
}

/** The algorithm with which WebCrypto imports a public key. */
function webAlgorithmOf(
  { algorithm }: PublicKey,
  { name, hash }: { readonly name: string; readonly hash: string },
): { readonly name: string } {
  const parameters = algorithm.type === "ec" ? { namedCurve: algorithm.curve } : { hash };
  return { name, ...parameters };
}
