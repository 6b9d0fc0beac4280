import { findTlv, readTlvs, SW } from "../../../apdu/index.ts";
import { concat, wipe } from "../../../bytes/index.ts";
import { decodePkcs1Encryption, encodePkcs1Signature } from "../../../crypto/index.ts";
import { FILE_KEY_TYPES } from "../../keys/key-type.ts";
import { describeKey, ecdh, ecdsa, rsaRaw } from "../../keys/private-key.ts";
import { deviatingEcdh, deviatingEcdsa, deviatingRsa, type ResultDeviation } from "../../keys/result-deviations.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import { chosenKey, TEMPLATE } from "./environment.ts";
import { deviates, type IsoContext } from "../make.ts";

/** Algorithm references as MyEID has them (OpenSC, card-myeid.c, myeid_set_security_env). */
const ALGORITHM = { RSA_RAW: 0x00, RSA_PKCS1: 0x02, EC: 0x04 } as const;
/** Padding indicator: nothing said, and the halves of a cryptogram that no short command holds. */
const INDICATOR = { NOTHING: 0x00, FIRST_HALF: 0x81, SECOND_HALF: 0x82 } as const;

/** PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE and DECIPHER (ISO/IEC 7816-8 section 5.4). */
export function performSecurityOperation(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 === 0x9e && p2 === 0x9a) return sign(context, data);
  if (p1 === 0x80 && p2 === 0x86) return decipher(context, data);
  throw new Refusal(SW.INCORRECT_P1_P2);
}

/** A block as it is, a DigestInfo that the card pads, or a hash. */
function sign(context: IsoContext, data: Uint8Array): Uint8Array {
  const { environment, file } = chosenKey(context, TEMPLATE.SIGNATURE);
  const key = file.privateKey;
  if (!key) throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  const info = describeKey(key, FILE_KEY_TYPES);
  const has = deviationsOf(context);
  if (info.type === "ec") {
    if (environment.algorithm !== ALGORITHM.EC) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    return deviatingEcdsa(ecdsa(key, info, data), has);
  }
  switch (environment.algorithm) {
    case ALGORITHM.RSA_RAW:
      return deviatingRsa(rsaRaw(key, data), has);
    case ALGORITHM.RSA_PKCS1:
      return deviatingRsa(rsaRaw(key, encodePkcs1Signature(data, info.bits / 8)), has);
    default:
      throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  }
}

/** With PKCS #1, the padding is taken off; what has none gives what no one can tell from a message. */
function decipher(context: IsoContext, data: Uint8Array): Uint8Array {
  const cryptogram = whole(context, data);
  if (!cryptogram) return new Uint8Array();
  const { environment, file } = chosenKey(context, TEMPLATE.CONFIDENTIALITY);
  if (!file.privateKey || file.type !== "rsa") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  const block = rsaRaw(file.privateKey, cryptogram);
  switch (environment.algorithm) {
    case ALGORITHM.RSA_RAW:
      return deviatingRsa(block, deviationsOf(context));
    case ALGORITHM.RSA_PKCS1:
      try {
        return decodePkcs1Encryption(block);
      } finally {
        wipe(block);
      }
    default:
      throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  }
}

/** The cryptogram, or nothing yet. */
function whole({ session }: IsoContext, [indicator, ...bytes]: Uint8Array): Uint8Array | undefined {
  const { half } = session;
  session.half = undefined;
  switch (indicator) {
    case INDICATOR.NOTHING:
      return Uint8Array.from(bytes);
    case INDICATOR.FIRST_HALF:
      session.half = Uint8Array.from(bytes);
      return undefined;
    case INDICATOR.SECOND_HALF:
      if (!half) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
      return concat(half, Uint8Array.from(bytes));
    default:
      throw new Refusal(SW.WRONG_DATA);
  }
}

/**
 * GENERAL AUTHENTICATE with the other side's point in 7C/85: the x coordinate of the shared one, as MyEID does ECDH. The key's file
 * must be the current one, whatever the environment names.
 */
export function generalAuthenticate(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const template = findTlv(readTlvs(data, "dynamic authentication template"), 0x7c);
  const point = template && findTlv(readTlvs(template, "dynamic authentication template"), 0x85);
  if (!point) throw new Refusal(SW.WRONG_DATA);
  const { environment, file } = chosenKey(context, TEMPLATE.AUTHENTICATION);
  if (environment.algorithm !== ALGORITHM.EC || !file.privateKey || context.session.file !== file) {
    throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  }
  const info = describeKey(file.privateKey, FILE_KEY_TYPES);
  if (info.type !== "ec") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return deviatingEcdh(ecdh(file.privateKey, info, point), info, deviationsOf(context));
}

const deviationsOf =
  (context: IsoContext) =>
  (deviation: ResultDeviation): boolean =>
    deviates(context, deviation);
