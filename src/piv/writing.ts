import { encodeTlv } from "../apdu/index.ts";
import { concat, equalBytes } from "../bytes/index.ts";
import {
  type CardCertificate,
  type CardData,
  type CardObject,
  type CardObjectChanges,
  type NewCardObject,
  UnsupportedError,
} from "../card/index.ts";
import { type DataObject, isWritable, type SlotObjects } from "./objects.ts";

/** A write to a card: always a whole data object, because PIV cannot write parts. */
export interface Writing {
  readonly tag: number;
  /** The value of tag 53; empty deletes the object. */
  readonly content: Uint8Array;
  readonly object: CardCertificate | CardData;
}

const NOTHING = new Uint8Array();

/**
 * Plans a new object: a certificate goes to the key that its CKA_ID names, data to the container that its CKA_OBJECT_ID
 * or label names. It replaces an existing object. The label is the container's, not the requested one.
 * @throws {UnsupportedError} if PIV has no container for it.
 */
export function newWriting(object: NewCardObject, slots: readonly SlotObjects[], data: readonly DataObject[]): Writing {
  if (object.class === "certificate") {
    const place = slots.find(({ certificate }) => equalBytes(certificate.id, object.id));
    if (!place || object.private) {
      throw new UnsupportedError(
        "a PIV card has public certificates of CKA_ID 01 to 18: for 9A, 9C, 9D, 9E and 82 to 95",
      );
    }
    const { slot, certificate } = place;
    return { tag: slot.certificate, content: encodeCertificate(object.value), object: certificate };
  }
  if (object.class === "data") {
    const place = data.find(
      ({ container }) =>
        object.objectId === container.objectId || (object.objectId === undefined && object.label === container.name),
    );
    if (!place) throw new UnsupportedError("PIV has no such data object; give its CKA_OBJECT_ID");
    if (object.private !== place.container.pin) {
      const { name, pin } = place.container;
      const advice = pin ? "CKA_PRIVATE is true for it (import --private)" : "CKA_PRIVATE is false for it";
      throw new UnsupportedError(`${name} is ${pin ? "private" : "public"} on a PIV card: ${advice}`);
    }
    return { ...requireWritable(place), content: object.value };
  }
  throw new UnsupportedError(
    "a PIV card takes certificates, data objects and private keys; it shows the public half of a key itself",
  );
}

/**
 * Plans the change of an object's attributes.
 * @throws {UnsupportedError} for a label or CKA_ID, which are fixed.
 */
export function changedWriting(
  object: CardObject,
  { label, id, value }: CardObjectChanges,
  slots: readonly SlotObjects[],
  data: readonly DataObject[],
): Writing {
  if ((label !== undefined && label !== object.label) || (id !== undefined && !equalBytes(id, object.id))) {
    throw new UnsupportedError("labels and CKA_IDs on a PIV card are fixed");
  }
  const writing = placeOf(object, slots, data);
  if (value === undefined) throw new UnsupportedError("only the value of this object can be changed");
  return { ...writing, content: object.class === "certificate" ? encodeCertificate(value) : value };
}

/** @throws {UnsupportedError} for keys, which no PIV command deletes. */
export function placeOf(object: CardObject, slots: readonly SlotObjects[], data: readonly DataObject[]): Writing {
  const place = slots.find(({ certificate }) => certificate === object);
  if (place) return { tag: place.slot.certificate, content: NOTHING, object: place.certificate };
  const found = data.find((one) => one.object === object);
  if (found) return { ...requireWritable(found), content: NOTHING };
  throw new UnsupportedError("PIV cannot delete keys; generating a key replaces the old one");
}

function requireWritable({ container, object }: DataObject): Pick<Writing, "tag" | "object"> {
  if (!isWritable(container))
    throw new UnsupportedError(`the ${container.name} describes the card and cannot be written or deleted`);
  return { tag: container.tag, object };
}

/**
 * Encodes a certificate data object: 70 the certificate, 71 CertInfo, not compressed, FE no error detection code (SP
 * 800-73-4 part 1 table 10).
 */
function encodeCertificate(der: Uint8Array): Uint8Array {
  return concat(encodeTlv(0x70, der), encodeTlv(0x71, Uint8Array.of(0)), encodeTlv(0xfe));
}
