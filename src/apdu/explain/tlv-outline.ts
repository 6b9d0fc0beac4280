import { ByteReader, DataError } from "../../bytes/index.ts";
import { readTlvHeader } from "../tlv.ts";

/** A data object as far as it is there. */
export interface TlvNode {
  readonly tag: number;
  /** As its length field says, whether or not the value is there in full. */
  readonly length: number;
  readonly value: Uint8Array;
}

/**
 * The data objects of `bytes`, the last one perhaps cut off: what a chained command or the first part of an answer looks
 * like. Ends quietly where the bytes are no BER-TLV.
 */
export function outline(bytes: Uint8Array): TlvNode[] {
  const reader = new ByteReader(bytes);
  const nodes: TlvNode[] = [];
  try {
    while (reader.remaining > 0) {
      const { tag, length } = readTlvHeader(reader);
      nodes.push({ tag, length, value: reader.take(Math.min(length, reader.remaining)) });
    }
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
  }
  return nodes;
}
