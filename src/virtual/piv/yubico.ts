import { encodeTlv, SW } from "../../apdu/index.ts";
import { equalBytes, fromHex } from "../../bytes/index.ts";
import { describeKey, encodePublicKey } from "../keys/private-key.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import type { PivContext } from "./context.ts";
import { algorithmOf } from "./algorithm.ts";
import { MANAGEMENT_ALGORITHMS, WELL_KNOWN_KEY } from "./management-key.ts";
import type { ReferenceData } from "../reference-data.ts";
import { MANAGEMENT_KEY, type PinPolicy, type TouchPolicy } from "./slot.ts";

/** The firmware whose PIV commands this card follows: the first with RSA-3072 and RSA-4096. */
export const FIRMWARE = Uint8Array.of(5, 7, 1);

/** Yubico's numbers for the policies. */
export const POLICY: Readonly<Record<PinPolicy, number>> = { never: 1, once: 2, always: 3 };
const ORIGIN = { generated: 1, imported: 2 } as const;
export const TOUCH: Readonly<Record<TouchPolicy, number>> = { never: 1, always: 2, cached: 3 };

/** GET VERSION of Yubico: three bytes. */
export function getVersion(): Uint8Array {
  return FIRMWARE;
}

/** GET SERIAL of Yubico: four bytes. */
export function getSerial({ contents }: PivContext): Uint8Array {
  if (contents.deviations.has("no-device-serial")) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
  const { serial } = contents.traits;
  return Uint8Array.of(serial >>> 24, serial >>> 16, serial >>> 8, serial);
}

/** GET METADATA of Yubico: what is to be known of the key or PIN that P2 names (ykpiv.h, YKPIV_METADATA). */
export function getMetadata({ contents }: PivContext, { p1, p2 }: CardCommand): Uint8Array {
  if (contents.deviations.has("no-metadata")) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (p2 === 0x80) return referenceMetadata(contents.pin, "313233343536ffff");
  if (p2 === 0x81) return referenceMetadata(contents.puk, "3132333435363738");
  if (p2 === MANAGEMENT_KEY) {
    const { algorithm, value } = contents.managementKey;
    return Buffer.concat([
      encodeTlv(0x01, Uint8Array.of(MANAGEMENT_ALGORITHMS[algorithm].algorithm)),
      encodeTlv(0x02, Uint8Array.of(0, TOUCH.never)),
      encodeTlv(0x05, flag(equalBytes(value, WELL_KNOWN_KEY))),
    ]);
  }
  const key = contents.keys.get(p2);
  if (key === undefined) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  return Buffer.concat([
    encodeTlv(0x01, Uint8Array.of(algorithmOf(describeKey(key.privateKey)) ?? 0)),
    encodeTlv(0x02, Uint8Array.of(POLICY[key.pinPolicy], TOUCH[key.touchPolicy])),
    encodeTlv(0x03, Uint8Array.of(ORIGIN[key.origin])),
    encodeTlv(0x04, ...encodePublicKey(key.privateKey)),
  ]);
}

/** Whether it is still the value that the factory set, and its tries: at most, and left. */
function referenceMetadata(reference: ReferenceData, factory: string): Uint8Array {
  return Buffer.concat([
    encodeTlv(0x01, Uint8Array.of(0xff)),
    encodeTlv(0x05, flag(equalBytes(reference.value, fromHex(factory)))),
    encodeTlv(0x06, Uint8Array.of(reference.maxTries, reference.tries)),
  ]);
}

const flag = (value: boolean): Uint8Array => Uint8Array.of(value ? 1 : 0);
