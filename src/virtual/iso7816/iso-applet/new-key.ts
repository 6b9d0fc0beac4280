import { encodeTlv, findTlv, readTlvs, SW, type Tlv } from "../../../apdu/index.ts";
import { DataError } from "../../../bytes/index.ts";
import { generateKey } from "../../keys/generate.ts";
import { ecKeyOf, rsaKeyOf } from "../../keys/import.ts";
import { KEY_TYPES } from "../../keys/key-type.ts";
import { encodePublicKey } from "../../keys/private-key.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import { ALGORITHM, newKey } from "./environment.ts";
import { requirePin } from "./pin.ts";
import type { IsoContext } from "../make.ts";

/** Domain parameters in the order of their tags: prime, a, b, base point, order; the cofactor is 87 (ISO/IEC 7816-8 table 3). */
const PARAMETERS: readonly number[] = [0x81, 0x82, 0x83, 0x84, 0x85];
const COFACTOR = 0x87;
/** The order of each curve, by which a curve is known. */
const ORDERS = [
  { info: KEY_TYPES["p-256"], prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff" },
  {
    info: KEY_TYPES["p-384"],
    prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
  },
] as const;
const SECRET = 0x88;
/** Numbers of an RSA key: p, q, 1/q mod p, d mod (p - 1), d mod (q - 1) (ISO/IEC 7816-8 annex C.2). */
const RSA = { PRIME_1: 0x92, PRIME_2: 0x93, EXPONENT_1: 0x95 } as const;

/**
 * GENERATE ASYMMETRIC KEY PAIR under the number that the environment names. The curve comes with the command, and goes back with
 * the point.
 */
export async function generateAsymmetricKeyPair(context: IsoContext, command: CardCommand): Promise<Uint8Array> {
  requirePin(context);
  const { number, algorithm } = newKey(context);
  const isRsa = algorithm !== ALGORITHM.NEW_EC;
  if (command.p1 !== (isRsa ? 0x42 : 0x00) || command.p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const curve = isRsa ? [] : readTlvs(command.data, "domain parameters");
  const key = await generateKey(
    isRsa ? KEY_TYPES[algorithm === ALGORITHM.NEW_RSA_4096 ? "rsa-4096" : "rsa-2048"] : curveOf(curve),
  );
  context.contents.keys.set(number, key);
  context.contents.changes++;
  const [first, ...rest] = encodePublicKey(key);
  const parameters = curve.filter(({ tag }) => PARAMETERS.includes(tag)).map(({ tag, value }) => encodeTlv(tag, value));
  const cofactor = curve.filter(({ tag }) => tag === COFACTOR).map(({ tag, value }) => encodeTlv(tag, value));
  return encodeTlv(0x7f49, ...parameters, first ?? new Uint8Array(), ...rest, ...cofactor);
}

/** PUT DATA 3FFF: brings a key to the number that the environment names. */
export function putData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  requirePin(context);
  if (p1 !== 0x3f || p2 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  const { number, algorithm } = newKey(context);
  const isRsa = algorithm !== ALGORITHM.NEW_EC;
  const template = findTlv(readTlvs(data, "private key"), isRsa ? 0x7f48 : 0xe0);
  if (!template) throw new Refusal(SW.WRONG_DATA);
  const fields = readTlvs(template, "private key");
  const field = (tag: number): Uint8Array => findTlv(fields, tag) ?? new Uint8Array();
  if (!isRsa) curveOf(fields);
  const key = isRsa ? rsaKeyOf(field(RSA.PRIME_1), field(RSA.PRIME_2), field(RSA.EXPONENT_1)) : ecKeyOf(field(SECRET));
  context.contents.keys.set(number, key);
  context.contents.changes++;
  return new Uint8Array();
}

function curveOf(fields: readonly Tlv[]): (typeof ORDERS)[number]["info"] {
  const prime = findTlv(fields, 0x81);
  const found = ORDERS.find((curve) => prime && Buffer.from(prime).toString("hex") === curve.prime);
  if (!found) throw new DataError("domain parameters: neither P-256 nor P-384");
  return found.info;
}
