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
 * like. Padding of 00 and FF is skipped. Ends quietly where the bytes are no BER-TLV.
 */
export function outline(bytes: Uint8Array): TlvNode[] {
  const reader = new ByteReader(bytes);
  const nodes: TlvNode[] = [];
  try {
    for (let first = reader.peek(); first !== undefined; first = reader.peek()) {
      if (first === 0x00 || first === 0xff) reader.u8();
      else nodes.push(readNode(reader));
    }
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
  }
  return nodes;
}

function readNode(reader: ByteReader): TlvNode {
  const { tag, length } = readTlvHeader(reader);
  return { tag, length, value: reader.take(Math.min(length, reader.remaining)) };
}
