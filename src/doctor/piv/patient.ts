import { readTlv, type ResponseApdu } from "../../apdu/index.ts";
import { ByteReader } from "../../bytes/index.ts";
import { CONTAINER, type Container, type InspectedObject, type PivInspection } from "../../piv/index.ts";
import type { CertificateJudge } from "../certificates.ts";
import type { Examination } from "../examination.ts";

/** A PIV card under examination. */
export interface PivPatient {
  readonly examination: Examination;
  readonly judge: CertificateJudge;
  readonly inspection: PivInspection;
  /** The answers for all data objects except the certificates. */
  readonly objects: ReadonlyMap<Container, InspectedObject>;
  /** Names of objects whose own signature does not verify: their contents are unreliable. */
  readonly altered: Set<Container>;
}

/** Reads all data objects except the certificates. */
export async function readObjects(inspection: PivInspection): Promise<Map<Container, InspectedObject>> {
  const objects = new Map<Container, InspectedObject>();
  for (const container of Object.values(CONTAINER)) objects.set(container, await inspection.object(container.tag));
  return objects;
}

/** A BER-TLV data object, and its whole encoding as found. */
export interface Element {
  readonly tag: number;
  readonly value: Uint8Array;
  readonly encoding: Uint8Array;
}

/**
 * The elements of a data object.
 * @throws {DataError} if they do not parse.
 */
export function readElements(bytes: Uint8Array, what: string): Element[] {
  const reader = new ByteReader(bytes, what);
  const found: Element[] = [];
  while (reader.remaining > 0) {
    const start = reader.offset;
    const { tag, value } = readTlv(reader, what);
    found.push({ tag, value, encoding: bytes.subarray(start, reader.offset) });
  }
  return found;
}

/** "6A82". */
export const statusText = ({ sw }: Pick<ResponseApdu, "sw">): string => sw.toString(16).toUpperCase().padStart(4, "0");
