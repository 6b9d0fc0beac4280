import { encodeTlv, SW } from "../../apdu/index.ts";
import { equalBytes, fromHex, startsWith } from "../../bytes/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import type { PivContext } from "./context.ts";
import { newSession } from "./session.ts";
import { MANAGEMENT_AID, managementGreeting } from "./yubico-management.ts";

/** RID of NIST, PIX 00 00 10 00, version 01 00 (SP 800-73-4 part 1 section 2.2). */
export const PIV_AID = fromHex("a000000308 0000 1000 0100");
const RID_LENGTH = 5;
const BY_NAME = 0x04;

/**
 * SELECT (SP 800-73-4 part 2 section 3.1.1). The name may be cut off on the right, down to the RID, as ISO/IEC 7816-4 section
 * 8.2.1.2 has it. Selecting an application that is not here changes nothing.
 */
export function select({ session, contents }: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== BY_NAME || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (contents.traits.yubico && equalBytes(data, MANAGEMENT_AID)) {
    // A YubiKey forgets what PIV has verified when another application is selected.
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
