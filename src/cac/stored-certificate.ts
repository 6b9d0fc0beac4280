import { MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { type MemoizedAsync, memoizeAsync } from "../async/index.ts";
import { concat } from "../bytes/index.ts";
import { isNotFound } from "../card/index.ts";
import { BufferFile } from "./buffer-file.ts";
import { findCertificate, locateCertificate, readFirstCacCertificate, type StoredCertificate } from "./certificate.ts";
import { getCertificate } from "./commands.ts";
import type { Place } from "./place.ts";
import { type CacSession, NoSuchPlaceError } from "./session.ts";
import { joinBuffers, readTagLengths } from "./simple-tlv.ts";

/** How the certificate of a PKI object is read. */
export interface CertificateSource {
  /** Whether there is one. */
  exists(): Promise<boolean>;
  /** As it is stored, maybe compressed. @throws {DataError} if it is not there in full. */
  read(): Promise<StoredCertificate>;
  /** At least its first `wanted` bytes, if it is not compressed and they can be had for less than all; else undefined. */
  head(wanted: number): Promise<Uint8Array | undefined>;
  /** Has everything read again. */
  forget(): void;
}

/** A PKI object with a tag buffer and a value buffer. */
export class BufferedCertificate implements CertificateSource {
  readonly #tags: BufferFile;
  readonly #values: BufferFile;

  constructor(session: CacSession, place: Place) {
    this.#tags = new BufferFile(session, place, "TAGS");
    this.#values = new BufferFile(session, place, "VALUES");
  }

  async exists(): Promise<boolean> {
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

/** Longer than any certificate; and what the card is asked for at once, until it says how much there is. */
const MAX_ANSWER = 16_384;
const FIRST_PART = 100;

/** A PKI applet of the first CAC, which gives its certificate part by part. */
export class FirstCacCertificate implements CertificateSource {
  readonly #session: CacSession;
  readonly #place: Place;
  /** All that GET CERTIFICATE gives. */
  readonly answer: MemoizedAsync<Uint8Array> = memoizeAsync(() => this.#read());

  constructor(session: CacSession, place: Place) {
    this.#session = session;
    this.#place = place;
  }

  exists(): Promise<boolean> {
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

  /** From its beginning, which is where the applet is after it was selected. */
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
          throw new MalformedAnswerError(`the card's certificate has no end: ${length} bytes so far`);
        }
      }
      return concat(...parts);
    });
  }
}

/**
 * An applet that is listed and not there, or has nothing to be read, holds no certificate; one guarded by the PIN may. That there is
 * no applet is asked about once more where the card says so in words that it has for other things, too.
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

/** Whether the card says that something is not there, and means nothing else. */
function isAbsent(error: unknown): boolean {
  const answer = error instanceof NoSuchPlaceError ? error.cause : error;
  return answer instanceof StatusError && isNotFound(answer.sw);
}
