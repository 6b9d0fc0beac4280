import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import { generateKey } from "../keys/generate.ts";
import { isOnCurve25519 } from "../keys/key-type.ts";
import { encodePublicKey } from "../keys/private-key.ts";
import { keyTypeOf } from "./algorithm.ts";
import { type PivContext, requireAdministrator } from "./context.ts";
import { isRetired, isSlot, type PinPolicy, standardPinPolicy, type TouchPolicy } from "./slot.ts";

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
  const pinPolicy = traits.yubico ? readPinPolicy(findTlv(template, 0xaa), slot) : standardPinPolicy(slot);
  const touchPolicy = traits.yubico ? readTouchPolicy(findTlv(template, 0xab)) : "never";
  const privateKey = await generateKey(info);
  keys.set(slot, { privateKey, pinPolicy, touchPolicy, origin: "generated" });
  return encodeTlv(0x7f49, ...encodePublicKey(privateKey));
}

const onlyByte = (value: Uint8Array | undefined): number | undefined => (value?.length === 1 ? value[0] : undefined);

/** Yubico's PIN policy: 0 as the slot has it, 1 never, 2 once, 3 always. */
function readPinPolicy(value: Uint8Array | undefined, slot: number): PinPolicy {
  const policies: readonly PinPolicy[] = [standardPinPolicy(slot), "never", "once", "always"];
  const policy = policies[value === undefined ? 0 : (onlyByte(value) ?? -1)];
  if (policy === undefined) throw new Refusal(SW.WRONG_DATA);
  return policy;
}

/** Yubico's touch policy: 0 and 1 never, 2 always, 3 cached. */
function readTouchPolicy(value: Uint8Array | undefined): TouchPolicy {
  const policies: readonly TouchPolicy[] = ["never", "never", "always", "cached"];
  const policy = policies[value === undefined ? 0 : (onlyByte(value) ?? -1)];
  if (policy === undefined) throw new Refusal(SW.WRONG_DATA);
  return policy;
}
