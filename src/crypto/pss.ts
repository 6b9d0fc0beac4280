import { concat, DataError, equalBytes } from "../bytes/index.ts";
import { checkDigest } from "./digest-info.ts";
import { digest, hashLength, type HashName } from "./hash.ts";
import { masked } from "./mgf1.ts";
import { randomBytes } from "./random.ts";

/** CK_RSA_PKCS_PSS_PARAMS, in words. */
export interface PssParameters {
  readonly hash: HashName;
  /** Hash of the mask generation function, MGF1. */
  readonly mgfHash: HashName;
  /** In bytes. */
  readonly saltLength: number;
}

const PADDING1 = new Uint8Array(8);
const TRAILER = 0xbc;

/**
 * EMSA-PSS (RFC 8017 section 9.1.1) over the hash of a message: the block, as long as the modulus, that the private key is
 * applied to.
 * @param salt Random unless given: for test vectors.
 * @throws {DataError} if the digest has a wrong length, or the key is too short for hash and salt.
 */
export function encodePss(
  hashed: Uint8Array,
  parameters: PssParameters,
  modulusBits: number,
  salt?: Uint8Array,
): Uint8Array {
  const { hash, mgfHash, saltLength } = parameters;
  const layout = pssLayout(hashed, parameters, modulusBits);
  const chosen = salt ?? randomBytes(saltLength);
  if (chosen.length !== saltLength) throw new DataError(`PSS: a salt of ${chosen.length} bytes, not ${saltLength}`);
  const h = digest(hash, PADDING1, hashed, chosen);
  const padding = new Uint8Array(layout.dbLength - saltLength - 1);
  const db = masked(mgfHash, h, concat(padding, Uint8Array.of(0x01), chosen));
  db[0] = (db[0] ?? 0) & layout.topMask;
  return concat(new Uint8Array(layout.leadingZeros), db, h, Uint8Array.of(TRAILER));
}

/**
 * EMSA-PSS verification (RFC 8017 section 9.1.2): whether `block`, as long as the modulus, is an encoding of this digest with
 * a salt of just this length.
 * @throws {DataError} if the digest has a wrong length, or the key is too short for hash and salt.
 */
export function isPss(block: Uint8Array, hashed: Uint8Array, parameters: PssParameters, modulusBits: number): boolean {
  const { hash, mgfHash, saltLength } = parameters;
  const { leadingZeros, dbLength, topMask } = pssLayout(hashed, parameters, modulusBits);
  const h = block.subarray(leadingZeros + dbLength, -1);
  if (block.subarray(0, leadingZeros).some((byte) => byte !== 0) || block.at(-1) !== TRAILER) return false;
  const maskedDb = block.subarray(leadingZeros, leadingZeros + dbLength);
  if (((maskedDb[0] ?? 0) & ~topMask) !== 0) return false;
  const db = masked(mgfHash, h, maskedDb);
  db[0] = (db[0] ?? 0) & topMask;
  const one = dbLength - saltLength - 1;
  if (db.subarray(0, one).some((byte) => byte !== 0) || db[one] !== 0x01) return false;
  return equalBytes(h, digest(hash, PADDING1, hashed, db.subarray(one + 1)));
}

/** Where things stand in a block of the modulus' length; emBits is one less than the modulus' bits (section 8.1.1). */
function pssLayout(
  hashed: Uint8Array,
  { hash, saltLength }: PssParameters,
  modulusBits: number,
): { leadingZeros: number; dbLength: number; topMask: number } {
  checkDigest(hash, hashed);
  const length = Math.ceil(modulusBits / 8);
  const encodedLength = Math.ceil((modulusBits - 1) / 8);
  const dbLength = encodedLength - hashLength(hash) - 1;
  if (saltLength < 0 || dbLength < saltLength + 1) {
    throw new DataError(`PSS: ${hash} with a salt of ${saltLength} bytes does not fit a key of ${modulusBits} bits`);
  }
  return {
    leadingZeros: length - encodedLength,
    dbLength,
    topMask: 0xff >> (8 * encodedLength - (modulusBits - 1)),
  };
}
