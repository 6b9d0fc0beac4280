import { encodeTlv, findTlv, readTlvs, SW } from "../../../apdu/index.ts";
import { concat, fromHex } from "../../../bytes/index.ts";
import { encodePublicKey } from "../../keys/private-key.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import type { ElementaryFile } from "../file.ts";
import type { IsoContext } from "../make.ts";

/** What MyEID answers GET DATA with (OpenSC, card-myeid.c; a point is the contents of a data object, pkcs15-myeid.c). */
const DATA = { MODULUS: 0x0101, EXPONENT: 0x0102, POINT: 0x0186, APPLET: 0x01a0, CAPABILITIES: 0x01aa } as const;
/** Tags of the parts of a public key (ISO/IEC 7816-8 section 5.2, table 3). */
const PART = { [DATA.MODULUS]: 0x81, [DATA.EXPONENT]: 0x82, [DATA.POINT]: 0x86 } as const;
/**
 * Applet 4.0.1. From 4.1 on, OpenSC keeps derived secrets in key files on the card, and from 4.5 on it chains a cryptogram of 256
 * bytes, which before comes in halves (card-myeid.c, myeid_init).
 */
const VERSION = Uint8Array.of(4, 0, 1);
/** RSA and EC, no symmetric keys; RSA to 4,096 bits, EC to 521. */
const CAPABILITIES = fromHex("01 0009 1000 0000 0000 0209");

export function getData({ contents, session }: IsoContext, { p1, p2 }: CardCommand): Uint8Array {
  const wanted = (p1 << 8) | p2;
  switch (wanted) {
    case DATA.MODULUS:
    case DATA.EXPONENT:
      return publicPart(session.file, PART[wanted]);
    case DATA.POINT:
      return encodeTlv(0x30, publicPart(session.file, PART[wanted]));
    case DATA.APPLET: {
      const { changes, traits } = contents;
      // Five bytes of no meaning here; a serial number of ten; the number of changes.
      return concat(
        new Uint8Array(5),
        VERSION,
        new Uint8Array(2),
        traits.serial,
        Uint8Array.of((changes >> 8) & 0xff, changes & 0xff),
      );
    }
    case DATA.CAPABILITIES:
      return CAPABILITIES.slice();
    default:
      throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  }
}

/** A number of the public half of the current key. */
function publicPart(file: ElementaryFile | undefined, tag: number): Uint8Array {
  const key = file?.kind === "key" ? file.privateKey : undefined;
  const part = key && findTlv(readTlvs(concat(...encodePublicKey(key))), tag);
  if (!part) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  return part;
}
