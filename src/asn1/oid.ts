import { DataError } from "../bytes/index.ts";

/** The first two arcs share one subidentifier: 40 times the first, plus the second (X.690 section 8.19.4). */
const FIRST_ARC = 40n;
/** No registered identifier comes near; a longer one is an attack on the arithmetic. */
const MAX_LENGTH = 128;

/**
 * The dotted form of an OBJECT IDENTIFIER's contents: "1.2.840.113549.1.1.1".
 * @throws {DataError} if they are empty, longer than 128 bytes, cut off or not in the shortest form.
 */
export function decodeOid(contents: Uint8Array): string {
  if (contents.length === 0 || contents.length > MAX_LENGTH) {
    throw new DataError(`OBJECT IDENTIFIER: ${contents.length} bytes`);
  }
  const arcs: bigint[] = [];
  let arc = 0n;
  let started = false;
  for (const octet of contents) {
    if (!started && octet === 0x80) throw new DataError("OBJECT IDENTIFIER: an arc begins with a zero digit");
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    started = (octet & 0x80) !== 0;
    if (started) continue;
    arcs.push(...(arcs.length === 0 ? firstArcs(arc) : [arc]));
    arc = 0n;
  }
  if (started) throw new DataError("OBJECT IDENTIFIER: the last arc is cut off");
  return arcs.join(".");
}

/** The second arc is below 40 under 0 and 1, and without bound under 2. */
function firstArcs(subidentifier: bigint): [bigint, bigint] {
  const first = subidentifier < 2n * FIRST_ARC ? subidentifier / FIRST_ARC : 2n;
  return [first, subidentifier - first * FIRST_ARC];
}

/**
 * The contents of an OBJECT IDENTIFIER, from its dotted form.
 * @throws {DataError} if `dotted` is none.
 */
export function encodeOid(dotted: string): Uint8Array {
  if (!/^[012](\.(0|[1-9][0-9]{0,38})){1,63}$/u.test(dotted)) throw new DataError("not a dotted object identifier");
  const [first = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  if (first < 2n && second >= FIRST_ARC) throw new DataError("object identifier: the second arc is 40 or more");
  const octets: number[] = [];
  for (const arc of [first * FIRST_ARC + second, ...rest]) {
    const digits = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) digits.unshift(Number(left & 0x7fn) | 0x80);
    octets.push(...digits);
  }
  if (octets.length > MAX_LENGTH) throw new DataError("object identifier: too long");
  return Uint8Array.from(octets);
}
