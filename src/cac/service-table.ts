import { findSimpleTlv, readSimpleTlvs } from "./simple-tlv.ts";

/** Tags of the answer to GET ACR for the service applet table (GSC-IS 2.1 table 5-21). */
const ENTRY = 0x93;
const AID = 0x92;
/** The applet's short identifier stands before its full one. */
const SHORT_ID = 1;

/**
 * The identifiers of the applets of a card, in the card's order.
 * @throws {DataError} if the table, or a line of it, is no SIMPLE-TLV.
 */
export function readServiceTable(answer: Uint8Array): readonly Uint8Array[] {
  return readSimpleTlvs(answer, "service applet table").flatMap(({ tag, value }) => {
    const aid = tag === ENTRY ? findSimpleTlv(readSimpleTlvs(value.subarray(SHORT_ID), "applet"), AID) : undefined;
    return aid ? [aid] : [];
  });
}
