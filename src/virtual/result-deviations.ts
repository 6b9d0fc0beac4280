import { ECDH } from "node:crypto";
import { encodeTlv, readTlvs } from "../apdu/index.ts";
import { concat, fromHex } from "../bytes/index.ts";
import type { EcKeyInfo } from "./keys.ts";

/**
 * Ways in which cards return results of private keys in other forms than the standards', for the table of each kind of
 * card.
 */
export const RESULT_DEVIATIONS = {
  "short-rsa-answers": "RSA results come without their leading zeros",
  "cut-rsa-answers": "RSA results come without their last byte",
  "long-rsa-answers": "RSA results come with one more byte",
  "empty-rsa-answers": "RSA results are empty",
  "faulty-rsa-answers": "a bit of each RSA result is wrong, as after a fault in the computation",
  "long-ecdsa-integers": "the INTEGERs of ECDSA signatures have one zero more than DER",
  "unsigned-ecdsa-integers": "the INTEGERs of ECDSA signatures have no sign byte",
  "short-ecdh-answers": "shared secrets come without their leading zeros",
  "point-ecdh-answers": "the whole shared point comes in place of its x coordinate: 04, x, y",
  "prefixed-ecdh-answers": "shared secrets come behind 04",
  "cut-ecdh-answers": "shared secrets come without their last four bytes",
} as const satisfies Readonly<Record<string, string>>;

export type ResultDeviation = keyof typeof RESULT_DEVIATIONS;

/** Whether the card has a deviation. */
type Has = (deviation: ResultDeviation) => boolean;

/** The card's answer instead of an RSA result. */
export function deviatingRsa(result: Uint8Array, has: Has): Uint8Array {
  if (has("faulty-rsa-answers")) return result.map((octet, index) => (index === result.length - 1 ? octet ^ 1 : octet));
  if (has("cut-rsa-answers")) return result.subarray(0, -1);
  if (has("long-rsa-answers")) return concat(result, Uint8Array.of(0x01));
  if (has("empty-rsa-answers")) return new Uint8Array();
  return has("short-rsa-answers") ? withoutZeros(result) : result;
}

/** The card's answer instead of a DER signature. */
export function deviatingEcdsa(der: Uint8Array, has: Has): Uint8Array {
  const zeros = has("long-ecdsa-integers") ? 1 : 0;
  if (zeros === 0 && !has("unsigned-ecdsa-integers")) return der;
  const [outer] = readTlvs(der, "ECDSA signature");
  const integers = readTlvs(outer?.value ?? new Uint8Array(), "ECDSA signature").map(({ value }) =>
    encodeTlv(0x02, concat(new Uint8Array(zeros), zeros === 0 ? withoutZeros(value) : value)),
  );
  return encodeTlv(0x30, ...integers);
}

/** The card's answer instead of the x coordinate of a shared point. */
export function deviatingEcdh(x: Uint8Array, { curve }: EcKeyInfo, has: Has): Uint8Array {
  if (has("cut-ecdh-answers")) return x.subarray(0, -4);
  if (has("short-ecdh-answers")) return withoutZeros(x);
  if (has("prefixed-ecdh-answers")) return concat(Uint8Array.of(0x04), x);
  if (!has("point-ecdh-answers")) return x;
  // Either point with this x would do: the answer contains no y.
  const compressed = concat(Uint8Array.of(0x02), x);
  return fromHex(ECDH.convertKey(compressed, curve, undefined, "hex", "uncompressed").toString());
}

function withoutZeros(bytes: Uint8Array): Uint8Array {
  const from = bytes.findIndex((octet) => octet !== 0);
  return from < 0 ? bytes.subarray(bytes.length) : bytes.subarray(from);
}
