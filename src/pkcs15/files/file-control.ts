import { findTlv, readTlvs } from "../../apdu/index.ts";
import { DataError } from "../../bytes/index.ts";

/** What SELECT tells of a file, as far as it does (ISO/IEC 7816-4 section 7.4.3, table 10). */
export interface FileControl {
  /** Bytes that may be read. */
  readonly size: number | undefined;
  readonly structure: "transparent" | "records" | "df" | undefined;
  /** How many, of a file of records. */
  readonly records: number | undefined;
  /** All records are of this many bytes. */
  readonly recordSize: number | undefined;
  /** Access rules in the card's own coding, tag and value: 86 proprietary, 8B by reference, 8C compact, AB expanded. */
  readonly security: readonly { readonly tag: number; readonly value: Uint8Array }[];
}

/** Of a file of which the card tells nothing. */
export const NOTHING_TOLD: FileControl = {
  size: undefined,
  structure: undefined,
  records: undefined,
  recordSize: undefined,
  security: [],
};
const TEMPLATES: ReadonlySet<number> = new Set([0x62, 0x64, 0x6f]);
const FCP_IN_FCI = 0x62;
const TAG = { DATA_BYTES: 0x80, ALL_BYTES: 0x81, DESCRIPTOR: 0x82 } as const;
const SECURITY: ReadonlySet<number> = new Set([0x86, 0x8b, 0x8c, 0xab]);

/** Reads FCP, or FCI with or without FCP in it. What is none of them tells nothing: no file is given up for it. */
export function readFileControl(data: Uint8Array): FileControl {
  try {
    return read(data);
  } catch (error) {
    if (error instanceof DataError) return NOTHING_TOLD;
    throw error;
  }
}

function read(data: Uint8Array): FileControl {
  const outer = readTlvs(data, "file control information").find(({ tag }) => TEMPLATES.has(tag));
  if (!outer) return NOTHING_TOLD;
  const fields = readTlvs(outer.value, "file control information");
  const inner = findTlv(fields, FCP_IN_FCI);
  const all = inner ? readTlvs(inner, "file control parameters") : fields;
  const size = number(findTlv(all, TAG.DATA_BYTES)) ?? number(findTlv(all, TAG.ALL_BYTES));
  const descriptor = findTlv(all, TAG.DESCRIPTOR) ?? new Uint8Array();
  return {
    size,
    ...readDescriptor(descriptor),
    security: all.filter(({ tag }) => SECURITY.has(tag)),
  };
}

function number(bytes: Uint8Array | undefined): number | undefined {
  if (!bytes || bytes.length === 0 || bytes.length > 4) return undefined;
  return bytes.reduce((value, octet) => value * 256 + octet, 0);
}

/** Structures whose records are all of one size: linear fixed, cyclic, each with or without TLV in it (section 7.4.5, table 12). */
const FIXED: ReadonlySet<number> = new Set([2, 3, 6, 7]);

/** File descriptor byte, data coding byte, maximum record size, number of records (section 7.4.5). */
function readDescriptor(descriptor: Uint8Array): Pick<FileControl, "structure" | "records" | "recordSize"> {
  const none = { records: undefined, recordSize: undefined };
  const [first] = descriptor;
  if (first === undefined) return { structure: undefined, ...none };
  if ((first & 0x38) === 0x38) return { structure: "df", ...none };
  const structure = first & 0x07;
  if (structure <= 1) return { structure: "transparent", ...none };
  // A size of one byte stands alone.
  const recordSize = FIXED.has(structure) ? number(descriptor.subarray(2, 4)) : undefined;
  return { structure: "records", records: number(descriptor.subarray(4)), recordSize };
}
