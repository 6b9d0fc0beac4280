import type { Values } from "../attributes/new-object.ts";
import { invalid } from "../attributes/refusals.ts";
import { bytesOf } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";

/** Domain parameters: their lengths in bits follow from them (PKCS#11 3.1, DSA and Diffie-Hellman domain parameter objects). */
export function completeDomainParameters(values: Values): void {
  values.set(CKA.LOCAL, false);
  values.set(CKA.PRIME_BITS, bits(bytesOf(values, CKA.PRIME)));
  if (values.get(CKA.KEY_TYPE) === CKK.X9_42_DH) values.set(CKA.SUBPRIME_BITS, bits(bytesOf(values, CKA.SUBPRIME)));
}

function bits(number: Uint8Array): number {
  const start = number.findIndex((byte) => byte !== 0);
  if (start < 0) throw invalid(CKA.PRIME, "is zero");
  return 8 * (number.length - start) - (Math.clz32(number[start] ?? 0) - 24);
}
