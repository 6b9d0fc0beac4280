import type { AccessRules } from "../iso7816/access.ts";
import type { TransparentFile } from "../iso7816/file.ts";
import { encodeAccess } from "../iso7816/myeid/access.ts";
import { PIN } from "./layout.ts";

/** Everybody reads; whoever knows the PIN manages the card. */
export const MANAGED: AccessRules = {
  use: "always",
  update: PIN.AUTHENTICATION,
  delete: PIN.AUTHENTICATION,
  generate: "never",
};

export function transparent(id: number, contents: Uint8Array, access = MANAGED): TransparentFile {
  return { kind: "transparent", id, security: encodeAccess(access), contents };
}
