import type { KeyObject } from "node:crypto";
import { SW } from "../../../apdu/index.ts";
import {
  decodePkcs1Encryption,
  digest,
  encodePkcs1Signature,
  encodePss,
  type HashName,
} from "../../../crypto/index.ts";
import { wipe } from "../../../bytes/index.ts";
import { describeKey, ecdsa, rsaRaw } from "../../keys/private-key.ts";
import { deviatingEcdsa, deviatingRsa, type ResultDeviation } from "../../keys/result-deviations.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import { ALGORITHM, chosenKey, isVersion1 } from "./environment.ts";
import { requirePin } from "./pin.ts";
import { deviates, type IsoContext } from "../make.ts";

/** The most that version 0 pads, two bytes less than it could; version 1 leaves out the 11 bytes of padding. */
const MAX_RSA_INPUT = 247;
const PADDING = 11;
/** What signs with PSS: the hash tells by its length which it is. */
const HASHES: ReadonlyMap<number, HashName> = new Map([
  [20, "sha1"],
  [28, "sha224"],
  [32, "sha256"],
  [48, "sha384"],
  [64, "sha512"],
]);

/** PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE and DECIPHER (ISO/IEC 7816-8 section 5.4). */
export function performSecurityOperation(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  requirePin(context);
  if (p1 === 0x9e && p2 === 0x9a) return sign(context, data);
  if (p1 === 0x80 && p2 === 0x86) return decipher(context, data);
  throw new Refusal(SW.INCORRECT_P1_P2);
}

/** What is padded for RSA, and by version 0 hashed with SHA-1 for a curve. */
function sign(context: IsoContext, data: Uint8Array): Uint8Array {
  const has = (deviation: ResultDeviation): boolean => deviates(context, deviation);
  const rsa = chosenKey(context, ALGORITHM.RSA_PKCS1);
  if (rsa) {
    const most = isVersion1(context) ? describeKey(rsa).bits / 8 - PADDING : MAX_RSA_INPUT;
    if (data.length > most) throw new Refusal(SW.WRONG_LENGTH);
    return deviatingRsa(rsaRaw(rsa, encodePkcs1Signature(data, describeKey(rsa).bits / 8)), has);
  }
  const pss = chosenKey(context, ALGORITHM.RSA_PSS);
  if (pss) return deviatingRsa(signPss(pss, data), has);
  const ec = chosenKey(context, ALGORITHM.ECDSA);
  const info = ec && describeKey(ec);
  if (!ec || info?.type !== "ec") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return deviatingEcdsa(ecdsa(ec, info, isVersion1(context) ? data : digest("sha1", data)), has);
}

/** A salt as long as the hash, and MGF1 over the same. */
function signPss(key: KeyObject, hash: Uint8Array): Uint8Array {
  const name = HASHES.get(hash.length);
  if (name === undefined) throw new Refusal(SW.WRONG_LENGTH);
  const parameters = { hash: name, mgfHash: name, saltLength: hash.length };
  return rsaRaw(key, encodePss(hash, parameters, describeKey(key).bits));
}

/** The message in a cryptogram; what has no padding gives what no one can tell from a message. */
function decipher(context: IsoContext, data: Uint8Array): Uint8Array {
  if (data[0] !== 0x00) throw new Refusal(SW.WRONG_DATA);
  const key = chosenKey(context, ALGORITHM.RSA_PKCS1);
  if (!key) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  const cryptogram = data.subarray(1);
  if (cryptogram.length !== describeKey(key).bits / 8) throw new Refusal(SW.WRONG_LENGTH);
  const block = rsaRaw(key, cryptogram);
  try {
    return decodePkcs1Encryption(block);
  } finally {
    wipe(block);
  }
}
