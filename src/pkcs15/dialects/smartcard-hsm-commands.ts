import { type CommandApdu, encodeTlv } from "../../apdu/index.ts";
import { concat, fromHex, utf8 } from "../../bytes/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import type { MadeKeyType } from "../dialect.ts";
import { select, SELECT_ANSWER, SELECT_BY } from "../files/commands.ts";
import { SMARTCARD_HSM_AID } from "../recognition/makes.ts";
import { curveParameters } from "./iso-applet.ts";

/** The whole answer, requested with extended length. */
const ALL = 65_536;
/** Most bytes of a file in one UPDATE BINARY, which has data objects around them: a short command holds it. */
const MAX_PART = 240;

/**
 * SELECT of the applet, which forgets verified PINs (OpenSC, sc_hsm_logout). The card requires Le
 * (sc_hsm_select_file_ex).
 */
export function selectApplet(): CommandApdu {
  return select(SELECT_BY.DF_NAME, SMARTCARD_HSM_AID, SELECT_ANSWER.FCI);
}

/** What INITIALIZE DEVICE sets. */
export interface DeviceSettings {
  /** The user's PIN, 6 to 16 bytes. */
  readonly pin: Uint8Array;
  /** The initialisation code, 8 bytes. */
  readonly code: Uint8Array;
  /** Tries of the PIN, 1 to 10. */
  readonly tries: number;
  /** Number of DKEK shares; undefined if no key leaves the card. */
  readonly dkekShares: number | undefined;
}

/**
 * INITIALIZE DEVICE: deletes all keys and files. A device that was initialised wants the same code (OpenSC, card-sc-hsm.c,
 * sc_hsm_initialize). RESET RETRY COUNTER is allowed.
 */
export function initialiseDevice({ pin, code, tries, dkekShares }: DeviceSettings): CommandApdu {
  const data = concat(
    encodeTlv(0x80, Uint8Array.of(0x00, 0x01)),
    encodeTlv(0x81, pin),
    encodeTlv(0x82, code),
    encodeTlv(0x91, Uint8Array.of(tries)),
    ...(dkekShares === undefined ? [] : [encodeTlv(0x92, Uint8Array.of(dkekShares))]),
  );
  return { cla: 0x80, ins: 0x50, p1: 0x00, p2: 0x00, data, conceal: "command" };
}

/** IMPORT DKEK SHARE of 32 bytes; without it the command asks for the state (OpenSC, sc_hsm_import_dkek_share). */
export function importDkekShare(share?: Uint8Array): CommandApdu {
  return { cla: 0x80, ins: 0x52, p1: 0x00, p2: 0x00, ...(share && { data: share }), ne: 256, conceal: "command" };
}

/** WRAP KEY: a key, encrypted with the DKEK (OpenSC, sc_hsm_wrap_key). */
export function wrapKey(number: number): CommandApdu {
  return { cla: 0x80, ins: 0x72, p1: number, p2: 0x92, ne: ALL, conceal: "nothing" };
}

/** UNWRAP KEY (OpenSC 0.23, sc_hsm_unwrap_key). */
export function unwrapKey(number: number, wrapped: Uint8Array): CommandApdu {
  return { cla: 0x80, ins: 0x74, p1: number, p2: 0x93, data: wrapped, conceal: "nothing" };
}

/** UPDATE BINARY commands that write a whole file, which is made if it is absent (OpenSC, sc_hsm_write_ef). */
export function writeFile(id: Uint8Array, bytes: Uint8Array): readonly CommandApdu[] {
  const [p1 = 0, p2 = 0] = id;
  const count = Math.max(1, Math.ceil(bytes.length / MAX_PART));
  return Array.from({ length: count }, (_, part) => {
    const offset = part * MAX_PART;
    const data = concat(
      encodeTlv(0x54, Uint8Array.of(offset >> 8, offset & 0xff)),
      encodeTlv(0x53, bytes.subarray(offset, offset + MAX_PART)),
    );
    return { cla: 0x00, ins: 0xd7, p1, p2, data, conceal: "command" };
  });
}

/** DELETE FILE, also of a key (OpenSC, sc_hsm_delete_file). */
export function deleteObject(id: Uint8Array): CommandApdu {
  return { cla: 0x00, ins: 0xe4, p1: 0x02, p2: 0x00, data: id };
}

/** Object identifiers of keys (BSI TR-03110 part 3 section A.1.1), and names in the request, which are arbitrary. */
const OID = { RSA: fromHex("04007f00070202020102"), EC: fromHex("04007f00070202020203") } as const;
const AUTHORITY = "UTCA00001";
const HOLDER = "UTTM00001";

/**
 * GENERATE ASYMMETRIC KEY PAIR: the answer is a request for a certificate (OpenSC, pkcs15init/pkcs15-sc-hsm.c).
 * @throws {UnsupportedError} for a curve that the driver has no parameters of.
 */
export function generateKeyPair(number: number, type: MadeKeyType): CommandApdu {
  const key =
    type.type === "rsa"
      ? [
          encodeTlv(0x06, OID.RSA),
          encodeTlv(0x82, fromHex("010001")),
          encodeTlv(0x02, Uint8Array.of(type.modulusBits >> 8, type.modulusBits & 0xff)),
        ]
      : [encodeTlv(0x06, OID.EC), ...curveFields(type)];
  const data = concat(
    encodeTlv(0x5f29, Uint8Array.of(0x00)),
    encodeTlv(0x42, utf8(AUTHORITY)),
    encodeTlv(0x7f49, ...key),
    encodeTlv(0x5f20, utf8(HOLDER)),
  );
  return { cla: 0x00, ins: 0x46, p1: number, p2: 0x00, data, ne: ALL, long: true };
}

function curveFields({ curve }: Extract<MadeKeyType, { type: "ec" }>): readonly Uint8Array[] {
  const parameters = curveParameters(curve);
  if (!parameters) throw new UnsupportedError("EC keys of this card are made on P-256 and P-384");
  const [prime, a, b, base, order] = parameters;
  const numbers = [prime, a, b, base, order].map((hex, index) => encodeTlv(0x81 + index, fromHex(hex ?? "")));
  return [...numbers, encodeTlv(0x87, Uint8Array.of(0x01))];
}
