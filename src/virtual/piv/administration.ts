import { ReferenceData, Refusal } from "../card.ts";
import { SW } from "../../apdu/index.ts";
import { fromHex } from "../../bytes/index.ts";
import type { CardCommand } from "../transport.ts";
import { ATTESTATION_CERTIFICATE } from "./attestation.ts";
import { discovery } from "./identity.ts";
import {
  isSlot,
  MANAGEMENT_ALGORITHMS,
  MANAGEMENT_KEY,
  type ManagementAlgorithm,
  newSession,
  type PivContext,
  requireAdministrator,
  requirePin,
  TAG,
  WELL_KNOWN_KEY,
} from "./model.ts";

const DONE = /* @__PURE__ */ new Uint8Array();

/** What the factory sets, and a reset: PIN 123456 and PUK 12345678. */
const FACTORY = { pin: "313233343536ffff", puk: "3132333435363738", tries: 3 } as const;

/** SET MANAGEMENT KEY of Yubico: algorithm, 9B, length and the key. P2 FE would want a touch for each use. */
export function setManagementKey(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0xff || (p2 !== 0xff && p2 !== 0xfe)) throw new Refusal(SW.INCORRECT_P1_P2);
  requireAdministrator(context);
  const [number, reference, length] = data;
  const value = data.slice(3);
  const names = Object.keys(MANAGEMENT_ALGORITHMS) as ManagementAlgorithm[];
  const algorithm = names.find((name) => MANAGEMENT_ALGORITHMS[name].algorithm === number);
  if (algorithm === undefined || reference !== MANAGEMENT_KEY || length !== value.length)
    throw new Refusal(SW.WRONG_DATA);
  if (value.length !== MANAGEMENT_ALGORITHMS[algorithm].length) throw new Refusal(SW.WRONG_DATA);
  context.contents.managementKey = { algorithm, value };
  return DONE;
}

/** SET PIN RETRIES of Yubico: P1 for the PIN, P2 for the PUK. Both have the factory's values afterwards. */
export function setPinRetries(context: PivContext, { p1, p2 }: CardCommand): Uint8Array {
  requireAdministrator(context);
  requirePin(context);
  if (p1 < 1 || p2 < 1 || p1 > 15 || p2 > 15) throw new Refusal(SW.INCORRECT_P1_P2);
  setFactoryPins(context, p1, p2);
  context.session.pinVerified = false;
  return DONE;
}

function setFactoryPins({ contents }: PivContext, pinTries: number, pukTries: number): void {
  contents.pin = new ReferenceData(fromHex(FACTORY.pin), pinTries);
  contents.puk = new ReferenceData(fromHex(FACTORY.puk), pukTries);
}

/** RESET of Yubico, once PIN and PUK are blocked: all goes but the key that attests others, and its certificate. */
export function resetCard(context: PivContext, { p1, p2 }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const { contents, session } = context;
  if (!contents.pin.blocked || !contents.puk.blocked) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  const attestation = contents.objects.get(ATTESTATION_CERTIFICATE);
  contents.keys.clear();
  contents.objects.clear();
  contents.objects.set(TAG.DISCOVERY, discovery("application"));
  if (attestation) contents.objects.set(ATTESTATION_CERTIFICATE, attestation);
  contents.managementKey = { algorithm: "3des", value: WELL_KNOWN_KEY.slice() };
  setFactoryPins(context, FACTORY.tries, FACTORY.tries);
  Object.assign(session, newSession(true));
  return DONE;
}

const NOWHERE = 0xff;

/** MOVE KEY of Yubico's firmware 5.7: P1 is where to, FF to delete the key, P2 where from. */
export function moveKey(context: PivContext, { p1: to, p2: from }: CardCommand): Uint8Array {
  const { keys } = context.contents;
  requireAdministrator(context);
  if (!isSlot(from) || (to !== NOWHERE && !isSlot(to))) throw new Refusal(SW.INCORRECT_P1_P2);
  const key = keys.get(from);
  if (!key) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  keys.delete(from);
  if (to !== NOWHERE) keys.set(to, key);
  return DONE;
}
