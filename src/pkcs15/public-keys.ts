import { MalformedAnswerError } from "../apdu/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { DataError, equalBytes, toHex } from "../bytes/index.ts";
import { curveInfo, keyTypeOf } from "../crypto/index.ts";
import { readCertificateOf } from "./certificate-value.ts";
import type { CardContents, DirectoryItem } from "./contents.ts";
import { readStoredKey } from "./public-key.ts";
import type { CertificateEntry } from "./syntax/certificate.ts";
import type { DirectoryKind } from "./syntax/directory.ts";
import type { PrivateKeyEntry, PublicKeyEntry } from "./syntax/key.ts";

/** Directories that a public key may be found by. */
const SOURCES: readonly DirectoryKind[] = ["public-keys", "trusted-public-keys", "certificates"];

/** The public keys of an application, wherever they stand. */
export class PublicKeys {
  readonly #contents: CardContents;

  constructor(contents: CardContents) {
    this.#contents = contents;
  }

  /**
   * The public key that belongs to an entry: out of the directory if it stands there, else of the certificate of the same
   * identifier, which is wanted anyway most of the time, else of its own file.
   */
  async of(wanted: PrivateKeyEntry | PublicKeyEntry): Promise<Uint8Array> {
    const { id } = wanted.key;
    const all: DirectoryItem[] = [];
    for (const kind of SOURCES) all.push(...(await this.#contents.directory(kind)));
    const stored = all.flatMap(({ entry }) =>
      entry.class === "public-key" && equalBytes(entry.key.id, id) ? [entry] : [],
    );
    const certificates = all.flatMap(({ entry }) =>
      entry.class === "certificate" && entry.type === "x509" && equalBytes(entry.id, id) ? [entry] : [],
    );
    const direct = stored.filter(({ value }) => value?.kind === "direct");
    const sources = [
      ...direct.map((entry) => () => this.#storedKey(entry)),
      ...certificates.map((entry) => () => this.#keyOfCertificate(entry)),
      ...stored.filter(({ value }) => value?.kind === "file").map((entry) => () => this.#storedKey(entry)),
    ];
    let failure: unknown;
    for (const read of sources) {
      try {
        const spki = await read();
        if (fits(wanted, spki)) return spki;
      } catch (error) {
        if (!(error instanceof DataError || error instanceof MalformedAnswerError)) throw error;
        failure = error;
      }
    }
    throw new MalformedAnswerError(`the card has no public key for ${wanted.head.label || toHex(id)}`, {
      cause: failure,
    });
  }

  async #storedKey({ value, curve, head }: PublicKeyEntry): Promise<Uint8Array> {
    if (!value) throw new DataError("a public key without a value");
    return readStoredKey(await this.#contents.value(value, `public key ${head.label}`), curve);
  }

  async #keyOfCertificate(entry: CertificateEntry): Promise<Uint8Array> {
    return parseCertificate(await readCertificateOf(this.#contents, entry)).subjectPublicKeyInfo;
  }
}

/** Whether a public key is of the type and size that the directory says of the private one: certificates get mixed up. */
function fits(entry: PrivateKeyEntry | PublicKeyEntry, spki: Uint8Array): boolean {
  const type = keyTypeOf(spki);
  if (type.type !== entry.type) return false;
  if (type.type === "rsa") return entry.modulusBits === undefined || sameSize(entry.modulusBits, type.modulusBits);
  return entry.fieldBits === undefined || sameSize(entry.fieldBits, curveInfo(type.curve).bits);
}

/** Cards round sizes up to whole bytes. */
const sameSize = (told: number, real: number): boolean => Math.ceil(told / 8) === Math.ceil(real / 8);
