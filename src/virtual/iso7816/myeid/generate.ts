import { encodeTlv, SW } from "../../../apdu/index.ts";
import { FILE_KEY_TYPES } from "../../keys/key-type.ts";
import { generateKey } from "../../keys/generate.ts";
import { encodePublicKey } from "../../keys/private-key.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import { requireAccess } from "../rights.ts";
import type { IsoContext } from "../make.ts";

/**
 * GENERATE ASYMMETRIC KEY PAIR in the current key file, of the type and size that the file was created with; the answer is the
 * public half (ISO/IEC 7816-8 section 5.2). The public exponent that MyEID's host sends is 65,537 here whatever it says.
 */
export async function generateAsymmetricKeyPair(context: IsoContext, command: CardCommand): Promise<Uint8Array> {
  const { p1, p2, ne } = command;
  const { file } = context.session;
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "key") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  requireAccess(context, file, "generate");
  const type = Object.values(FILE_KEY_TYPES).find((info) => info.type === file.type && info.bits === file.bits);
  if (!type) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  file.privateKey = await generateKey(type);
  context.contents.changes++;
  // MyEID's host wants no answer, and asks by GET DATA.
  return ne === undefined ? new Uint8Array() : encodeTlv(0x7f49, ...encodePublicKey(file.privateKey));
}
