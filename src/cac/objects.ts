import { MalformedAnswerError, SW } from "../apdu/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { memoizeAsync, type MemoizedAsync } from "../async/index.ts";
import { concat, DataError, equalBytes, toHex } from "../bytes/index.ts";
import {
  type CardCertificate,
  type CardData,
  type CardObjectBase,
  type CardPrivateKey,
  type CardPublicKey,
  isAnswer,
  isMalformed,
  readTwiceIfMalformed,
  untilCancelled,
} from "../card/index.ts";
import { BufferFile, encodeSimpleTlvs, joinBuffers, readTagLengths } from "./buffers.ts";
import {
  type CertificateSource,
  commonName,
  findPublicKey,
  findSubject,
  inflated,
  type StoredCertificate,
} from "./certificates.ts";
import { getProperties, addressName } from "./commands.ts";
import { type ContainerEntry, type PkiEntry, readProperties } from "./data-model.ts";
import { type CacSession, NoSuchPlaceError } from "./session.ts";

/** A container of data on the card. */
export class DataContainer {
  readonly entry: ContainerEntry;
  readonly #session: CacSession;
  readonly #tags: BufferFile;
  readonly #values: BufferFile;
  /**
   * Its contents: SIMPLE-TLV data objects, concatenated. If the applet reports another, unspecified format, both
   * buffers as they are on the card: each after its length in two bytes, least significant first.
   * @throws {StatusError} 6982 if it needs the PIN; {MalformedAnswerError} if the buffers do not match.
   */
  readonly value: () => Promise<Uint8Array>;

  constructor(session: CacSession, entry: ContainerEntry) {
    this.entry = entry;
    this.#session = session;
    this.#tags = new BufferFile(session, entry.place, "TAGS");
    this.#values = new BufferFile(session, entry.place, "VALUES");
    this.value = memoizeAsync(() =>
      readTwiceIfMalformed(async () => {
        try {
          return await this.#read();
        } catch (error) {
          this.#tags.forget();
          this.#values.forget();
          throw error;
        }
      }),
    );
  }

  /** Whether it has contents. */
  async isFilled(): Promise<boolean> {
    try {
      return (await this.#tags.read(1)).length > 0;
    } catch (error) {
      if (error instanceof NoSuchPlaceError) return false;
      throw error;
    }
  }

  async #read(): Promise<Uint8Array> {
    const tags = await this.#tags.read();
    const values = await this.#values.read();
    if (tags.length === 0 && values.length === 0) return new Uint8Array();
    if (!(await this.#isSimpleTlv())) return concat(lengthOf(tags), tags, lengthOf(values), values);
    try {
      return encodeSimpleTlvs(joinBuffers(readTagLengths(tags), values));
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new MalformedAnswerError(`the ${this.entry.label} on the card does not parse: ${cause.message}`, { cause });
    }
  }

  /** True unless the applet clearly reports another format. */
  async #isSimpleTlv(): Promise<boolean> {
    const { place } = this.entry;
    const { data, sw } = await this.#session.at(place, (send) => send(getProperties()));
    if (sw !== SW.OK) return true;
    try {
      const objects = readProperties(data);
      const own = objects.find(({ id }) => place.object && equalBytes(id, place.object)) ?? objects[0];
      return own?.simpleTlv ?? true;
    } catch (error) {
      if (error instanceof DataError) return true;
      throw error;
    }
  }
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(bytes.length & 0xff, bytes.length >> 8);
}

/** Bytes of a certificate that are requested first for one of its fields: as many as the first exchange returns anyway. */
const HEAD = 200;

/** A private key and its certificate on the card; everything is read on first use, and once. */
export class PkiObject {
  readonly entry: PkiEntry;
  readonly #session: CacSession;
  readonly #source: CertificateSource;
  #readAgain = false;
  readonly isPresent: () => Promise<boolean>;
  /** The certificate as the card stores it. */
  readonly stored: MemoizedAsync<StoredCertificate>;
  /** X.509, DER. @throws {MalformedAnswerError} if it is malformed. */
  readonly certificate: MemoizedAsync<Uint8Array>;
  /** SubjectPublicKeyInfo, DER. Errors as {@link certificate}. */
  readonly publicKey: () => Promise<Uint8Array>;

