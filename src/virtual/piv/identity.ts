import { encodeTlv, findTlv, readTlvs } from "../../apdu/index.ts";
import { concat, DataError, fromHex, utf8 } from "../../bytes/index.ts";
import { PIV_AID } from "./select.ts";

/** Ends a container: an error detection code that is not used (SP 800-73-4 part 1 appendix A). */
const ERROR_DETECTION = encodeTlv(0xfe);

/** Which PINs open the card, and which is asked for first (SP 800-73-4 part 1 section 3.3.2). */
export type PinUsage = "application" | "application-then-global" | "global-then-application";

const PIN_USAGE: Readonly<Record<PinUsage, string>> = {
  application: "4000",
  "application-then-global": "6010",
  "global-then-application": "6020",
};

/** Content of the discovery object, which is read without the outer 7E here. */
export function discovery(usage: PinUsage): Uint8Array {
  return concat(encodeTlv(0x4f, PIV_AID), encodeTlv(0x5f2f, fromHex(PIN_USAGE[usage])));
}

/** What a discovery object says of the PINs; where there is none, or a broken one, the application's counts alone. */
export function pinUsageOf(content: Uint8Array | undefined): PinUsage {
  const [first = 0, second] = (content && policyOf(content)) ?? [];
  if ((first & 0x20) === 0) return "application";
  return second === 0x20 ? "global-then-application" : "application-then-global";
}

function policyOf(content: Uint8Array): Uint8Array | undefined {
  try {
    return findTlv(readTlvs(content, "discovery object"), 0x5f2f);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Content of the Card Holder Unique Identifier, without a signature (SP 800-73-4 part 1 section 3.1.2). */
export function chuid(fascn: Uint8Array, guid: Uint8Array, expires: Date): Uint8Array {
  return concat(
    encodeTlv(0x30, fascn),
    encodeTlv(0x34, guid),
    encodeTlv(0x35, utf8(expires.toISOString().slice(0, 10).replaceAll("-", ""))),
    encodeTlv(0x3e),
    ERROR_DETECTION,
  );
}

/** Content of the Card Capability Container, for a card of the PIV data model (SP 800-73-4 part 1 section 3.1.1). */
export function capabilityContainer(guid: Uint8Array): Uint8Array {
  const identifier = concat(fromHex("a000000079 0302"), guid.subarray(0, 14));
  return concat(
    encodeTlv(0xf0, identifier),
    encodeTlv(0xf1, Uint8Array.of(0x21)),
    encodeTlv(0xf2, Uint8Array.of(0x21)),
    encodeTlv(0xf3),
    encodeTlv(0xf4, Uint8Array.of(0x00)),
    encodeTlv(0xf5, Uint8Array.of(0x10)),
    ...[0xf6, 0xf7, 0xfa, 0xfb, 0xfc, 0xfd].map((tag) => encodeTlv(tag)),
    ERROR_DETECTION,
  );
}

/** Content of the printed information (SP 800-73-4 part 1 table 16). */
export function printedInformation(name: string, expires: Date): Uint8Array {
  const [, month = "", day = "", year = ""] = /^\w+, (\d+) (\w+) (\d+)/u.exec(expires.toUTCString()) ?? [];
  return concat(
    encodeTlv(0x01, utf8(name)),
    encodeTlv(0x02, utf8("Test")),
    encodeTlv(0x04, utf8(`${year}${day.toUpperCase()}${month}`)),
    encodeTlv(0x05, utf8("0000000001")),
    encodeTlv(0x06, utf8("VIRTUAL")),
    ERROR_DETECTION,
  );
}

/** Content of the key history: how many retired keys have their certificate on the card (SP 800-73-4 part 1 section 3.3.3). */
export function keyHistory(onCard: number): Uint8Array {
  return concat(
    encodeTlv(0xc1, Uint8Array.of(onCard)),
    encodeTlv(0xc2, Uint8Array.of(0)),
    encodeTlv(0xf3),
    ERROR_DETECTION,
  );
}

/** Content of a certificate object: the certificate, and whether it is compressed with gzip (SP 800-73-4 part 1 appendix A). */
export function certificateObject(certificate: Uint8Array, compressed: boolean): Uint8Array {
  return concat(encodeTlv(0x70, certificate), encodeTlv(0x71, Uint8Array.of(compressed ? 1 : 0)), ERROR_DETECTION);
}
