import { parseAtr } from "../apdu/index.ts";
import { DataError, toHex } from "../bytes/index.ts";

/** Hexadecimal beginnings of historical bytes, and what stands anywhere in them, of cards that carry PIV. */
const BEGINNINGS: readonly string[] = [
  // Cards of the US Department of Defense, which are CAC cards too (OpenSC, card-piv.c, piv_atrs, after the department's "Token
  // utilization and variation matrix"; pcsc-tools, smartcard_list.txt).
  "0031c06477e303",
  "0031c064b0f310",
  "80318065b0831113ac83",
  "80318065b0831117d683",
  "80318065b07549170f83",
  "73667465206364313434",
  "534345372003002046",
  "8031c164080692",
  // PIV alone: Sm@rtCafe 7 of the same department, Gemalto IDPrime PIV, ID-One PIV (the same sources).
  "53434537200f002046",
  "80318065b0831117e583",
  "8031c152",
  "8031c15351",
  // "iShield", "uTrust".
  "69536869656c64",
  "755472757374",
];
/** "Yubi", whatever follows: key, Key (OpenSC, card-piv.c). */
const YUBIKEY = "59756269";
/** "Nitrokey", "Canokey": makes whose PIV application has Yubico's commands too. */
const WITH_YUBICO_COMMANDS: readonly string[] = [YUBIKEY, "4e6974726f6b6579", "43616e6f6b6579"];
const ANYWHERE: readonly string[] = [
  YUBIKEY,
  // "PIVKEY", "SPIVKEY70".
  "5049564b4559",
  // The application identifier of PIV itself, as ISO/IEC 7816-4 section 12.1.1.1 puts it there.
  "a000000308000010",
];

/** Whether cards with this answer to reset usually carry PIV. */
export function announcesPiv(atr: Uint8Array): boolean {
  const historical = historicalBytes(atr);
  return (
    BEGINNINGS.some((beginning) => historical.startsWith(beginning)) ||
    ANYWHERE.some((part) => historical.includes(part))
  );
}

/** Whether this is a YubiKey's answer to reset. No command of PIV is answered before PIV is selected there. */
export function isYubiKey(atr: Uint8Array): boolean {
  return historicalBytes(atr).includes(YUBIKEY);
}

/** Whether the PIV application of cards with this answer to reset has the commands that Yubico added to PIV. */
export function announcesYubicoCommands(atr: Uint8Array): boolean {
  const historical = historicalBytes(atr);
  return WITH_YUBICO_COMMANDS.some((part) => historical.includes(part));
}

/** In hexadecimal; none where the answer to reset cannot be read. */
function historicalBytes(atr: Uint8Array): string {
  try {
    return toHex(parseAtr(atr).historicalBytes);
  } catch (error) {
    if (error instanceof DataError) return "";
    throw error;
  }
}
