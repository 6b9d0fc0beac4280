import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { concat, equalBytes, fromHex, startsWith, utf8 } from "../../bytes/index.ts";
import { type ReferenceData, Refusal } from "../card.ts";
import { describeKey, encodePublicKey, generateKey, isOnCurve25519 } from "../keys.ts";
import type { CardCommand } from "../transport.ts";
import type { PivDeviation } from "./deviations.ts";
import {
  algorithmOf,
  isRetired,
  isSlot,
  isStandardTag,
  keyTypeOf,
  MANAGEMENT_ALGORITHMS,
  MANAGEMENT_KEY,
  MAX_OBJECT,
  needsPin,
  newSession,
  onlyByte,
  outerTag,
  type PinPolicy,
  type PivContext,
  readPolicies,
  requireAdministrator,
  requirePin,
  TAG,
  type TouchPolicy,
  WELL_KNOWN_KEY,
} from "./model.ts";

/** The firmware that this card imitates: the first with RSA-3072 and RSA-4096. */
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

/** GET METADATA of Yubico: information on the key or PIN in P2 (ykpiv.h, YKPIV_METADATA). */
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

/** Whether it still has the factory value, and its tries: at most, and left. */
function referenceMetadata(reference: ReferenceData, factory: string): Uint8Array {
  return Buffer.concat([
    encodeTlv(0x01, Uint8Array.of(0xff)),
    encodeTlv(0x05, flag(equalBytes(reference.value, fromHex(factory)))),
    encodeTlv(0x06, Uint8Array.of(reference.maxTries, reference.tries)),
  ]);
}

const flag = (value: boolean): Uint8Array => Uint8Array.of(value ? 1 : 0);

/** The management application of a YubiKey, by which its programs recognise the device. */
const MANAGEMENT_AID = /* @__PURE__ */ fromHex("a000000527471117");

/** Its only command here: READ CONFIG, device information. */
export const READ_CONFIG = 0x1d;

/** Capabilities of a device; this one has PIV (yubikey-manager, yubikit/management.py, CAPABILITY). */
const PIV = Uint8Array.of(0x00, 0x10);
const FORM_FACTOR_UNKNOWN = 0x00;

/** SELECT's answer: text with the version of the firmware. */
function managementGreeting(): Uint8Array {
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
    // The configuration is not locked.
    encodeTlv(0x0a, Uint8Array.of(0x00)),
  );
  return concat(Uint8Array.of(properties.length), properties);
}

/** RID of NIST, PIX 00 00 10 00, version 01 00 (SP 800-73-4 part 1 section 2.2). */
export const PIV_AID = fromHex("a000000308 0000 1000 0100");
const RID_LENGTH = 5;
const BY_NAME = 0x04;

/**
 * SELECT (SP 800-73-4 part 2 section 3.1.1). The name may be truncated down to the RID (ISO/IEC 7816-4 section
 * 8.2.1.2). Selecting an unknown application changes nothing.
 */
export function select({ session, contents }: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== BY_NAME || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (contents.traits.yubico && equalBytes(data, MANAGEMENT_AID)) {
    // A YubiKey forgets PIV's verified PINs when another application is selected.
    Object.assign(session, newSession(false), { managementSelected: true });
    return managementGreeting();
  }
  if (data.length < RID_LENGTH || !startsWith(PIV_AID, data)) throw new Refusal(SW.FILE_NOT_FOUND);
  session.selected = true;
  session.managementSelected = false;
  return propertyTemplate();
}

/** The application property template (SP 800-73-4 part 2 table 3). */
function propertyTemplate(): Uint8Array {
  return encodeTlv(
    0x61,
    encodeTlv(0x4f, PIV_AID.subarray(RID_LENGTH)),
    encodeTlv(0x79, encodeTlv(0x4f, PIV_AID.subarray(0, RID_LENGTH))),
  );
}

