import type { KeyObject } from "node:crypto";
import { encodeTlv, SW } from "../../apdu/index.ts";
import { fromHex } from "../../bytes/index.ts";
import { generateKey, KEY_TYPES } from "../keys.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { type Authority, extension, sequence, signCertificate } from "../certificates.ts";
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

/** Extensions of an attestation certificate: 1.3.6.1.4.1.41482.3 and one more arc. */
const EXTENSION = {
  FIRMWARE: "2b0601040182c40a0303",
  SERIAL: "2b0601040182c40a0307",
  POLICIES: "2b0601040182c40a0308",
} as const;

/** Makes an attestation key, F9, with a certificate from a root that issues no other. */
export async function makeAttestationKey(): Promise<{ key: AttestationKey; certificate: Uint8Array }> {
  const root: Authority = { privateKey: await generateKey(KEY_TYPES["p-256"]), name: ROOT_NAME };
  const privateKey = await generateKey(KEY_TYPES["p-256"]);
  return {
    key: { privateKey, root: authorityCertificate(root.privateKey, ROOT_NAME, root, 1) },
    certificate: authorityCertificate(privateKey, NAME, root, 0),
  };
}

/**
 * ATTEST of Yubico: P1 is a key that was generated on the card; the answer is its certificate, signed by F9
 * (https://developers.yubico.com/PIV/Introduction/PIV_attestation.html).
 */
export function attest({ contents }: PivContext, { p1: slot, p2 }: CardCommand): Uint8Array {
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
    extensions: [
      extension(EXTENSION.FIRMWARE, FIRMWARE),
      extension(EXTENSION.SERIAL, encodeTlv(0x02, integer(traits.serial))),
      extension(EXTENSION.POLICIES, Uint8Array.of(POLICY[key.pinPolicy], TOUCH[key.touchPolicy])),
    ],
  });
}

/** A CA certificate that allows at most `below` CA levels under it. */
function authorityCertificate(privateKey: KeyObject, name: string, issuer: Authority, below: number): Uint8Array {
  const constraints = sequence(Uint8Array.of(0x01, 0x01, 0xff), encodeTlv(0x02, Uint8Array.of(below)));
  return signCertificate({
    privateKey,
    name,
    issuer,
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    extensions: [
      extension("551d13", constraints, true),
      // keyCertSign
      extension("551d0f", fromHex("03020204"), true),
    ],
  });
}

/** Content of an INTEGER that is not negative. */
function integer(value: number): Uint8Array {
  const hex = value.toString(16);
  const even = hex.padStart(hex.length + (hex.length % 2), "0");
  return fromHex(/^[89a-f]/u.test(even) ? `00${even}` : even);
}
