import { berToDer, DerReader, TAG } from "../../asn1/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";

/** The NIST prime curves (FIPS 186-4 D.1.2, SP 800-186 section 3.2.1), by the names of WebCrypto. */
export type NamedCurve = "P-256" | "P-384" | "P-521";

/** The numbers of a curve over a prime field, y² = x³ + ax + b, each as long as the field, in hexadecimal. */
interface CurveNumbers {
  readonly prime: string;
  readonly a: string;
  readonly b: string;
  /** The generator. */
  readonly x: string;
  readonly y: string;
  readonly order: string;
}

/** FIPS 186-4 appendix D.1.2. */
const NUMBERS: Readonly<Record<NamedCurve, CurveNumbers>> = {
  "P-256": {
    prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    a: "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
    b: "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    x: "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    y: "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    order: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
  },
  "P-384": {
    prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    a: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
    b: "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    x: "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
    y: "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
    order: "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
  },
  "P-521": {
    prime:
      "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    a: "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc",
    b: "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    x: "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
    y: "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
    order:
      "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
  },
};
const NAMES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];

/** The field's prime p, and the coefficient b; a is p - 3. */
export function fieldOf(curve: NamedCurve): { readonly p: bigint; readonly b: bigint } {
  return FIELDS[curve];
}

const field = ({ prime, b }: CurveNumbers): { readonly p: bigint; readonly b: bigint } => ({
  p: BigInt(`0x${prime}`),
  b: BigInt(`0x${b}`),
});
const FIELDS = { "P-256": field(NUMBERS["P-256"]), "P-384": field(NUMBERS["P-384"]), "P-521": field(NUMBERS["P-521"]) };

const PRIME_FIELD = "1.2.840.10045.1.1";

/**
 * The named curve with these numbers: ECParameters of ANSI X9.62 (RFC 3279 section 2.3.5). The seed is ignored, because
 * no computation uses it.
 * @throws {DataError} if they do not parse, or differ from every named curve in the field, a, b, the generator, the
 *   order or the cofactor.
 */
export function curveWithNumbers(parameters: Uint8Array): NamedCurve {
  const numbers = readNumbers(parameters);
  const curve = NAMES.find((name) => fits(numbers, NUMBERS[name]));
  if (!curve) throw new DataError("EC parameters: explicit ones of a curve other than P-256, P-384 and P-521");
  return curve;
}

interface ReadNumbers {
  readonly prime: string;
  readonly a: string;
  readonly b: string;
  readonly generator: Uint8Array;
  readonly order: string;
}

function readNumbers(parameters: Uint8Array): ReadNumbers {
  const what = "EC parameters";
  const { der, length } = berToDer(parameters, 0, what);
  if (length !== parameters.length) throw new DataError(`${what}: bytes after their end`);
  const reader = new DerReader(der, what).enter();
  reader.next(TAG.INTEGER);
  const field = reader.enter();
  const type = field.oid();
  if (type !== PRIME_FIELD) throw new DataError(`${what}: a field of type ${type}, which is not a prime field`);
  const prime = digits(field.next(TAG.INTEGER).contents);
  field.end();
  const equation = reader.enter();
  const a = digits(equation.octetString());
  const b = digits(equation.octetString());
  equation.optional(TAG.BIT_STRING);
  equation.end();
  const generator = reader.octetString();
  const order = digits(reader.next(TAG.INTEGER).contents);
  const cofactor = reader.optional(TAG.INTEGER);
  // These curves have as many points as their order.
  if (cofactor && digits(cofactor.contents) !== "01") throw new DataError(`${what}: a cofactor that is not 1`);
  return { prime, a, b, generator, order };
}

function fits(numbers: ReadNumbers, curve: CurveNumbers): boolean {
  const same = (["prime", "a", "b", "order"] as const).every((name) => numbers[name] === shortened(curve[name]));
  const { x, y } = curve;
  const odd = Number.parseInt(y.slice(-1), 16) % 2;
  // Uncompressed, or x and whether y is odd (ANSI X9.62 section 4.3.6).
  return same && [`04${x}${y}`, `0${2 + odd}${x}`].includes(toHex(numbers.generator));
}

/** A number without leading zeros, in hexadecimal. */
const digits = (number: Uint8Array): string => shortened(toHex(number));
const shortened = (hex: string): string => hex.replace(/^(?:00)+(?=..)/u, "");
