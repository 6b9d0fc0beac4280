import { DataError } from "../bytes/index.ts";
import { CardAccessError } from "./errors.ts";

/** SCARD_CTL_CODE(3400) of pcsc-lite: which features has the reader (PC/SC part 10 section 2.2)? */
const GET_FEATURES = 0x42000d48;

/** Features of readers (PC/SC part 10 section 2.2). */
export const READER_FEATURE = { VERIFY_PIN_DIRECT: 0x06, MODIFY_PIN_DIRECT: 0x07, GET_TLV_PROPERTIES: 0x12 } as const;

/** A command for the reader itself, as {@link Card.control} sends it. */
export type ReaderControl = (code: number, data: Uint8Array) => Promise<Uint8Array>;

/**
 * The features of a reader, and the control code of each. Empty if the reader does not report them: readers, and
 * drivers, refuse an unknown query in different ways.
 */
export async function readerFeatures(control: ReaderControl): Promise<ReadonlyMap<number, number>> {
  return unlessRefused(async () => readFeatures(await control(GET_FEATURES, new Uint8Array())), new Map());
}

/** Property dwMaxAPDUDataSize (PC/SC part 10 section 2.6.14). */
const MAX_APDU_DATA_SIZE = 0x0a;
const SIZE_LENGTH = 4;

/**
 * Most data bytes of an extended command, and of its answer, for the reader and its driver; 0 for short APDUs only.
 * Undefined if the reader does not report it.
 * @param features Of the reader.
 */
export async function readerDataLimit(
  control: ReaderControl,
  features: ReadonlyMap<number, number>,
): Promise<number | undefined> {
  const code = features.get(READER_FEATURE.GET_TLV_PROPERTIES);
  if (code === undefined) return undefined;
  return unlessRefused(async () => readDataLimit(await control(code, new Uint8Array())), undefined);
}

/** Tag, length, value, least significant byte first; concatenated. */
function readDataLimit(properties: Uint8Array): number | undefined {
  for (let at = 0; at + 2 <= properties.length;) {
    const [tag, length = 0] = properties.subarray(at, at + 2);
    const value = properties.subarray(at + 2, at + 2 + length);
    if (value.length < length) throw new DataError("properties of the reader: cut off");
    if (tag === MAX_APDU_DATA_SIZE) {
      if (length !== SIZE_LENGTH) throw new DataError(`properties of the reader: a size of ${length} bytes`);
      return value.reduceRight((sum, byte) => sum * 256 + byte, 0);
    }
    at += 2 + length;
  }
  return undefined;
}

/** Tag, length 4, control code, most significant byte first; concatenated. */
function readFeatures(answer: Uint8Array): ReadonlyMap<number, number> {
  const features = new Map<number, number>();
  for (let at = 0; at + 6 <= answer.length; at += 6) {
    const [tag = 0, length, ...code] = answer.subarray(at, at + 6);
    if (length !== 4) throw new DataError("features of the reader: not four bytes each");
    features.set(
      tag,
      code.reduce((value, octet) => value * 256 + octet, 0),
    );
  }
  return features;
}

async function unlessRefused<T>(ask: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof CardAccessError || error instanceof DataError) return otherwise;
    throw error;
  }
}
