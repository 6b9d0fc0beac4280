import { parseAtr, parseHistoricalBytes } from "../../apdu/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type CardFacts, MAKES } from "./makes.ts";

/** The historical bytes, as characters; empty if the answer to reset does not parse. */
export function historicalText(atr: Uint8Array): string {
  return fromAtr(atr, (historical) => String.fromCharCode(...historical), "");
}

/** The historical bytes tell of EF.DIR (ISO/IEC 7816-4 section 12.1.1.7). */
export function announcesEfDir(atr: Uint8Array): boolean {
  return fromAtr(atr, (historical) => parseHistoricalBytes(historical).serviceData?.efDir ?? false, false);
}

/** Whether only cards of a make that is known here answer so. */
export function tellsMake(atr: Uint8Array): boolean {
  const facts = factsOf(atr);
  return Object.values(MAKES).some((isOfMake) => isOfMake(facts));
}

/** Whether only a SmartCard-HSM answers a reset so. */
export function isSmartCardHsm(atr: Uint8Array): boolean {
  return MAKES.smartCardHsm(factsOf(atr));
}

/** The make of a card that comes without files, and answers a reset as with them. */
export function blankMake(atr: Uint8Array): "MyEID" | undefined {
  return MAKES.myEid(factsOf(atr)) ? "MyEID" : undefined;
}

/** What is known of a card before it was asked anything. */
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
