/** Tags of the card's data objects (SP 800-73-4 part 1 table 3). */
export const TAG = {
  CARD_AUTHENTICATION_CERTIFICATE: 0x5fc101,
  CHUID: 0x5fc102,
  FINGERPRINTS: 0x5fc103,
  AUTHENTICATION_CERTIFICATE: 0x5fc105,
  SECURITY_OBJECT: 0x5fc106,
  CAPABILITY_CONTAINER: 0x5fc107,
  FACIAL_IMAGE: 0x5fc108,
  PRINTED_INFORMATION: 0x5fc109,
  SIGNATURE_CERTIFICATE: 0x5fc10a,
  KEY_MANAGEMENT_CERTIFICATE: 0x5fc10b,
  KEY_HISTORY: 0x5fc10c,
  FIRST_RETIRED_CERTIFICATE: 0x5fc10d,
  LAST_RETIRED_CERTIFICATE: 0x5fc120,
  IRIS_IMAGES: 0x5fc121,
  SECURE_MESSAGING_SIGNER: 0x5fc122,
  PAIRING_CODE: 0x5fc123,
  DISCOVERY: 0x7e,
  BIOMETRIC_TEMPLATES: 0x7f61,
} as const;

const PIN_GUARDED: readonly number[] = [
  TAG.FINGERPRINTS,
  TAG.FACIAL_IMAGE,
  TAG.PRINTED_INFORMATION,
  TAG.IRIS_IMAGES,
  TAG.PAIRING_CODE,
];

/** The most bytes that one data object holds here: more than twice the standard's largest (SP 800-73-4 part 1 table 7). */
export const MAX_OBJECT = 32_767;

/** Whether the standard has a data object of this tag. */
export function isStandardTag(tag: number): boolean {
  if (tag === TAG.DISCOVERY || tag === TAG.BIOMETRIC_TEMPLATES) return true;
  return tag >= TAG.CARD_AUTHENTICATION_CERTIFICATE && tag <= TAG.PAIRING_CODE && tag !== 0x5fc104;
}

/** Whether reading needs the PIN. */
export function needsPin(tag: number): boolean {
  return PIN_GUARDED.includes(tag);
}

/** The tag around an object's content on the way in and out: its own for the two that have one, else 53. */
export function outerTag(tag: number): number {
  return tag === TAG.DISCOVERY || tag === TAG.BIOMETRIC_TEMPLATES ? tag : 0x53;
}
