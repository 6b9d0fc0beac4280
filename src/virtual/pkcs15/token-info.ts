import { contextTag, derNull, derOctetString, derOid, derSequence, encodeDer, TAG } from "../../asn1/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { bits, number, text } from "./entry.ts";

/** Bits of Operations (ISO/IEC 7816-15 section 8.10). */
const OPERATION = { COMPUTE_SIGNATURE: 1, DECIPHER: 5, DERIVE_KEY: 8 } as const;

/** Mechanisms of PKCS #11, what the card does with them, their object identifier, and the number that MSE:SET has for it. */
const ALGORITHMS = [
  {
    mechanism: 0x0001,
    operations: [OPERATION.COMPUTE_SIGNATURE, OPERATION.DECIPHER],
    reference: 0x02,
    id: "1.2.840.113549.1.1.1",
  },
  {
    mechanism: 0x0003,
    operations: [OPERATION.COMPUTE_SIGNATURE, OPERATION.DECIPHER],
    reference: 0x00,
    id: "1.2.840.113549.1.1.1",
  },
  { mechanism: 0x1041, operations: [OPERATION.COMPUTE_SIGNATURE], reference: 0x04, id: "1.2.840.10045.2.1" },
  { mechanism: 0x1050, operations: [OPERATION.DERIVE_KEY], reference: 0x04, id: "1.3.132.1.12" },
] as const;

/** loginRequired and prnGeneration. */
const FLAGS = [1, 2] as const;

/** EF.TokenInfo (ISO/IEC 7816-15 section 8.10). */
export function tokenInfo(info: {
  readonly serial: Uint8Array;
  readonly manufacturer: string;
  readonly label: string;
  readonly lastUpdate: Date;
}): Uint8Array {
  const algorithms = ALGORITHMS.map(({ mechanism, operations, reference, id }, index) =>
    derSequence(number(index + 1), number(mechanism), derNull(), bits(...operations), derOid(id), number(reference)),
  );
  const time = `${info.lastUpdate.toISOString().slice(0, 19).replaceAll(/\D/gu, "")}Z`;
  return derSequence(
    number(0),
    derOctetString(info.serial),
    text(info.manufacturer),
    encodeDer(contextTag(0, "primitive"), utf8(info.label)),
    bits(...FLAGS),
    encodeDer(contextTag(2, "constructed"), ...algorithms),
    encodeDer(contextTag(5, "constructed"), encodeDer(TAG.GENERALIZED_TIME, utf8(time))),
  );
}
