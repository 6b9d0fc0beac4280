import type * as x509 from "@peculiar/x509";
import type { X509Certificate } from "@peculiar/x509";
import type * as pkijs from "pkijs";
import { DataError, fromUtf8, toHex } from "../bytes/index.ts";

/** Libraries for certificates and signed objects. They are large, and loaded when a card is examined. */
export interface Libraries {
  readonly pkijs: typeof pkijs;
  readonly x509: typeof x509;
}

export async function loadLibraries(): Promise<Libraries> {
  // @peculiar/x509 finds its parts by decorators, and needs this first.
  await import("reflect-metadata");
  return { pkijs: await import("pkijs"), x509: await import("@peculiar/x509") };
}

/** The result of the search for a chain from a certificate to a trusted authority. */
export type ChainState =
  | { readonly state: "valid" }
  /** A certificate of the only chain has expired, or is not valid yet. */
  | { readonly state: "out-of-date"; readonly subject: string }
  /** No known authority has signed it. */
  | { readonly state: "no-issuer"; readonly issuer: string }
  /** A known authority has the issuer's name, but its key did not make the signature. */
  | { readonly state: "wrong-signature"; readonly issuer: string };

/** Longer than the chain of any card. */
const LONGEST = 8;

/** The certification authorities that the user trusts: all given certificates of authorities. */
export class Authorities {
  readonly #libraries: Libraries;
  readonly #certificates: readonly X509Certificate[];
  readonly #signatures = new Map<string, Promise<boolean>>();

  /** @param certificates DER. Unreadable ones are left out. */
  constructor(libraries: Libraries, certificates: readonly Uint8Array[]) {
    this.#libraries = libraries;
    this.#certificates = certificates.flatMap((der) => {
      try {
        return [new libraries.x509.X509Certificate(Uint8Array.from(der))];
      } catch {
        return [];
      }
    });
  }

  /** All given certificates, DER: a signer's may be among them. */
  get all(): readonly Uint8Array[] {
    return this.#certificates.map((certificate) => new Uint8Array(certificate.rawData));
  }

  /** Searches a chain that is valid `at` that time; otherwise returns the reason. */
  async judge(leaf: X509Certificate, at: Date): Promise<ChainState> {
    return this.#search(leaf, at, 0);
  }

  async #search(certificate: X509Certificate, at: Date, depth: number): Promise<ChainState> {
    const { issuer } = certificate;
    const named = this.#certificates.filter(
      (candidate) => candidate.subject === issuer && this.#isAuthority(candidate),
    );
    let failure: ChainState = { state: named.length === 0 ? "no-issuer" : "wrong-signature", issuer };
    for (const candidate of named) {
      if (!(await this.#signed(candidate, certificate))) continue;
      if (!isValidAt(candidate, at)) {
        failure = { state: "out-of-date", subject: candidate.subject };
        continue;
      }
      // Follows the chain only among the given authorities: each of them is trusted by itself.
      const isTop = candidate.subject === candidate.issuer || depth + 1 >= LONGEST;
      const above: ChainState = isTop ? { state: "valid" } : await this.#search(candidate, at, depth + 1);
      if (above.state !== "out-of-date" && above.state !== "wrong-signature") return { state: "valid" };
      failure = above;
    }
    return failure;
  }

  #isAuthority(certificate: X509Certificate): boolean {
    return certificate.getExtension(this.#libraries.x509.BasicConstraintsExtension)?.ca === true;
  }

  #signed(issuer: X509Certificate, certificate: X509Certificate): Promise<boolean> {
    const key = `${toHex(new Uint8Array(issuer.rawData))} ${toHex(new Uint8Array(certificate.rawData))}`;
    const known = this.#signatures.get(key) ?? this.#verify(issuer, certificate);
    this.#signatures.set(key, known);
    return known;
  }

  async #verify(issuer: X509Certificate, certificate: X509Certificate): Promise<boolean> {
    try {
      return await certificate.verify({ publicKey: issuer.publicKey, signatureOnly: true }, globalThis.crypto);
    } catch {
      // The host does not support the algorithm: nothing is proven.
      return false;
    }
  }
}

function isValidAt({ notBefore, notAfter }: X509Certificate, at: Date): boolean {
  return notBefore <= at && at <= notAfter;
}

/**
 * The certificates in a file: DER, or any number in PEM.
 * @throws {DataError} if there is none in it, or one cannot be read.
 */
export function readCertificates({ x509 }: Libraries, file: Uint8Array): Uint8Array[] {
  try {
    const encodings = file[0] === 0x30 ? [Uint8Array.from(file)] : x509.PemConverter.decode(fromUtf8(file));
    const found = encodings.map((der) => new Uint8Array(new x509.X509Certificate(der).rawData));
    if (found.length > 0) return found;
  } catch (cause) {
    throw new DataError("neither a certificate in DER nor certificates in PEM", { cause });
  }
  throw new DataError("no certificate in PEM");
}
