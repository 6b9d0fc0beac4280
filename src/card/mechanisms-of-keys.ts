import { curveInfo, keyTypeOf } from "../crypto/index.ts";
import { unlessRefused } from "./answers.ts";
import type { CardMechanism, CardPrivateKey } from "./types.ts";

/**
 * What a card computes that does not say so itself: what its keys are for, in their sizes.
 * @param otherwise For a card without a key whose size is known.
 */
export async function mechanismsOfKeys(
  keys: readonly CardPrivateKey[],
  otherwise: readonly CardMechanism[],
): Promise<readonly CardMechanism[]> {
  const ranges = new Map<CardMechanism["primitive"], CardMechanism>();
  for (const key of keys) {
    const bits = await unlessRefused(() => bitsOf(key));
    if (bits === undefined) continue;
    for (const primitive of key.primitives) {
      const { minBits, maxBits } = ranges.get(primitive) ?? { minBits: bits, maxBits: bits };
      ranges.set(primitive, { primitive, minBits: Math.min(minBits, bits), maxBits: Math.max(maxBits, bits) });
    }
  }
  return ranges.size === 0 ? otherwise : [...ranges.values()];
}

/** Of the modulus, or of the curve: what the card says of the key, or else its public half. */
async function bitsOf(key: CardPrivateKey): Promise<number> {
  const type = key.type ?? keyTypeOf(await key.publicKey());
  if (type.type === "rsa") return type.modulusBits;
  return type.type === "ec" ? curveInfo(type.curve).bits : 255;
}
