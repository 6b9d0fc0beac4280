import { CardError, MalformedAnswerError, StatusError } from "../../apdu/index.ts";
import { parseCertificate } from "../../asn1/index.ts";
import { DataError, equalBytes, toHex } from "../../bytes/index.ts";
import { curveInfo, keyTypeOf } from "../../crypto/index.ts";
import { readCertificateOf } from "../objects/certificate-value.ts";
import type { CardContents, DirectoryItem } from "../objects/contents.ts";
import { readStoredKey } from "./public-key.ts";
import type { CertificateEntry } from "../syntax/certificate.ts";
import type { DirectoryKind } from "../syntax/directory.ts";
import type { PrivateKeyEntry, PublicKeyEntry } from "../syntax/key.ts";

/** Where public keys stand by themselves. */
const KEY_DIRECTORIES: readonly DirectoryKind[] = ["public-keys", "trusted-public-keys"];

type Source = () => Promise<Uint8Array>;

/** The public keys of an application, wherever they stand. */
export class PublicKeys {
  readonly #contents: CardContents;
  readonly #known = new WeakMap<PrivateKeyEntry | PublicKeyEntry, Uint8Array>();

  constructor(contents: CardContents) {
    this.#contents = contents;
  }

  /**
   * The public key that belongs to an entry.
   * @throws {StatusError} if the card refuses; {MalformedAnswerError} if it has none, or none that fits.
   */
  of(wanted: PrivateKeyEntry | PublicKeyEntry): Promise<Uint8Array> {
    return this.#find(wanted, false);
  }

  /** As {@link of}, where it costs no exchange; else undefined. */
  async atHand(wanted: PrivateKeyEntry | PublicKeyEntry): Promise<Uint8Array | undefined> {
    const known = this.#known.get(wanted);
    if (known) return known;
    try {
      return await this.#find(wanted, true);
    } catch (error) {
      if (error instanceof CardError) return undefined;
      throw error;
    }
  }

  /** @param atHand Only what costs no exchange is looked at. */
  async #find(wanted: PrivateKeyEntry | PublicKeyEntry, atHand: boolean): Promise<Uint8Array> {
    let failure: unknown;
    for await (const read of this.#sources(wanted.key.id, atHand)) {
      try {
        const spki = await read();
        if (!fits(wanted, spki)) continue;
        this.#known.set(wanted, spki);
        return spki;
      } catch (error) {
        if (!(error instanceof DataError || error instanceof CardError)) throw error;
        failure = error;
      }
    }
    if (failure instanceof StatusError) throw failure;
    throw new MalformedAnswerError(`the card has no public key for ${wanted.head.label || toHex(wanted.key.id)}`, {
      cause: failure,
    });
  }

  /**
   * Where the key may stand: the directory itself, the certificate of the same identifier, or a file. Who has looked for certificates
   * wants them too, and has the key with them; for anybody else the file costs less.
   */
  async *#sources(id: Uint8Array, atHand: boolean): AsyncGenerator<Source> {
    const wantsCertificates = this.#contents.isRead("certificates");
    const keys: PublicKeyEntry[] = [];
    for (const kind of KEY_DIRECTORIES) {
      for (const { entry } of await this.#directory(kind, atHand)) {
        if (entry.class !== "public-key" || !equalBytes(entry.key.id, id)) continue;
        if (!atHand || (await this.#isAtHand(entry))) keys.push(entry);
      }
    }
    const stored = (where: "direct" | "file"): Source[] =>
      keys.flatMap((entry) => (entry.value?.kind === where ? [() => this.#storedKey(entry)] : []));
    yield* stored("direct");
    if (!wantsCertificates) yield* stored("file");
    for (const { entry } of await this.#directory("certificates", atHand)) {
      if (entry.class !== "certificate" || entry.type !== "x509" || !equalBytes(entry.id, id)) continue;
      if (!atHand || (await this.#isAtHand(entry))) yield () => this.#keyOfCertificate(entry);
    }
    if (wantsCertificates) yield* stored("file");
  }

  async #directory(kind: DirectoryKind, atHand: boolean): Promise<readonly DirectoryItem[]> {
    return atHand && !this.#contents.isRead(kind) ? [] : this.#contents.directory(kind);
  }

  async #isAtHand({ value }: PublicKeyEntry | CertificateEntry): Promise<boolean> {
    return value !== undefined && this.#contents.isAtHand(value);
  }

  async #storedKey({ value, curve, head }: PublicKeyEntry): Promise<Uint8Array> {
    if (!value) throw new DataError("a public key without a value");
    return this.#contents.parsed(value, `public key ${head.label}`, {}, (bytes) => readStoredKey(bytes, curve));
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
