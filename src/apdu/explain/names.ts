import { fromHex, startsWith, toHex } from "../../bytes/index.ts";
import { hex } from "./instruction.ts";

/** Applications by the beginning of their identifier; the longest match counts. */
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

/** Describes a DF name: the application's name if known, and the bytes. */
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

/** Describes a file identifier or a path of identifiers. */
export function describePath(path: Uint8Array): string {
  const last = FILES.get(toHex(path.subarray(-2)));
  const digits = toHex(path).toUpperCase();
  return last !== undefined && path.length % 2 === 0 ? `${digits} (${last})` : digits;
}

/** Data objects of the PIV card application by tag (SP 800-73-4 part 1 table 3). */
const OBJECTS: ReadonlyMap<number, string> = new Map([
  [0x5fc107, "Card Capability Container"],
  [0x5fc102, "Card Holder Unique Identifier"],
  [0x5fc105, "X.509 Certificate for PIV Authentication (9A)"],
  [0x5fc103, "Cardholder Fingerprints"],
  [0x5fc106, "Security Object"],
  [0x5fc108, "Cardholder Facial Image"],
  [0x5fc101, "X.509 Certificate for Card Authentication (9E)"],
  [0x5fc10a, "X.509 Certificate for Digital Signature (9C)"],
  [0x5fc10b, "X.509 Certificate for Key Management (9D)"],
  [0x5fc109, "Printed Information"],
  [0x7e, "Discovery Object"],
  [0x5fc10c, "Key History Object"],
  [0x5fc121, "Cardholder Iris Images"],
  [0x7f61, "Biometric Information Templates Group Template"],
  [0x5fc122, "Secure Messaging Certificate Signer"],
  [0x5fc123, "Pairing Code Reference Data Container"],
  // Yubico's PIV application and its tools.
  [0x5fff00, "Yubico administrative data"],
  [0x5fff01, "Yubico attestation certificate"],
  [0x5fff10, "Yubico MSCMAP"],
  ...[1, 2, 3, 4, 5].map((part): [number, string] => [0x5fff10 + part, `Yubico MSROOTS, part ${part}`]),
]);

const RETIRED = { certificate: 0x5fc10d, key: 0x82, count: 20 } as const;

const retiredNumber = (value: number, first: number): number | undefined =>
  value >= first && value < first + RETIRED.count ? value - first + 1 : undefined;

/** "5FC102: Card Holder Unique Identifier". */
export function describeObject(tag: number): string {
  const retired = retiredNumber(tag, RETIRED.certificate);
  const name =
    retired === undefined
      ? OBJECTS.get(tag)
      : `X.509 Certificate for Key Management, retired ${retired} (${hex(RETIRED.key + retired - 1)})`;
  return name === undefined ? `${hex(tag)}: unknown` : `${hex(tag)}: ${name}`;
}

/** Key references (SP 800-78-4 table 6-1). */
const KEYS: ReadonlyMap<number, string> = new Map([
  [0x04, "secure messaging"],
  [0x9a, "PIV Authentication"],
  [0x9b, "card management"],
  [0x9c, "Digital Signature"],
  [0x9d, "Key Management"],
  [0x9e, "Card Authentication"],
  [0xf9, "Yubico attestation"],
]);

function keyName(reference: number): string | undefined {
  const retired = retiredNumber(reference, RETIRED.key);
  return retired === undefined ? KEYS.get(reference) : `Key Management, retired ${retired}`;
}

/** Whether this is a key reference of PIV. */
export function isKeyReference(reference: number): boolean {
  return keyName(reference) !== undefined;
}

/** "key 9A: PIV Authentication". */
export function describeKey(reference: number): string {
  return `key ${hex(reference)}: ${keyName(reference) ?? "unknown"}`;
}

/** Algorithm identifiers (SP 800-78-4 table 6-2; 05: SP 800-78-5; 16, E0 and E1: Yubico). */
const ALGORITHMS: ReadonlyMap<number, string> = new Map([
  [0x00, "3DES"],
  [0x03, "3DES"],
  [0x05, "RSA-3072"],
  [0x06, "RSA-1024"],
  [0x07, "RSA-2048"],
  [0x08, "AES-128"],
  [0x0a, "AES-192"],
  [0x0c, "AES-256"],
  [0x11, "ECC P-256"],
  [0x14, "ECC P-384"],
  [0x16, "RSA-4096"],
  [0x27, "cipher suite 2 (P-256, AES-128)"],
  [0x2e, "cipher suite 7 (P-384, AES-256)"],
  [0xe0, "Ed25519"],
  [0xe1, "X25519"],
]);

/** "algorithm 07: RSA-2048". */
export function describeAlgorithm(algorithm: number): string {
  return `algorithm ${hex(algorithm)}: ${ALGORITHMS.get(algorithm) ?? "unknown"}`;
}

/** Reference data of VERIFY and related commands (SP 800-73-4 part 2 table 4; SP 800-78-4 table 6-1). */
export const PIN_REFERENCES: ReadonlyMap<number, string> = new Map([
  [0x00, "global PIN"],
  [0x80, "application PIN"],
  [0x81, "PIN unblocking key (PUK)"],
  [0x96, "primary finger, on-card comparison"],
  [0x97, "secondary finger, on-card comparison"],
  [0x98, "pairing code"],
]);
