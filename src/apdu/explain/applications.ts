import { fromHex, startsWith, toHex } from "../../bytes/index.ts";

/** Applications by the beginning of their identifier; the longest one that fits counts. */
const APPLICATIONS: readonly (readonly [Uint8Array, string])[] = (
  [
    ["A00000030800001000", "PIV card application"],
    ["A000000308", "NIST application"],
    ["A000000063504B43532D3135", "PKCS#15"],
    ["A000000167455349474E", "CIA of an eSign application"],
    ["A00000007901", "CAC PKI applet"],
    ["A00000007902", "CAC person or personnel applet"],
    ["A0000000790300", "CAC access control applet"],
    ["A000000079", "CAC applet"],
    ["A000000116DB00", "CAC card capability container"],
    ["A000000116", "GSC-IS container"],
    ["D27600012401", "OpenPGP card"],
    ["A000000397425446590201", "GIDS, version 1"],
    ["A000000397425446590202", "GIDS, version 2"],
    ["A00000039742544659", "GIDS"],
    ["F276A288BCFBA69D34F31001", "IsoApplet"],
    ["A00000000101", "MUSCLE applet"],
    ["A000000151000000", "GlobalPlatform issuer security domain"],
    ["A000000003000000", "GlobalPlatform issuer security domain (Visa)"],
    ["A000000018434D00", "GlobalPlatform card manager (Gemalto)"],
    ["A000000527471117", "YubiKey management"],
    ["A0000005272001", "YubiKey OTP"],
    ["A0000005272101", "YubiKey OATH"],
    ["A0000006472F0001", "FIDO"],
    ["A0000002471001", "eMRTD travel document"],
    ["D2760000850101", "NFC Forum type 4 tag"],
    ["325041592E5359532E4444463031", "EMV payment directory, contactless"],
    ["315041592E5359532E4444463031", "EMV payment directory, contact"],
  ] as const
).map(([aid, name]) => [fromHex(aid), name]);

/** A DF name in words: the application's name if it is known, and the name's bytes. */
export function describeApplication(name: Uint8Array): string {
  const known = APPLICATIONS.filter(([aid]) => startsWith(name, aid)).sort(([a], [b]) => b.length - a.length)[0];
  const digits = toHex(name).toUpperCase();
  return known ? `${known[1]} (${digits})` : digits;
}

/** File identifiers that ISO/IEC 7816-4 and -15 reserve. */
const FILES: ReadonlyMap<string, string> = new Map([
  ["3f00", "MF"],
  ["3fff", "current DF"],
  ["2f00", "EF.DIR"],
  ["2f01", "EF.ATR/INFO"],
  ["5015", "DF.CIA, PKCS#15"],
  ["5031", "EF.OD"],
  ["5032", "EF.CIAInfo, TokenInfo"],
  ["5033", "EF.UnusedSpace"],
]);

/** A file identifier or a path of such, in words where they are known. */
export function describePath(path: Uint8Array): string {
  const last = FILES.get(toHex(path.subarray(-2)));
  const digits = toHex(path).toUpperCase();
  return last !== undefined && path.length % 2 === 0 ? `${digits} (${last})` : digits;
}