/** GET DATA (SP 800-73-4 part 2 section 3.1.2). */
export function getData(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0x3f || p2 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  const tag = readTagList(findTlv(readTlvs(data, "GET DATA"), 0x5c));
  if (needsPin(tag)) requirePin(context);
  const content = context.contents.objects.get(tag);
  if (content === undefined || isMissing(context, tag)) throw new Refusal(SW.FILE_NOT_FOUND);
  return encodeTlv(outerTag(tag), content);
}

/** The deviations of a card without one of the standard's objects. */
export const MISSING_OBJECTS: ReadonlyMap<number, PivDeviation> = new Map([
  [TAG.KEY_HISTORY, "no-key-history"],
  [TAG.DISCOVERY, "no-discovery-object"],
  [TAG.CHUID, "no-chuid"],
]);

/** Whether this card lacks the object. */
function isMissing({ contents }: PivContext, tag: number): boolean {
  const deviation = MISSING_OBJECTS.get(tag);
  return deviation !== undefined && contents.deviations.has(deviation);
}

/** The one tag of 1 to 3 bytes in the content of a tag list (5C). */
function readTagList(list: Uint8Array | undefined): number {
  if (list === undefined || list.length === 0 || list.length > 3) throw new Refusal(SW.WRONG_DATA);
  return list.reduce((tag, byte) => (tag << 8) | byte, 0);
}

/**
 * PUT DATA (SP 800-73-4 part 2 section 3.3.1): a tag list and the new content in 53, or one of the two objects with a
 * tag of their own. Empty content deletes the object.
 */
export function putData(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0x3f || p2 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  requireAdministrator(context);
  const { objects, traits } = context.contents;
  const { tag, content } = readObject(data);
  const vendor = traits.yubico && tag >> 16 === 0x5f && tag >> 8 !== 0x5fc1;
  if (!isStandardTag(tag) && !vendor) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  if (isMissing(context, tag)) throw new Refusal(SW.FILE_NOT_FOUND);
  if (content.length > MAX_OBJECT) throw new Refusal(SW.NOT_ENOUGH_MEMORY);
  if (content.length === 0) objects.delete(tag);
  else objects.set(tag, content.slice());
  return new Uint8Array();
}

function readObject(data: Uint8Array): { tag: number; content: Uint8Array } {
  const [first, second, ...more] = readTlvs(data, "PUT DATA");
  if (first === undefined || more.length > 0) throw new Refusal(SW.WRONG_DATA);
  if (first.tag === TAG.DISCOVERY || first.tag === TAG.BIOMETRIC_TEMPLATES) {
    if (second !== undefined) throw new Refusal(SW.WRONG_DATA);
    return { tag: first.tag, content: first.value };
  }
  const tag = readTagList(first.tag === 0x5c ? first.value : undefined);
  if (second?.tag !== outerTag(tag)) throw new Refusal(SW.WRONG_DATA);
  return { tag, content: second.value };
}

/** GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2 section 3.3.2): P2 is the key; the answer is its public half. */
export async function generateAsymmetricKeyPair(context: PivContext, command: CardCommand): Promise<Uint8Array> {
  const { p1, p2: slot, data } = command;
  const { traits, keys } = context.contents;
  // The standard generates keys in the four slots only; Yubico's cards also in retired ones.
  if (p1 !== 0 || !isSlot(slot) || (isRetired(slot) && !traits.yubico)) throw new Refusal(SW.INCORRECT_P1_P2);
  requireAdministrator(context);
  const template = readTlvs(findTlv(readTlvs(data), 0xac) ?? new Uint8Array(), "control reference template");
  const info = keyTypeOf(onlyByte(findTlv(template, 0x80)) ?? 0);
  if (info === undefined || (isOnCurve25519(info) && !traits.yubico)) throw new Refusal(SW.WRONG_DATA);
  // Without Yubico's commands the standard determines the policies.
  const policies = readPolicies(traits.yubico ? template : [], slot);
  const privateKey = await generateKey(info);
  keys.set(slot, { ...policies, privateKey, origin: "generated" });
  return encodeTlv(0x7f49, ...encodePublicKey(privateKey));
}
