import { randomBytes } from "node:crypto";
import { SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import type { IsoContext } from "./make.ts";

/** GET CHALLENGE: as many random bytes as are asked for (ISO/IEC 7816-4 section 11.5.3). */
export function getChallenge(_context: IsoContext, { p1, p2, ne = 8 }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  return randomBytes(Math.min(ne, 256));
}
