/**
 * The commands of CAC cards: those of GSC-IS 2.1 (NIST IR 6887) chapter 5 for virtual machine cards, and GET
 * CERTIFICATE of the first CAC.
 */

import type { CommandApdu } from "../apdu/index.ts";
import { concat, equalBytes, fromHex, toHex } from "../bytes/index.ts";

/** Class of the commands that are not in ISO/IEC 7816-4 (GSC-IS 2.1 section 5.3.3). */
const PROPRIETARY = 0x80;

/** SELECT of an applet by its identifier (section 5.3.3.2), without the file control information. */
export function selectApplet(aid: Uint8Array): CommandApdu {
  return { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: aid, ne: 256 };
}

/** SELECT of an object of the applet (section 5.3.3.3). @param id Two bytes. */
export function selectObject(id: Uint8Array): CommandApdu {
  return { cla: 0x00, ins: 0xa4, p1: 0x02, p2: 0x00, data: id };
}

/** The two buffers of READ BUFFER: tags with lengths, or values. */
const BUFFER = { TAGS: 0x01, VALUES: 0x02 } as const;
export type BufferName = keyof typeof BUFFER;

/** READ BUFFER (section 5.3.4.1). @param length 1 to 255. */
export function readBuffer(buffer: BufferName, offset: number, length: number): CommandApdu {
  const data = Uint8Array.of(BUFFER[buffer], length);
  return { cla: PROPRIETARY, ins: 0x52, p1: offset >> 8, p2: offset & 0xff, data, ne: 256, conceal: "nothing" };
}

/** GET PROPERTIES of the applet, all of them (section 5.3.3.4). */
export function getProperties(): CommandApdu {
  return { cla: PROPRIETARY, ins: 0x56, p1: 0x01, p2: 0x00, ne: 256, conceal: "nothing" };
}

/** GET ACR of the access control applet: the table of applets (section 5.3.3.5, table 5-21). */
export function getServiceTable(): CommandApdu {
  return { cla: PROPRIETARY, ins: 0x4c, p1: 0x21, p2: 0x00, ne: 256, conceal: "nothing" };
}

/** GET CERTIFICATE of the first CAC: the next `length` bytes; 63xx announces xx more (OpenSC, card-cac1.c). */
export function getCertificate(length: number): CommandApdu {
  return { cla: PROPRIETARY, ins: 0x36, p1: 0x00, p2: 0x00, ne: length, conceal: "nothing" };
}

/** VERIFY (section 5.3.3.6). Without `pin` it only queries the PIN's state and spends no try. */
export function verify(pin: Uint8Array = new Uint8Array()): CommandApdu {
  return { cla: 0x00, ins: 0x20, p1: 0x00, p2: 0x00, data: pin, conceal: "command" };
}

/** CHANGE REFERENCE DATA. @param exchange P1: some cards need another value than ISO/IEC 7816-4 has. */
export function changeReference(pins: Uint8Array, exchange: number): CommandApdu {
  return { cla: 0x00, ins: 0x24, p1: exchange, p2: 0x00, data: pins, conceal: "command" };
}

/** Most data in one part of PRIVATE SIGN/DECRYPT: the limit of readers and cards of the time (OpenSC, card-cac.c). */
const MAX_PART = 240;

/** A block padded for a signature begins so (RFC 8017 section 9.2), and a ciphertext almost never. */
const SIGNATURE_PADDING = fromHex("0001ffffffffffffffff");

/**
 * PRIVATE SIGN/DECRYPT (section 5.3.5.3): applies the selected applet's key to `block`, in as many parts as needed.
 * Deciphering is the same operation as signing, so recordings show the answer only if the block is clearly a padded
 * signature input.
 */
export function signDecrypt(block: Uint8Array): readonly CommandApdu[] {
  const commands: CommandApdu[] = [];
  const isSignature = equalBytes(block.subarray(0, SIGNATURE_PADDING.length), SIGNATURE_PADDING);
  const conceal = isSignature ? "nothing" : "answer";
  for (let at = 0; at < block.length; at += MAX_PART) {
    const last = at + MAX_PART >= block.length;
    const data = block.subarray(at, at + MAX_PART);
    commands.push({ cla: PROPRIETARY, ins: 0x42, p1: last ? 0x00 : 0x80, p2: 0x00, data, ne: 256, conceal });
  }
  return commands;
}

/** Registered application providers: of the first CAC, and of GSC-IS. */
export const CAC_RID = fromHex("a000000079");
const GSC_RID = fromHex("a000000116");

/** A place on the card: an applet, and one of its objects. */
export interface AppletAddress {
  readonly aid: Uint8Array;
  /** Two bytes; undefined if the applet has no objects to select. */
  readonly object?: Uint8Array;
}

/** The card capability container (GSC-IS 2.1 section 7.1). */
export const CCC: AppletAddress = { aid: concat(GSC_RID, fromHex("db00")) };

/** The access control applet: its place on cards with a CCC, then on cards without one (OpenSC, card-cac.c). */
export const ACCESS_CONTROL: readonly AppletAddress[] = [
  { aid: concat(CAC_RID, fromHex("1000")) },
  { aid: concat(CAC_RID, fromHex("0300")) },
];

/** The PKI applet with this number. */
export function pkiApplet(number: number): AppletAddress {
  return { aid: concat(CAC_RID, Uint8Array.of(0x01, number)) };
}

export function addressName({ aid, object }: AppletAddress): string {
  return object ? `${toHex(aid)}.${toHex(object)}` : toHex(aid);
}
