/**
 * Choices without branches, for data whose value must not show in the time that its handling takes. A just-in-time compiler
 * promises nothing, so this is care, not proof: no branch, no index and no early end depends on a secret. Bits are 0 or 1.
 */

/** 1 if `a` equals `b`. Both below 2^31. */
export function isEqual(a: number, b: number): number {
  const difference = a ^ b;
  return ((difference | -difference) >>> 31) ^ 1;
}

/** 1 if `a` is less than `b`. Both below 2^30. */
export function isLess(a: number, b: number): number {
  return (a - b) >>> 31;
}

/** `a` if `bit` is 1, `b` if it is 0. Both below 2^31. */
export function select(bit: number, a: number, b: number): number {
  return b ^ (-bit & (a ^ b));
}
