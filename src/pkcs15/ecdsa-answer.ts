import { MalformedAnswerError } from "../apdu/index.ts";
import { DerReader } from "../asn1/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import { type KeyRequest, leftPadded } from "./key-use.ts";

/**
 * An ECDSA signature as r || s. Cards give it so, or as the DER SEQUENCE of X.509; that a SEQUENCE is just as long as
 * the two numbers happens once in 2^48 signatures, with numbers of which each begins with three zeros.
 */
export function ecdsaAnswer({ key }: KeyRequest): (answer: Uint8Array) => Uint8Array {
  return (answer) => {
    if (answer.length === 2 * key.bytes) return answer;
    try {
      const outer = new DerReader(answer, "ECDSA signature");
      const numbers = outer.enter();
      outer.end();
      const [r, s] = [numbers.unsigned(), numbers.unsigned()];
      numbers.end();
      return concat(leftPadded(r, key.bytes), leftPadded(s, key.bytes));
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new MalformedAnswerError(`the card's signature does not parse: ${cause.message}`, { cause });
    }
  };
}
