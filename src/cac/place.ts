import { concat, fromHex, toHex } from "../bytes/index.ts";

/** Registered application providers: of the first CAC, and of GSC-IS. */
export const CAC_RID = fromHex("a000000079");
const GSC_RID = fromHex("a000000116");

/** Where something is on the card: an applet, and which of its objects. */
export interface Place {
  readonly aid: Uint8Array;
  /** Two bytes; undefined where the applet has no objects to choose from. */
  readonly object?: Uint8Array;
}

/** The card capability container (GSC-IS 2.1 section 7.1). */
export const CCC: Place = { aid: concat(GSC_RID, fromHex("db00")) };

/** The access control applet: the place of cards with a CCC, then that of cards without one (OpenSC, card-cac.c). */
export const ACCESS_CONTROL: readonly Place[] = [
  { aid: concat(CAC_RID, fromHex("1000")) },
  { aid: concat(CAC_RID, fromHex("0300")) },
];

/** The PKI applet with this number. */
export function pkiApplet(number: number): Place {
  return { aid: concat(CAC_RID, Uint8Array.of(0x01, number)) };
}

export function placeName({ aid, object }: Place): string {
  return object ? `${toHex(aid)}.${toHex(object)}` : toHex(aid);
}
