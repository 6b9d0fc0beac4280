import { MalformedAnswerError } from "../apdu/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { type MemoizedAsync, memoizeAsync } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import { isAnswer, isMalformed, readTwiceIfMalformed } from "../card/index.ts";
import { inflated, type StoredCertificate } from "./certificate.ts";
import { commonName, findSubject } from "./common-name.ts";
import type { PkiEntry } from "./contents.ts";
import type { CertificateSource } from "./stored-certificate.ts";

/** How much of a certificate is asked for first, when its subject is wanted: what the first exchange brings anyway. */
const HEAD = 200;

/** A private key and its certificate on the card; everything is read when it is first asked for, and once. */
export class PkiObject {
  readonly entry: PkiEntry;
  readonly #source: CertificateSource;
  #readAgain = false;
  readonly exists: () => Promise<boolean>;
  /** The certificate as the card stores it. */
  readonly stored: MemoizedAsync<StoredCertificate>;
  /** X.509, DER. @throws {MalformedAnswerError} if the card's certificate is none. */
  readonly certificate: MemoizedAsync<Uint8Array>;
  /** SubjectPublicKeyInfo, DER. Errors as {@link certificate}. */
  readonly publicKey: () => Promise<Uint8Array>;

  constructor(entry: PkiEntry, source: CertificateSource) {
    this.entry = entry;
    this.#source = source;
    this.exists = memoizeAsync(() => source.exists());
    this.stored = memoizeAsync(() => this.#parsed(() => source.read()));
    this.certificate = memoizeAsync(() => this.#parsed(async () => inflated(await this.stored())));
    this.publicKey = memoizeAsync(() =>
      this.#parsed(async () => parseCertificate(await this.certificate()).subjectPublicKeyInfo),
    );
  }

  /** The common name of the certificate's subject; undefined if there is none, or it cannot be read. */
  async holder(): Promise<string | undefined> {
    try {
      return (await this.exists()) ? commonName(await this.#parsed(() => this.#subject())) : undefined;
    } catch (error) {
      if (isMalformed(error) || isAnswer(error)) return undefined;
      throw error;
    }
  }

  async #subject(): Promise<Uint8Array> {
    for (let wanted = HEAD; ;) {
      const head = await this.#source.head(wanted);
      if (!head) return parseCertificate(await this.certificate()).subject;
      const subject = findSubject(head);
      if (typeof subject !== "number") return subject;
      if (subject <= head.length || head.length < wanted)
        throw new DataError("certificate: cut off before its subject");
      wanted = subject;
    }
  }

  /** What the card holds there does not parse: its fault, not the caller's. Before that counts, it is read once more. */
  async #parsed<T>(parse: () => T | Promise<T>): Promise<T> {
    try {
      return await readTwiceIfMalformed(async () => {
        try {
          return await parse();
        } catch (error) {
          if (isMalformed(error) && !this.#readAgain) this.#forget();
          throw error;
        }
      });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new MalformedAnswerError(`the ${this.entry.label} on the card does not parse: ${cause.message}`, { cause });
    }
  }

  #forget(): void {
    this.#readAgain = true;
    this.#source.forget();
    this.stored.clear();
    this.certificate.clear();
  }
}
