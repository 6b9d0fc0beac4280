import { MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { contextTag, derLength, readName, TAG } from "../asn1/index.ts";
import { memoizeAsync, type MemoizedAsync } from "../async/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import { isNotFound, readStoredCertificate } from "../card/index.ts";
import { BufferFile, findSimpleTlv, joinBuffers, readTagLengths, type SimpleTlv } from "./buffers.ts";
import { getCertificate, type AppletAddress } from "./commands.ts";
import { type CacSession, NoSuchPlaceError } from "./session.ts";

/** Tags of a PKI object (GSC-IS 2.1 appendix D). */
const CERTIFICATE = 0x70;
const CERT_INFO = 0x71;

/** The lower two bits of CertInfo: 1 is compressed (OpenSC, card-cac.c). */
const COMPRESSION = 0x03;
const COMPRESSED = 0x01;

/** A certificate as it is stored. */
export interface StoredCertificate {
  readonly bytes: Uint8Array;
  readonly compressed: boolean;
}

/**
 * Returns the certificate in a PKI object.
 * @throws {DataError} if there is none.
 */
function findCertificate(objects: readonly SimpleTlv[]): StoredCertificate {
  const bytes = findSimpleTlv(objects, CERTIFICATE);
  if (!bytes || bytes.length === 0) throw new DataError("PKI object: no certificate in it");
  const [info = 0] = findSimpleTlv(objects, CERT_INFO) ?? [];
  return { bytes, compressed: (info & COMPRESSION) === COMPRESSED };
}

/**
 * The offset of the certificate in the values of a PKI object, if it can be found without the tags: after CertInfo 00 a
 * DER sequence, as on most cards. The sequence contains its own length.
 */
export function locateCertificate(values: Uint8Array): { readonly start: number; readonly end: number } | undefined {
  if (values[0] !== 0x00 || values[1] !== TAG.SEQUENCE) return undefined;
  try {
    return { start: 1, end: 1 + derLength(values.subarray(1)) };
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Parses the answer to GET CERTIFICATE: CertInfo, then the certificate (OpenSC, card-cac1.c). */
function readFirstCacCertificate(answer: Uint8Array): StoredCertificate {
  const [info = 0] = answer;
  if (answer.length < 2) throw new DataError("GET CERTIFICATE: no certificate");
  return { bytes: answer.subarray(1), compressed: (info & COMPRESSION) === COMPRESSED };
}

/**
 * The X.509 certificate, DER.
 * @throws {DataError} as {@link readStoredCertificate}.
 */
export function inflated({ bytes, compressed }: StoredCertificate): Promise<Uint8Array> {
  return readStoredCertificate(bytes, compressed);
}

/** Reads the certificate of a PKI object. */
export interface CertificateSource {
  /** Whether there is one. */
  isPresent(): Promise<boolean>;
  /** Reads it as stored, perhaps compressed. @throws {DataError} if it is incomplete. */
  read(): Promise<StoredCertificate>;
  /** Reads at least its first `wanted` bytes, if it is not compressed and that costs less than all; else undefined. */
  head(wanted: number): Promise<Uint8Array | undefined>;
  /** Forgets everything that was read. */
  forget(): void;
}

/** A PKI object with a tag buffer and a value buffer. */
export class BufferedCertificate implements CertificateSource {
  readonly #tags: BufferFile;
  readonly #values: BufferFile;

  constructor(session: CacSession, place: AppletAddress) {
    this.#tags = new BufferFile(session, place, "TAGS");
    this.#values = new BufferFile(session, place, "VALUES");
  }

  async isPresent(): Promise<boolean> {
    return refusedIsAbsent(async () => (await this.#values.read(1)).length > 0);
  }

  async read(): Promise<StoredCertificate> {
    const where = locateCertificate(await this.#values.read(1));
    const whole = this.#values.length ?? 0;
    if (where && where.end <= whole) {
      const values = await this.#values.read(where.end);
      return { bytes: values.subarray(where.start, where.end), compressed: false };
    }
    const tags = readTagLengths(await this.#tags.read(), "PKI object");
    return findCertificate(joinBuffers(tags, await this.#values.read(), "PKI object"));
  }

  async head(wanted: number): Promise<Uint8Array | undefined> {
    const where = locateCertificate(await this.#values.read(1));
    if (!where) return undefined;
    return (await this.#values.read(where.start + wanted)).subarray(where.start, where.end);
  }

  forget(): void {
    this.#tags.forget();
    this.#values.forget();
  }
}

/** Longer than any certificate; also the length that is requested before the card reports how much there is. */
const MAX_ANSWER = 16_384;
const FIRST_PART = 100;

/** A PKI applet of the first CAC, which returns its certificate in parts. */
export class FirstCacCertificate implements CertificateSource {
  readonly #session: CacSession;
  readonly #place: AppletAddress;
  /** The complete answer to GET CERTIFICATE. */
  readonly answer: MemoizedAsync<Uint8Array> = memoizeAsync(() => this.#read());

  constructor(session: CacSession, place: AppletAddress) {
    this.#session = session;
    this.#place = place;
  }

  isPresent(): Promise<boolean> {
    return refusedIsAbsent(async () => (await this.answer()).length > 1);
  }

  async read(): Promise<StoredCertificate> {
    return readFirstCacCertificate(await this.answer());
  }

  head(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  forget(): void {
    this.answer.clear();
  }

  /** The part from the beginning, which is the applet's position after SELECT. */
  #read(): Promise<Uint8Array> {
    return this.#session.afresh(this.#place, async (send) => {
      const parts: Uint8Array[] = [];
      let length = 0;
      for (let size = FIRST_PART; size > 0;) {
        const { data, sw } = await send(getCertificate(size));
        const more = sw >> 8 === SW.VERIFICATION_FAILED >> 8;
        if (!more && sw !== SW.OK) throw new StatusError("GET CERTIFICATE", sw);
        parts.push(data);
        length += data.length;
        size = more ? sw & 0xff : 0;
        if (more && (data.length === 0 || length > MAX_ANSWER)) {
          throw new MalformedAnswerError(`the card's certificate does not end within ${length} bytes`);
        }
      }
      return concat(...parts);
    });
  }
}

/**
 * An applet that is listed but absent, or has nothing to read, holds no certificate; one that needs the PIN may. If the
 * card reports an absent applet by an ambiguous status word, it is asked once more.
 */
async function refusedIsAbsent(look: () => Promise<boolean>): Promise<boolean> {
  try {
    return await look();
  } catch (error) {
    if (isAbsent(error)) return false;
    if (!(error instanceof NoSuchPlaceError)) throw error;
  }
  try {
    return await look();
  } catch (error) {
    if (error instanceof NoSuchPlaceError || isAbsent(error)) return false;
    throw error;
  }
}

/** Whether the status word unambiguously means that something is absent. */
function isAbsent(error: unknown): boolean {
  const answer = error instanceof NoSuchPlaceError ? error.cause : error;
  return answer instanceof StatusError && isNotFound(answer.sw);
}

const COMMON_NAME = "2.5.4.3";
const VERSION = contextTag(0, "constructed");
/** Serial number, signature algorithm, issuer and validity stand before the subject (RFC 5280 section 4.1). */
const BEFORE_SUBJECT = 4;
/** Most bytes of identifier and length octets: {@link derLength} needs no more. */
const HEADER = 6;
/** Most bytes of a certificate that are read for one of these fields. */
const MAX_HEAD = 4096;

/**
 * Returns the subject of a certificate whose beginning is known.
 * @returns The distinguished name, DER; or how many bytes of the certificate are needed.
 * @throws {DataError} if it is not a certificate, or its subject is far from its beginning.
 */
export function findSubject(head: Uint8Array): Uint8Array | number {
  return findField(head, BEFORE_SUBJECT);
}

/** As {@link findSubject}, of the field behind it: SubjectPublicKeyInfo, DER. */
export function findPublicKey(head: Uint8Array): Uint8Array | number {
  return findField(head, BEFORE_SUBJECT + 1);
}

/** @param index Of the field in the TBSCertificate, from 0, without the version. */
function findField(head: Uint8Array, index: number): Uint8Array | number {
  let at = 0;
  // Into the certificate, and into its TBSCertificate.
  for (let level = 0; level < 2; level++) {
    const element = head.subarray(at);
    if (element.length < HEADER) return wanted(at + HEADER);
    const [tag, length = 0] = element;
    if (tag !== TAG.SEQUENCE) throw new DataError("certificate: a SEQUENCE is missing");
    at += length < 0x80 ? 2 : 2 + (length & 0x7f);
  }
  let before = head[at] === VERSION ? index + 1 : index;
  for (;;) {
    const element = head.subarray(at);
    if (element.length < HEADER) return wanted(at + HEADER);
    const length = derLength(element);
    if (before-- === 0) return length <= element.length ? element.subarray(0, length) : wanted(at + length);
    at += length;
  }
}

function wanted(bytes: number): number {
  if (bytes > MAX_HEAD) throw new DataError("certificate: a field is too far from its beginning");
  return bytes;
}

/**
 * The common name in a distinguished name; undefined if it has none.
 * @throws {DataError} if `subject` is not a Name of RFC 5280.
 */
export function commonName(subject: Uint8Array): string | undefined {
  return readName(subject)
    .flat()
    .find(({ oid }) => oid === COMMON_NAME)?.value;
}
