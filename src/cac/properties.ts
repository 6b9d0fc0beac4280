import { DataError } from "../bytes/index.ts";
import { findSimpleTlv, readSimpleTlvs } from "./simple-tlv.ts";

/** Tags of the answer to GET PROPERTIES (GSC-IS 2.1 table 5-13). */
const TAG = { BUFFERS: 0x50, PKI: 0x51, OBJECT: 0x41, BUFFER_PROPERTIES: 0x42, PKI_PROPERTIES: 0x43 } as const;

/** More than any applet has. */
const MAX_OBJECTS = 64;

/** What an applet tells of one of its objects. */
export interface ObjectProperties {
  /** Two bytes. */
  readonly id: Uint8Array;
  /** The tag buffer holds SIMPLE-TLV tags and lengths; otherwise both buffers are of a form that no standard tells. */
  readonly simpleTlv: boolean;
  /** There is a private key in it. */
  readonly hasPrivateKey: boolean;
}

/**
 * Reads the answer to GET PROPERTIES. Objects that it does not describe as it should are left out.
 * @throws {DataError} if it is no SIMPLE-TLV.
 */
export function readProperties(answer: Uint8Array): readonly ObjectProperties[] {
  const found: ObjectProperties[] = [];
  for (const { tag, value } of readSimpleTlvs(answer, "GET PROPERTIES")) {
    if (tag !== TAG.BUFFERS && tag !== TAG.PKI) continue;
    const object = readObject(value);
    if (object && found.length < MAX_OBJECTS) found.push(object);
  }
  return found;
}

function readObject(value: Uint8Array): ObjectProperties | undefined {
  let properties;
  try {
    properties = readSimpleTlvs(value, "GET PROPERTIES");
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
  const id = findSimpleTlv(properties, TAG.OBJECT);
  const buffers = findSimpleTlv(properties, TAG.BUFFER_PROPERTIES);
  if (id?.length !== 2 || buffers?.length !== 5) return undefined;
  // Algorithm, length of the key in 8 bytes, private key initialised, public key initialised.
  const key = findSimpleTlv(properties, TAG.PKI_PROPERTIES);
  return { id, simpleTlv: buffers[0] === 0x00, hasPrivateKey: key?.length === 4 && key[2] !== 0x00 };
}