  /** @param session Of the card that `source` reads. */
  constructor(session: CacSession, entry: PkiEntry, source: CertificateSource) {
    this.#session = session;
    this.entry = entry;
    this.#source = source;
    this.isPresent = memoizeAsync(() => source.isPresent());
    this.stored = memoizeAsync(() => this.#together(() => source.read()));
    this.certificate = memoizeAsync(() => this.#parsed(async () => inflated(await this.stored())));
    this.publicKey = memoizeAsync(() => this.#together(() => this.#publicKey()));
  }

  /** The common name of the certificate's subject; undefined if there is none, or it cannot be read. */
  async holder(): Promise<string | undefined> {
    try {
      return (await this.isPresent()) ? commonName(await this.#together(() => this.#subject())) : undefined;
    } catch (error) {
      if (isMalformed(error) || isAnswer(error)) return undefined;
      throw error;
    }
  }

  async #subject(): Promise<Uint8Array> {
    return (await this.#inHead(findSubject)) ?? parseCertificate(await this.certificate()).subject;
  }

  async #publicKey(): Promise<Uint8Array> {
    return (await this.#inHead(findPublicKey)) ?? parseCertificate(await this.certificate()).subjectPublicKeyInfo;
  }

  /**
   * Reads the certificate as far as to the end of a field: extensions and signature behind it are as long again. Undefined if it must be
   * read as a whole.
   */
  async #inHead(find: (head: Uint8Array) => Uint8Array | number): Promise<Uint8Array | undefined> {
    for (let wanted = HEAD; ;) {
      const head = this.certificate.known ? undefined : await this.#source.head(wanted);
      if (!head) return undefined;
      const found = find(head);
      if (typeof found !== "number") return found;
      if (found <= head.length || head.length < wanted) throw new DataError("certificate: cut off");
      wanted = found;
    }
  }

  /** As {@link #parsed}, for what may take several parts: each transaction begins with a selection. */
  #together<T>(parse: () => Promise<T>): Promise<T> {
    return this.#parsed(() => this.#session.together(parse));
  }

  /** A parse error is the card's fault, not the caller's. The object is read once more before it counts. */
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

/** With RSA, signing and decrypting are the same operation of the card, whatever the certificate's key usage. */
const USAGE = { sign: true, decrypt: true, derive: false } as const;

/** A PKI object in the facade. */
export interface PkiObjects {
  readonly pki: PkiObject;
  readonly certificate: CardCertificate;
  readonly publicKey: CardPublicKey;
  readonly privateKey: CardPrivateKey;
}

export function pkiObjects(pki: PkiObject): PkiObjects {
  const { label, id } = pki.entry;
  const isPresent: CardObjectBase["isPresent"] = (_search, options) => untilCancelled(options, pki.isPresent);
  const common = { label, id, isPresent };
  const reference = (kind: string): string => `${toHex(id)}.${kind}`;
  const publicKey: CardPublicKey["publicKey"] = (options) => untilCancelled(options, pki.publicKey);
  return {
    pki,
    certificate: {
      ...common,
      class: "certificate",
      reference: reference("certificate"),
      private: false,
      value: (options) => untilCancelled(options, () => pki.certificate()),
    },
    publicKey: {
      ...common,
      class: "public-key",
      reference: reference("public-key"),
      private: false,
      family: "rsa",
      usage: USAGE,
      publicKey,
    },
    privateKey: {
      ...common,
      class: "private-key",
      reference: reference("private-key"),
      private: true,
      family: "rsa",
      usage: USAGE,
      publicKey,
      alwaysAuthenticate: false,
      needsLogin: true,
      primitives: ["rsa-raw"],
    },
  };
}

export function dataObject(container: DataContainer): CardData {
  const { label, listed, place } = container.entry;
  return {
    class: "data",
    reference: `data.${addressName(place)}`,
    label,
    application: label,
    id: new Uint8Array(),
    private: false,
    isPresent: ({ explicitlyRequested: named }, options) =>
      untilCancelled(options, async () => listed || (named && (await container.isFilled()))),
    value: (options) => untilCancelled(options, container.value),
  };
}
