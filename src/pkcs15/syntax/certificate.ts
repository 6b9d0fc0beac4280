import { contextTag, type DerReader, TAG } from "../../asn1/index.ts";
import { type ObjectHead, readObject } from "./object.ts";
import { type ObjectValue, readValue } from "./path.ts";

/** A certificate of a CDF (ISO/IEC 7816-15 section 8.6). */
export interface CertificateEntry {
  readonly class: "certificate";
  readonly head: ObjectHead;
  readonly id: Uint8Array;
  /** A certification authority's. */
  readonly authority: boolean;
  /** "x509", or another kind, of which only the head is known. */
  readonly type: "x509" | "other";
  readonly value: ObjectValue | undefined;
}

export function readCertificate(reader: DerReader): CertificateEntry {
  const tag = reader.peek() ?? 0;
  const { head, classPart, typePart } = readObject(reader.enter(tag));
  const id = classPart.octetString();
  const authority = classPart.peek() === TAG.BOOLEAN && classPart.boolean();
  const type = tag === TAG.SEQUENCE ? "x509" : "other";
  return { class: "certificate", head, id, authority, type, value: type === "x509" ? readX509(typePart) : undefined };
}

const DIRECT = contextTag(0, "constructed");

/** X509CertificateAttributes; some writers leave its SEQUENCE out before a direct value. */
function readX509(typePart: DerReader): ObjectValue {
  return typePart.peek() === DIRECT ? readValue(typePart) : readValue(typePart.enter());
}
