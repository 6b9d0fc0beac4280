import type { KeyObject } from "node:crypto";
import { SW } from "../../apdu/index.ts";
import { derUnsigned } from "../../asn1/index.ts";
import { generateKey, KEY_TYPES } from "../keys.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { type Authority, signCertificate } from "../certificates.ts";
import type { AttestationKey, PivContext } from "./model.ts";
import { FIRMWARE, POLICY, TOUCH } from "./commands.ts";

/** Data object that holds the certificate of the attestation key. */
export const ATTESTATION_CERTIFICATE = 0x5fff01;

const ROOT_NAME = "Virtual YubiKey PIV Root CA";
const NAME = "Virtual YubiKey PIV Attestation";
/**
 * The end of an attestation certificate's validity: that of the attestation key's certificate, which needs no renewal.
 */
const NOT_BEFORE = new Date("2016-03-14T00:00:00Z");
const NOT_AFTER = new Date("2052-04-17T00:00:00Z");

/** Extensions of an attestation certificate. */
const EXTENSION = {
  FIRMWARE: "1.3.6.1.4.1.41482.3.3",
  SERIAL: "1.3.6.1.4.1.41482.3.7",
  POLICIES: "1.3.6.1.4.1.41482.3.8",
} as const;

/** Makes an attestation key, F9, with a certificate from a root that issues no other. */
export async function makeAttestationKey(): Promise<{ key: AttestationKey; certificate: Uint8Array }> {
  const root: Authority = { privateKey: await generateKey(KEY_TYPES["p-256"]), name: ROOT_NAME };
  const privateKey = await generateKey(KEY_TYPES["p-256"]);
  return {
    key: { privateKey, root: await authorityCertificate(root.privateKey, ROOT_NAME, root, 1) },
    certificate: await authorityCertificate(privateKey, NAME, root, 0),
  };
}

/**
 * ATTEST of Yubico: P1 is a key that was generated on the card; the answer is its certificate, signed by F9
 * (https://developers.yubico.com/PIV/Introduction/PIV_attestation.html).
 */
export async function attest({ contents }: PivContext, { p1: slot, p2 }: CardCommand): Promise<Uint8Array> {
  if (p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const { attestationKey, keys, traits } = contents;
  const key = keys.get(slot);
  if (key === undefined || attestationKey === undefined) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  if (key.origin !== "generated") throw new Refusal(SW.WRONG_DATA);
  return signCertificate({
    privateKey: key.privateKey,
    name: `${NAME} ${slot.toString(16)}`,
    issuer: { privateKey: attestationKey.privateKey, name: NAME },
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    extensions: ({ Extension }) => [
      new Extension(EXTENSION.FIRMWARE, false, FIRMWARE),
      new Extension(EXTENSION.SERIAL, false, derUnsigned(bytesOf(traits.serial))),
      new Extension(EXTENSION.POLICIES, false, Uint8Array.of(POLICY[key.pinPolicy], TOUCH[key.touchPolicy])),
    ],
  });
}

/** A CA certificate that allows at most `below` CA levels under it. */
function authorityCertificate(
  privateKey: KeyObject,
  name: string,
  issuer: Authority,
  below: number,
): Promise<Uint8Array> {
  return signCertificate({
    privateKey,
    name,
    issuer,
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    extensions: ({ BasicConstraintsExtension, KeyUsagesExtension, KeyUsageFlags }) => [
      new BasicConstraintsExtension(true, below, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
}

/** A number of 32 bits, most significant byte first. */
function bytesOf(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
