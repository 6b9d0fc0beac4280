import { DerReader } from "../../asn1/index.ts";
import { readTlvs, findTlv } from "../../apdu/index.ts";
import { DataError, equalBytes, fromHex, startsWith } from "../../bytes/index.ts";
import { readText } from "./fields.ts";
import { type FileReference, optionalPath, readPath } from "./path.ts";
import { readElements } from "./directory.ts";

/** An application listed in EF.DIR (ISO/IEC 7816-15 section 8.1; ISO/IEC 7816-4 section 12.2). */
export interface ApplicationTemplate {
  readonly aid: Uint8Array;
  readonly label: string;
  /** Of its DF, from the master file; empty if only the AID leads there. */
  readonly path: Uint8Array;
  /** The place of its ODF, if it does not have the standard's identifier. */
  readonly odf: FileReference | undefined;
  readonly tokenInfo: FileReference | undefined;
  readonly unusedSpace: FileReference | undefined;
}

/** A0 00 00 00 63 "PKCS-15" (PKCS #15 v1.1 section 5.4); E8 28 BD 08 0F is that of ISO/IEC 7816-15. */
export const PKCS15_AID = fromHex("a000000063504b43532d3135");
const ISO_7816_15_AID = fromHex("e828bd080f");

const TEMPLATE = 0x61;
const AID = 0x4f;
const LABEL = 0x50;
const PATH = 0x51;
const DISCRETIONARY = 0x73;
const TOKEN_INFO = 0xa0;
const UNUSED_SPACE = 0xa1;

/**
 * The applications of this standard in the contents of EF.DIR, or of its joined records.
 * @param report Called for malformed entries, with their position.
 */
export function readEfDir(
  bytes: Uint8Array,
  report: (offset: number, problem: string) => void = (): void => undefined,
): ApplicationTemplate[] {
  const { elements, broken } = readElements(bytes, "EF.DIR");
  for (const { offset, reason } of broken) report(offset, reason);
  return elements.flatMap(({ der, offset }) => {
    try {
      const template = readTemplate(der);
      return template && isCryptographic(template) ? [template] : [];
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      report(offset, error.message);
      return [];
    }
  });
}

/** Belgium's identity cards have a registered identifier of their own before "PKCS-15". */
function isCryptographic({ aid, odf }: ApplicationTemplate): boolean {
  return (
    startsWith(aid, ISO_7816_15_AID) || equalBytes(aid.subarray(5, 12), PKCS15_AID.subarray(5)) || odf !== undefined
  );
}

function readTemplate(der: Uint8Array): ApplicationTemplate | undefined {
  const [template] = readTlvs(der, "EF.DIR");
  if (template?.tag !== TEMPLATE) return undefined;
  const fields = readTlvs(template.value, "EF.DIR");
  const label = findTlv(fields, LABEL);
  const discretionary = findTlv(fields, DISCRETIONARY);
  return {
    aid: findTlv(fields, AID) ?? new Uint8Array(),
    label: label ? readText({ tag: LABEL, encoding: label, contents: label }) : "",
    path: findTlv(fields, PATH) ?? new Uint8Array(),
    ...readPlaces(discretionary),
  };
}

function readPlaces(discretionary?: Uint8Array): Pick<ApplicationTemplate, "odf" | "tokenInfo" | "unusedSpace"> {
  if (!discretionary) return { odf: undefined, tokenInfo: undefined, unusedSpace: undefined };
  const reader = new DerReader(discretionary, "EF.DIR");
  if (reader.peek() === 0x06) reader.next();
  const odf = optionalPath(reader);
  const tokenInfo = reader.peek() === TOKEN_INFO ? readPath(reader.enter(TOKEN_INFO)) : undefined;
  const unusedSpace = reader.peek() === UNUSED_SPACE ? readPath(reader.enter(UNUSED_SPACE)) : undefined;
  return { odf, tokenInfo, unusedSpace };
}
