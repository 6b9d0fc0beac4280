import { findTlv, type Tlv } from "../apdu/index.ts";
import type { KeyType } from "../card/index.ts";
import { encodePublicKey, parsePublicKey, rsaPublicKey } from "../crypto/index.ts";

/**
 * A public key out of the data objects that cards give it in: 81 modulus and 82 exponent, or 86 point (SP 800-73-4 part 2 table 11).
 * Those on Curve25519 have 32 bytes in 86.
 * @returns SubjectPublicKeyInfo, DER.
 * @throws {DataError} if they do not hold a key of this type.
 */
export function readPublicKeyObjects(type: KeyType, objects: readonly Tlv[]): Uint8Array {
  const value = (tag: number): Uint8Array => findTlv(objects, tag) ?? new Uint8Array();
  const der = encodePublicKey(
    type.type === "rsa" ? rsaPublicKey(value(0x81), value(0x82)) : { ...type, point: value(0x86) },
  );
  // Its numbers have the lengths that keys of the type have.
  parsePublicKey(der);
  return der;
}
