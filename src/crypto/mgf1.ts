import { digest, hashLength, type HashName } from "./hash.ts";

/** MGF1 (RFC 8017 appendix B.2.1): `length` bytes of mask out of `seed`. */
function mgf1(hash: HashName, seed: Uint8Array, length: number): Uint8Array {
  const step = hashLength(hash);
  const mask = new Uint8Array(Math.ceil(length / step) * step);
  const counter = new DataView(new ArrayBuffer(4));
  for (let offset = 0; offset < length; offset += step) {
    counter.setUint32(0, offset / step);
    mask.set(digest(hash, seed, new Uint8Array(counter.buffer)), offset);
  }
  return mask.subarray(0, length);
}

/** `data` under the mask that `seed` gives. */
export function masked(hash: HashName, seed: Uint8Array, data: Uint8Array): Uint8Array {
  const mask = mgf1(hash, seed, data.length);
  return data.map((byte, index) => byte ^ (mask[index] ?? 0));
}
