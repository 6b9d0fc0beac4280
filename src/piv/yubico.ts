/**
 * Commands that Yubico added to PIV, and that cards of other makers have taken over: GET METADATA (firmware 5.3 and later) and GET
 * SERIAL (firmware 5 and later). https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/apdu-list.html
 */
import { type CommandApdu, findTlv, readTlvs } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";

/** GET METADATA of a key, PIN or PUK. */
export function getMetadata(reference: number): CommandApdu {
  return { cla: 0x00, ins: 0xf7, p1: 0x00, p2: reference, ne: 65_536 };
}

/** Tag of a PIN's tries in its metadata: the maximum and those that are left, a byte each. */
const TRIES = 0x06;

/** A PIN's tries out of its metadata; nothing where they do not tell. */
export function readTries(metadata: Uint8Array): { readonly maximum?: number; readonly left?: number } {
  try {
    const [maximum, left] = findTlv(readTlvs(metadata, "metadata of the PIN"), TRIES) ?? [];
    return maximum !== undefined && left !== undefined && maximum > 0 && left <= maximum ? { maximum, left } : {};
  } catch (error) {
    if (error instanceof DataError) return {};
    throw error;
  }
}

/** GET SERIAL: the serial number of the device that the card application is on. */
export function getSerial(): CommandApdu {
  return { cla: 0x00, ins: 0xf8, p1: 0x00, p2: 0x00, ne: 256 };
}

/** The serial number as it is printed on the device, decimal; undefined for an answer that is none, or 0. */
export function readSerial(answer: Uint8Array): string | undefined {
  if (answer.length !== 4) return undefined;
  const serial = answer.reduce((value, byte) => value * 256 + byte, 0);
  return serial === 0 ? undefined : String(serial);
}
