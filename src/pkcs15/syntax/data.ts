import type { DerReader } from "../../asn1/index.ts";
import { contextTag, TAG } from "../../asn1/index.ts";
import { optionalOctets, optionalText } from "./fields.ts";
import { type ObjectHead, readObject } from "./object.ts";
import { type ObjectValue, readPath, readValue } from "./path.ts";

/** A data object of a DODF (ISO/IEC 7816-15 section 8.7). */
export interface DataEntry {
  readonly class: "data";
  readonly head: ObjectHead;
  readonly application: string;
  /** Dotted. */
  readonly objectId: string | undefined;
  readonly id: Uint8Array | undefined;
  readonly value: ObjectValue;
}

const OID_DO = contextTag(1, "constructed");

export function readData(reader: DerReader): DataEntry {
  const tag = reader.peek() ?? 0;
  const { head, classPart, typePart } = readObject(reader.enter(tag));
  const application = optionalText(classPart) ?? "";
  const objectId = classPart.peek() === TAG.OBJECT_IDENTIFIER ? classPart.oid() : undefined;
  const id = optionalOctets(classPart);
  if (tag !== OID_DO) return { class: "data", head, application, objectId, id, value: readOpaque(typePart) };
  const fields = typePart.enter();
  const own = fields.oid();
  return { class: "data", head, application, objectId: objectId ?? own, id, value: readValue(fields) };
}

/** The value itself, or a SEQUENCE around it: an inner one begins with the path's OCTET STRING. */
function readOpaque(typePart: DerReader): ObjectValue {
  if (typePart.peek() !== TAG.SEQUENCE) return readValue(typePart);
  const fields = typePart.enter();
  return fields.peek() === TAG.OCTET_STRING ? { kind: "file", file: readPath(fields) } : readValue(fields);
}
