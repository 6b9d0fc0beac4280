import type { CommandApdu } from "../../apdu/index.ts";
import { SELECT_ANSWER, SELECT_BY, select } from "../files/commands.ts";
import { SMARTCARD_HSM_AID } from "../recognition/makes.ts";

/** All that there is: what CardContact's programs ask for with extended length (256 bytes where only short answers come through). */
const ALL = 65_536;
const SHORT = 256;

/** SELECT of the applet; whatever was verified is forgotten (OpenSC, sc_hsm_logout). The card wants Le (sc_hsm_select_file_ex). */
export function selectApplet(): CommandApdu {
  return select(SELECT_BY.DF_NAME, SMARTCARD_HSM_AID, SELECT_ANSWER.FCI);
}

/** ENUMERATE OBJECTS: the identifiers of all files and keys, two bytes each (OpenSC, sc_hsm_list_files). */
export function enumerateObjects(): CommandApdu {
  return { cla: 0x80, ins: 0x58, p1: 0x00, p2: 0x00, ne: ALL };
}

/**
 * READ BINARY of the file with an identifier, which needs no SELECT (ISO/IEC 7816-4 section 11.3.3, odd instruction; CardContact's
 * sc-hsm-embedded, token-sc-hsm.c, readEF). The offset is a data object.
 * @param length Up to 256; a larger one stands for all that there is.
 */
export function readFile(id: Uint8Array, offset: number, length: number): CommandApdu {
  const [p1 = 0, p2 = 0] = id;
  const ne = length > SHORT ? ALL : length;
  return { cla: 0x00, ins: 0xb1, p1, p2, data: Uint8Array.of(0x54, 0x02, offset >> 8, offset & 0xff), ne };
}

/** What the card computes with a key (OpenSC, card-sc-hsm.h, ALGO_...). */
export const ALGORITHM = { RSA_RAW: 0x20, RSA_DECRYPT: 0x21, ECDSA: 0x70, ECDH: 0x80 } as const;

/** SIGN (OpenSC, sc_hsm_compute_signature). @param ne Bytes of the answer at most. */
export function sign(key: number, algorithm: number, input: Uint8Array, ne: number): CommandApdu {
  return { cla: 0x80, ins: 0x68, p1: key, p2: algorithm, data: input, ne };
}

/** DECIPHER, of a cryptogram or the other party's point (OpenSC, sc_hsm_decipher). */
export function decipher(key: number, algorithm: number, input: Uint8Array, ne: number): CommandApdu {
  return { cla: 0x80, ins: 0x62, p1: key, p2: algorithm, data: input, ne, conceal: "answer" };
}
