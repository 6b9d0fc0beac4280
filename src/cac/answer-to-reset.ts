import { parseAtr } from "../apdu/index.ts";
import { DataError, fromHex, startsWith } from "../bytes/index.ts";

/** Beginnings of historical bytes of CAC cards (OpenSC, card-piv.c; pcsc-tools, smartcard_list.txt). */
const BEGINNINGS: readonly Uint8Array[] = [
  // These are PIV cards too, and the PIV profile must expect them as well: see CardProfile.expects.
  "0031c06477e303",
  "0031c064b0f310",
  "80318065b0831113ac83",
  "80318065b0831117d683",
  "80318065b07549170f83",
  // Of libcacard as well (cac.c, cac_atr).
  "73667465206364313434",
  "534345372003002046",
  "8031c164080692",
  // Before PIV: Gemplus GXP3 64V2N, Oberthur CosmopolIC 32K and Galactic, Axalto Cyberflex Access 32K V2.
  "8065b083010474",
  "0031c053cac40164",
  "003180718e6486d6",
  "9c02020702",
].map(fromHex);

/** Whether cards with this answer to reset usually are CAC cards. */
export function announcesCac(atr: Uint8Array): boolean {
  try {
    const { historicalBytes } = parseAtr(atr);
    return BEGINNINGS.some((beginning) => startsWith(historicalBytes, beginning));
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
