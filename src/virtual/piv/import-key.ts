import type { KeyObject } from "node:crypto";
import { findTlv, readTlvs, SW, type Tlv } from "../../apdu/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { describeKey, ecKeyOf, ed25519KeyOf, type KeyTypeInfo, rsaKeyOf, x25519KeyOf } from "../keys.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { algorithmOf, isSlot, keyTypeOf, type PivContext, readPolicies, requireAdministrator } from "./model.ts";

/** The parts of a private key (ykpiv.c, ykpiv_import_private_key). */
const PART = {
  PRIME_1: 0x01,
  PRIME_2: 0x02,
  EXPONENT_1: 0x03,
  EXPONENT_2: 0x04,
  COEFFICIENT: 0x05,
  EC: 0x06,
  ED25519: 0x07,
  X25519: 0x08,
} as const;
const PUBLIC_EXPONENT = 65_537n;

/**
 * IMPORT ASYMMETRIC KEY of Yubico: P1 is the algorithm, P2 the key, the data are its private parts and its policies.
 */
export function importAsymmetricKey(context: PivContext, { p1, p2: slot, data }: CardCommand): Uint8Array {
  const info = keyTypeOf(p1);
  if (info === undefined || !isSlot(slot)) throw new Refusal(SW.INCORRECT_P1_P2);
  requireAdministrator(context);
  const fields = readTlvs(data, "IMPORT ASYMMETRIC KEY");
  const policies = readPolicies(fields, slot);
  const privateKey = privateKeyOf(info, fields);
  if (algorithmOf(describeKey(privateKey)) !== p1) throw new Refusal(SW.WRONG_DATA);
  context.contents.keys.set(slot, { ...policies, privateKey, origin: "imported" });
  return new Uint8Array();
}

function privateKeyOf(info: KeyTypeInfo, fields: readonly Tlv[]): KeyObject {
  switch (info.type) {
    case "rsa":
      return readRsaKey(fields);
    case "ec":
      return ecKeyOf(part(fields, PART.EC));
    case "edwards":
      return ed25519KeyOf(part(fields, PART.ED25519));
    case "montgomery":
      return x25519KeyOf(part(fields, PART.X25519));
  }
}

/** The command has no public exponent: it is 65537, and the other parts must match it. */
function readRsaKey(fields: readonly Tlv[]): KeyObject {
  const key = rsaKeyOf(part(fields, PART.PRIME_1), part(fields, PART.PRIME_2), part(fields, PART.EXPONENT_1));
  const { dq, qi } = key.export({ format: "jwk" });
  const agrees = (text: string | undefined, tag: number): boolean =>
    equalBytes(withoutZeros(Buffer.from(text ?? "", "base64url")), withoutZeros(part(fields, tag)));
  const exponent = key.asymmetricKeyDetails?.publicExponent;
  if (exponent !== PUBLIC_EXPONENT || !agrees(dq, PART.EXPONENT_2) || !agrees(qi, PART.COEFFICIENT)) {
    throw new Refusal(SW.WRONG_DATA);
  }
  return key;
}

function part(fields: readonly Tlv[], tag: number): Uint8Array {
  const value = findTlv(fields, tag);
  if (value === undefined) throw new Refusal(SW.WRONG_DATA);
  return value;
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  return number.subarray(first === -1 ? number.length : first);
}
