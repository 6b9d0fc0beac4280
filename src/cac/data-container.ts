import { MalformedAnswerError, SW } from "../apdu/index.ts";
import { memoizeAsync } from "../async/index.ts";
import { concat, DataError, equalBytes } from "../bytes/index.ts";
import { readTwiceIfMalformed } from "../card/index.ts";
import { BufferFile } from "./buffer-file.ts";
import { getProperties } from "./commands.ts";
import type { ContainerEntry } from "./contents.ts";
import { readProperties } from "./properties.ts";
import { type CacSession, NoSuchPlaceError } from "./session.ts";
import { encodeSimpleTlvs, joinBuffers, readTagLengths } from "./simple-tlv.ts";

/** A container of data on the card. */
export class DataContainer {
  readonly entry: ContainerEntry;
  readonly #session: CacSession;
  readonly #tags: BufferFile;
  readonly #values: BufferFile;
  /**
   * Its contents: SIMPLE-TLV data objects, one after the other. Where the applet says that its tags are of another form, which no
   * standard tells, both buffers as they are on the card: each behind its length in two bytes, least significant first.
   * @throws {StatusError} 6982 if it is guarded by the PIN; {MalformedAnswerError} if the buffers do not fit together.
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

  /** Whether there is anything in it. */
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

  /** Unless the applet says something else that can be understood. */
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
