import { SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { AccessRules } from "./access.ts";
import type { CardFile } from "./file.ts";
import type { IsoContext } from "./make.ts";

/** @throws {Refusal} 6982 unless the file's rules allow it now. */
export function requireAccess({ make, session }: IsoContext, file: CardFile, action: keyof AccessRules): void {
  const access = make.rules(file)[action];
  if (access === "always" || (access !== "never" && session.verified.has(access))) return;
  throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}
