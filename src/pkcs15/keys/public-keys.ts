import { CardError, MalformedAnswerError, StatusError } from "../../apdu/index.ts";
import { berLength, berToDer, contextTag, DerReader, parseCertificate, TAG } from "../../asn1/index.ts";
import { DataError, equalBytes, toHex } from "../../bytes/index.ts";
import { readStoredCertificate } from "../../card/index.ts";
import {
  curveInfo,
  ecPublicKey,
  encodePublicKey,
  keyTypeOf,
  type NamedCurve,
  parsePublicKey,
  rsaPublicKey,
} from "../../crypto/index.ts";
import type { CardContents, DirectoryItem } from "../objects/contents.ts";
import { isCardVerifiable, readCardVerifiable } from "../syntax/card-verifiable.ts";
import type { DirectoryKind } from "../syntax/directory.ts";
import type { PrivateKeyEntry, PublicKeyEntry } from "../syntax/key.ts";
import { type CertificateEntry, isGuarded } from "../syntax/object.ts";

/** The certificate of an entry, DER. @throws {MalformedAnswerError} if it is malformed. */
export async function readCertificateOf(
  contents: CardContents,
  { value, head }: CertificateEntry,
): Promise<Uint8Array> {
  const where = `certificate ${head.label}`;
  if (!value) throw new MalformedAnswerError(`${where} is not X.509`);
  const options = { enough: isWhole, guarded: isGuarded(head) };
  try {
    return await contents.parsed(value, where, options, (bytes) => readStoredCertificate(bytes));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    contents.report(where, cause.message);
    throw new MalformedAnswerError(`${where} does not parse: ${cause.message}`, { cause });
  }
}

/** Reads only the first certificate of the file. A compressed one does not show its length. */
function isWhole(bytes: Uint8Array): boolean {
  try {
    const length = bytes[0] === TAG.SEQUENCE ? berLength(bytes) : undefined;
    return length !== undefined && bytes.length >= length;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

const SPKI_IN_RSA_CHOICE = contextTag(1, "constructed");
const CURVES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];

/**
 * Parses a public key as cards store it: RSAPublicKey, ECPoint, or SubjectPublicKeyInfo (ISO/IEC 7816-15 section 8.4),
 * with or without padding after it; or as part of a certificate. Returns SubjectPublicKeyInfo.
 * @param curve Of a bare point; default: by its length.
 * @throws {DataError} if it has none of these forms.
 */
function readStoredKey(bytes: Uint8Array, curve: NamedCurve | undefined): Uint8Array {
  if (isCardVerifiable(bytes)) return checked(readCardVerifiable(bytes).publicKey());
  const { der } = berToDer(bytes, 0, "public key");
  const reader = new DerReader(der, "public key");
  if (reader.peek() === TAG.OCTET_STRING) return encodePoint(reader.octetString(), curve);
  if (reader.peek() === SPKI_IN_RSA_CHOICE) return checked(tagged(reader.next().contents));
  const fields = reader.enter();
  if (fields.peek() === TAG.INTEGER) return encodePublicKey(rsaPublicKey(fields.unsigned(), fields.unsigned()));
  fields.next(TAG.SEQUENCE);
  // In a certificate, the algorithm of its signature comes next; in a SubjectPublicKeyInfo, the key.
  return checked(fields.peek() === TAG.SEQUENCE ? parseCertificate(der).subjectPublicKeyInfo : der);
}

/** Explicitly, or instead of its own SEQUENCE. */
function tagged(contents: Uint8Array): Uint8Array {
  const reader = new DerReader(contents, "public key");
  const { encoding } = reader.next(TAG.SEQUENCE);
  return reader.remaining === 0 ? encoding : new DerReader(berToDer(contents).der).next().encoding;
}

function checked(spki: Uint8Array): Uint8Array {
  parsePublicKey(spki);
  return spki;
}

function encodePoint(point: Uint8Array, named: NamedCurve | undefined): Uint8Array {
  const curve = named ?? CURVES.find((name) => point.length === 1 + 2 * curveInfo(name).bytes);
  if (!curve) throw new DataError(`public key: a point of ${point.length} bytes`);
  return encodePublicKey(ecPublicKey(curve, point));
}

/** Directories of public keys alone. */
const KEY_DIRECTORIES: readonly DirectoryKind[] = ["public-keys", "trusted-public-keys"];

type Source = () => Promise<Uint8Array>;

/** The public keys of an application, wherever they are stored. */
export class PublicKeys {
  readonly #contents: CardContents;
  readonly #known = new WeakMap<PrivateKeyEntry | PublicKeyEntry, Uint8Array>();

  constructor(contents: CardContents) {
    this.#contents = contents;
  }

  /**
   * The public key of an entry.
   * @throws {StatusError} if the card refuses; {MalformedAnswerError} if it has none that matches.
   */
  of(wanted: PrivateKeyEntry | PublicKeyEntry): Promise<Uint8Array> {
    return this.#find(wanted, false);
  }

  /** As {@link of}, if it costs no exchange; else undefined. */
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

  /** @param atHand Only use what costs no exchange. */
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
   * The possible places of the key: the directory itself, the certificate of the same identifier, or a file. If
   * certificates were listed before, the certificate comes first; otherwise the file costs less.
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

/** Whether a public key has the type and size of the private one's entry: some cards mix up certificates. */
function fits(entry: PrivateKeyEntry | PublicKeyEntry, spki: Uint8Array): boolean {
  const type = keyTypeOf(spki);
  if (type.type !== entry.type) return false;
  if (type.type === "rsa") return entry.modulusBits === undefined || sameSize(entry.modulusBits, type.modulusBits);
  return entry.fieldBits === undefined || sameSize(entry.fieldBits, curveInfo(type.curve).bits);
}

/** Cards round sizes up to whole bytes. */
const sameSize = (told: number, real: number): boolean => Math.ceil(told / 8) === Math.ceil(real / 8);
