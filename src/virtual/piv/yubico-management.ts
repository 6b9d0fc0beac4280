import { encodeTlv, SW } from "../../apdu/index.ts";
import { concat, fromHex, utf8 } from "../../bytes/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import type { PivContext } from "./context.ts";
import { FIRMWARE, getSerial } from "./yubico.ts";

/** The management application of a YubiKey, by which its programs know the device. */
export const MANAGEMENT_AID = /* @__PURE__ */ fromHex("a000000527471117");

/** Its one command here: READ CONFIG, device information. */
export const READ_CONFIG = 0x1d;

/** Capabilities of a device, of which this one has PIV (yubikey-manager, yubikit/management.py, CAPABILITY). */
const PIV = Uint8Array.of(0x00, 0x10);
const FORM_FACTOR_UNKNOWN = 0x00;

/** What SELECT answers: text with the version of the firmware. */
export function managementGreeting(): Uint8Array {
  return utf8(`Virtual mgr - FW version ${FIRMWARE.join(".")}`);
}

/** Device information: a length byte, and a TLV for each property (the same file, DeviceInfo). */
export function readConfig(context: PivContext, { p1, p2 }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const properties = concat(
    // Over USB and NFC: supported and enabled.
    ...[0x01, 0x03, 0x0d, 0x0e].map((tag) => encodeTlv(tag, PIV)),
    encodeTlv(0x02, getSerial(context)),
    encodeTlv(0x04, Uint8Array.of(FORM_FACTOR_UNKNOWN)),
    encodeTlv(0x05, FIRMWARE),
    // No lock on the configuration.
    encodeTlv(0x0a, Uint8Array.of(0x00)),
  );
  return concat(Uint8Array.of(properties.length), properties);
}
