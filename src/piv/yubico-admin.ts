/**
 * The commands with which Yubico's cards are administered, and those of other makers that have taken them over: one pure function
 * builds each. https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/apdu-list.html
 */
import { type CommandApdu, encodeTlv, type Tlv } from "../apdu/index.ts";
import { concatSecret, equalBytes, secretBytes, wipe } from "../bytes/index.ts";
import { type NewVendorAttributes, UnsupportedError } from "../card/index.ts";
import { curveInfo, type HostPrivateKey } from "../crypto/index.ts";
import { requiredAlgorithm } from "./yubico.ts";

/** The attributes in which Yubico's own module shows the policies of a key (yubico-piv-tool, ykcs11/pkcs11y.h): the card's numbers. */
export const CKA_YUBICO = { TOUCH_POLICY: 0xd955_4201, PIN_POLICY: 0xd955_4202 } as const;

/** The policies that a new key is given, in the card's numbers; what is left out is as the key's place has it. */
export interface NewKeyPolicies {
  readonly pin?: number;
  readonly touch?: number;
}

/** Numbers that stand for a policy: of the PIN 4 and 5 are for YubiKeys with a fingerprint reader. */
const MAX_POLICY = { pin: 5, touch: 3 } as const;

/** @throws {UnsupportedError} for a number that is no policy. */
export function readNewKeyPolicies(attributes: NewVendorAttributes | undefined): NewKeyPolicies {
  const pin = attributes?.get(CKA_YUBICO.PIN_POLICY);
  const touch = attributes?.get(CKA_YUBICO.TOUCH_POLICY);
  if (pin !== undefined && pin > MAX_POLICY.pin) throw noSuchPolicy("PIN", pin, MAX_POLICY.pin);
  if (touch !== undefined && touch > MAX_POLICY.touch) throw noSuchPolicy("touch", touch, MAX_POLICY.touch);
  return { ...(pin !== undefined && { pin }), ...(touch !== undefined && { touch }) };
}

const noSuchPolicy = (what: string, policy: number, max: number): UnsupportedError =>
  new UnsupportedError(`${policy} is no ${what} policy; there are 0 to ${max}`);

/** The policies as data objects of GENERATE and IMPORT ASYMMETRIC KEY: AA for the PIN, AB for the touch. */
export function encodePolicies({ pin, touch }: NewKeyPolicies): Uint8Array[] {
  return [
    ...(pin === undefined ? [] : [encodeTlv(0xaa, Uint8Array.of(pin))]),
    ...(touch === undefined ? [] : [encodeTlv(0xab, Uint8Array.of(touch))]),
  ];
}

/**
 * SET MANAGEMENT KEY; the old one must be authenticated. The caller wipes the data.
 * https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/set-mgmt-key.html
 */
export function setManagementKey(algorithm: number, key: Uint8Array): CommandApdu {
  const data = concatSecret(Uint8Array.of(algorithm, 0x9b, key.length), key);
  return { cla: 0x00, ins: 0xff, p1: 0xff, p2: 0xff, data, conceal: "command" };
}

/** SET PIN RETRIES: PIN and PUK have the factory's values afterwards. The management key and the PIN must be verified. */
export function setPinRetries(pin: number, puk: number): CommandApdu {
  return { cla: 0x00, ins: 0xfa, p1: pin, p2: puk };
}

/** RESET, of a card whose PIN and PUK are blocked: keys, certificates and data go. */
export function reset(): CommandApdu {
  return { cla: 0x00, ins: 0xfb, p1: 0x00, p2: 0x00 };
}

/** ATTEST: the answer is a certificate for a key that was made on the card. */
export function attest(reference: number): CommandApdu {
  return { cla: 0x00, ins: 0xf9, p1: reference, p2: 0x00, ne: 65_536 };
}

/** Where {@link moveKey} takes a key that is deleted. */
export const NOWHERE = 0xff;

/** MOVE KEY, firmware 5.7 and later; the management key must be authenticated. */
export function moveKey(from: number, to: number): CommandApdu {
  return { cla: 0x00, ins: 0xf6, p1: to, p2: from };
}

/** Data object with the certificate of the key that attests others, F9. */
export const ATTESTATION_CERTIFICATE = 0x5fff01;

/** Tags of a private key's parts in IMPORT ASYMMETRIC KEY. */
const PART = { RSA: [0x01, 0x02, 0x03, 0x04, 0x05], EC: 0x06, ED25519: 0x07, X25519: 0x08 } as const;

/**
 * IMPORT ASYMMETRIC KEY; the management key must be authenticated.
 * https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/import-asym.html
 * @returns The command, with a copy of the key in its data: the caller's to wipe.
 * @throws {UnsupportedError} for a type of key that PIV does not have, or an RSA key whose public exponent is not 65,537, which is the
 *   only one of the card's.
 */
export function importKey(reference: number, key: HostPrivateKey, policies: NewKeyPolicies): CommandApdu {
  const { publicKey } = key;
  const algorithm = requiredAlgorithm(publicKey);
  if (publicKey.type === "rsa" && !equalBytes(publicKey.publicExponent, EXPONENT)) {
    throw new UnsupportedError("a PIV card has RSA keys with the public exponent 65537 only");
  }
  const parts = privateParts(key);
  const data = concatSecret(...parts.map(({ tag, value }) => encodeTlv(tag, value)), ...encodePolicies(policies));
  wipe(...parts.map(({ value }) => value));
  return { cla: 0x00, ins: 0xfe, p1: algorithm, p2: reference, data, conceal: "command" };
}

const EXPONENT = Uint8Array.of(0x01, 0x00, 0x01);

function privateParts(key: HostPrivateKey): Tlv[] {
  const { publicKey } = key;
  if (publicKey.type === "rsa") {
    const { prime1, prime2, exponent1, exponent2, coefficient } = key.rsaNumbers();
    const length = publicKey.modulusBits / 16;
    return [prime1, prime2, exponent1, exponent2, coefficient].map((value, index) => ({
      tag: PART.RSA[index] ?? 0,
      value: leftPadded(value, length),
    }));
  }
  if (publicKey.type === "ec") {
    return [{ tag: PART.EC, value: leftPadded(key.secret(), curveInfo(publicKey.curve).bytes) }];
  }
  return [{ tag: publicKey.type === "edwards" ? PART.ED25519 : PART.X25519, value: key.secret() }];
}

/** With zeros before it; the original is wiped. */
function leftPadded(value: Uint8Array, length: number): Uint8Array {
  const padded = secretBytes(Math.max(length, value.length));
  padded.set(value, padded.length - value.length);
  wipe(value);
  return padded;
}
