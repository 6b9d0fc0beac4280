import { MalformedAnswerError, readTlvs } from "../../apdu/index.ts";
import { concat, DataError } from "../../bytes/index.ts";
import { type KeyRequest, leftPadded } from "./key-use.ts";

/**
 * An ECDSA signature as r || s. Cards give it so, or as the SEQUENCE of X.509, whose numbers some begin with zeros that DER does not
 * have (OsEID with P-521). That a SEQUENCE is just as long as the two numbers happens once in 2^48 signatures, with numbers of
 * which each begins with three zeros.
 */
export function ecdsaAnswer({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => {
    if (answer.length === 2 * key.bytes) return answer;
    try {
      const [outer, ...behind] = readTlvs(answer, "ECDSA signature");
      const numbers = readTlvs(outer?.tag === 0x30 ? outer.value : new Uint8Array(), "ECDSA signature");
      const [r, s] = numbers;
      if (r?.tag !== 0x02 || s?.tag !== 0x02 || numbers.length > 2 || behind.length > 0) {
        throw new DataError("ECDSA signature: not a SEQUENCE of two numbers");
      }
      return concat(coordinate(r.value, key.bytes), coordinate(s.value, key.bytes));
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new MalformedAnswerError(`the card's signature does not parse: ${cause.message}`, { cause });
    }
  };
}

/** A number that is not negative, as long as those of the key. @throws {DataError} if it is longer. */
function coordinate(number: Uint8Array, length: number): Uint8Array {
  if (number.length === 0 || (number[0] ?? 0) > 0x7f) throw new DataError("ECDSA signature: a negative number");
  const from = number.findIndex((octet) => octet !== 0);
  return leftPadded(from < 0 ? new Uint8Array() : number.subarray(from), length);
}
