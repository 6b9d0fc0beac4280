import { parseAtr, parseHistoricalBytes } from "../../apdu/index.ts";
import { DataError, equalBytes, fromHex, toHex } from "../../bytes/index.ts";

/** The data by which a card is recognised. */
export interface CardFacts {
  readonly atr: Uint8Array;
  /** Historical bytes of the ATR, as characters; empty if it does not parse. */
  readonly historical: string;
  /** The name under which the application was selected. */
  readonly aid: Uint8Array | undefined;
  /** The card's answer to that selection. */
  readonly selectAnswer: Uint8Array;
}

/** What tells the cards of one make from others. */
export interface CardRecogniser {
  recognises(card: CardFacts): boolean;
}

/** OpenSC, card-isoApplet.c. */
export const ISO_APPLET_AID = fromHex("f276a288bcfba69d34f31001");
/** OpenSC, card-sc-hsm.c (sc_hsm_aid): of the vendor's arc 1.3.6.1.4.1.24991. */
export const SMARTCARD_HSM_AID = fromHex("e82b0601040181c31f0201");
/** Historical bytes of all answers to reset that OpenSC lists for the card (card-sc-hsm.c, sc_hsm_atrs), as characters. */
const SMARTCARD_HSM_NAME = "HSM1";

const CARDOS_5_ATR: ReadonlySet<string> = new Set([
  "3bd218008131fe58c90114",
  "3bd218008131fe58c90217",
  "3bd218008131fe58c90316",
  "3bd218008131fe58c90411",
]);
/** 4.0, 4.2 and above, 4.4: the version is in the last bytes. */
const CARDOS_4_ATR = /^3be200ffc11031fe55c8029c$|^3bf21800(ff|02)c1[01][0a]31fe5[58]c8|^3bd21802c10a31fe58c80d51$/u;
const STARCOS_3_4_ATR: ReadonlySet<string> = new Set([
  "3bd818ff81b1fe451f038064041ab403810561",
  "3bd396ff81b1fe451f078081052d",
  "3bd097ff81b1fe451f072b",
  "3bd096ff81b1fe451f072a",
]);
const STARCOS_3_5_ATR: ReadonlySet<string> = new Set([
  "3b9b96c00a31fe458067041eb50100894c810545",
  "3bdb96ff8131fe4580670534b50201c0a181053c",
  "3bd996ff8131fe458031b8738601c0810502",
  "3bdf96ff8131fe45805b44452e424e4f544b3131318105a0",
  "3bdf96ff8131fe45805b44452e424e4f544b3130308105a0",
  "3bd996ff8131fe458031b8738601e0810522",
  "3bdf96ff8131fe45805b44452e42415f53433335328105b5",
]);
const NIDEL_ATR = "3b9f94801fc30068104405014649534531c807900018";

const isIsoApplet = ({ aid }: CardFacts): boolean => aid !== undefined && equalBytes(aid, ISO_APPLET_AID);

/** Applets before 1.0 return only version and features when they are selected: 00 06 06. */
const isBefore1 = ([major, , , more]: Uint8Array): boolean => major === 0 && more === undefined;

/**
 * Recognises makes with known differences from the standard; the dialects name the sources. Separate from the dialects,
 * so that an answer to reset can be classified before they are loaded.
 */
export const MAKES = {
  isoApplet0: (card) => isIsoApplet(card) && isBefore1(card.selectAnswer),
  isoApplet1: isIsoApplet,
  myEid: ({ historical }) => historical.endsWith("MyEID") || historical.endsWith("OsEID"),
  swedishEid: ({ atr }) => toHex(atr) === NIDEL_ATR,
  finEid: ({ historical }) => historical.includes("FISE"),
  cardOs5: ({ atr }) => CARDOS_5_ATR.has(toHex(atr)),
  cardOs4: ({ atr }) => CARDOS_4_ATR.test(toHex(atr)),
  starcos34: ({ atr }) => STARCOS_3_4_ATR.has(toHex(atr)),
  starcos35: ({ atr }) => STARCOS_3_5_ATR.has(toHex(atr)),
  smartCardHsm: ({ aid, historical }) =>
    aid ? equalBytes(aid, SMARTCARD_HSM_AID) : historical.includes(SMARTCARD_HSM_NAME),
} as const satisfies Readonly<Record<string, (card: CardFacts) => boolean>>;

/** The historical bytes, as characters; empty if the answer to reset does not parse. */
export function historicalText(atr: Uint8Array): string {
  return fromAtr(atr, (historical) => String.fromCharCode(...historical), "");
}

/** Whether the historical bytes announce EF.DIR (ISO/IEC 7816-4 section 12.1.1.7). */
export function announcesEfDir(atr: Uint8Array): boolean {
  return fromAtr(atr, (historical) => parseHistoricalBytes(historical).serviceData?.efDir ?? false, false);
}

/**
 * Whether only cards of a known make answer so.
 * @param further What recognises makes that the program knows.
 */
export function tellsMake(atr: Uint8Array, further: readonly CardRecogniser[] = []): boolean {
  const facts = factsOf(atr);
  return Object.values(MAKES).some((isOfMake) => isOfMake(facts)) || further.some((one) => one.recognises(facts));
}

/** Whether only a SmartCard-HSM has this answer to reset. */
export function isSmartCardHsm(atr: Uint8Array): boolean {
  return MAKES.smartCardHsm(factsOf(atr));
}

/** The make of a card that is delivered without files, but has the same answer to reset as with them. */
export function blankMake(atr: Uint8Array): "MyEID" | undefined {
  return MAKES.myEid(factsOf(atr)) ? "MyEID" : undefined;
}

/** The data of a card before any exchange. */
function factsOf(atr: Uint8Array): CardFacts {
  return { atr, historical: historicalText(atr), aid: undefined, selectAnswer: new Uint8Array() };
}

function fromAtr<T>(atr: Uint8Array, read: (historical: Uint8Array) => T, otherwise: T): T {
  try {
    return read(parseAtr(atr).historicalBytes);
  } catch (error) {
    if (error instanceof DataError) return otherwise;
    throw error;
  }
}
