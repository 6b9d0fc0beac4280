import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import { generateKey } from "../keys/generate.ts";
import { isOnCurve25519 } from "../keys/key-type.ts";
import { encodePublicKey } from "../keys/private-key.ts";
import { keyTypeOf } from "./algorithm.ts";
import { type PivContext, requireAdministrator } from "./context.ts";
import { onlyByte, readPolicies } from "./key-policies.ts";
import { isRetired, isSlot } from "./slot.ts";

/** GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2 section 3.3.2): P2 is the key, the answer its public half. */
export async function generateAsymmetricKeyPair(context: PivContext, command: CardCommand): Promise<Uint8Array> {
  const { p1, p2: slot, data } = command;
  const { traits, keys } = context.contents;
  // The standard makes keys for the four slots only; Yubico's cards also for retired ones.
  if (p1 !== 0 || !isSlot(slot) || (isRetired(slot) && !traits.yubico)) throw new Refusal(SW.INCORRECT_P1_P2);
  requireAdministrator(context);
  const template = readTlvs(findTlv(readTlvs(data), 0xac) ?? new Uint8Array(), "control reference template");
  const info = keyTypeOf(onlyByte(findTlv(template, 0x80)) ?? 0);
  if (info === undefined || (isOnCurve25519(info) && !traits.yubico)) throw new Refusal(SW.WRONG_DATA);
  // Without Yubico's commands the standard alone says what the key wants.
  const policies = readPolicies(traits.yubico ? template : [], slot);
  const privateKey = await generateKey(info);
  keys.set(slot, { ...policies, privateKey, origin: "generated" });
  return encodeTlv(0x7f49, ...encodePublicKey(privateKey));
}
