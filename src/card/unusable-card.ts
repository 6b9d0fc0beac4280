import { SW } from "../apdu/index.ts";
import { fromHex } from "../bytes/index.ts";
import type { Card } from "./card.ts";

/** Applications that are known by their names, and that no profile of this package reads. */
const WITHOUT_PROFILE = [
  // OpenPGP smart card application 3.4, section 4.2.1; any version and maker.
  { name: "OpenPGP", aid: fromHex("d27600012401") },
  // Generic Identity Device Specification, any version (OpenSC, card-gids.c, gids_aid).
  { name: "GIDS", aid: fromHex("a00000039742544659") },
] as const;

/**
 * What a card is that no profile can use, if that can be told: one command for each application that it may be.
 * @throws {CardAccessError} if the card cannot be reached.
 */
export async function nameUnusableCard(card: Card): Promise<string | undefined> {
  for (const { name, aid } of WITHOUT_PROFILE) {
    if (await selects(card, aid)) return `${name} card: no profile yet`;
  }
  return undefined;
}

/** Whether the card has an application of this name. */
export async function selects(card: Card, aid: Uint8Array): Promise<boolean> {
  const command = { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: aid, ne: 256 };
  const { sw } = await card.exclusively(({ send }) => send(command));
  return sw === SW.OK;
}
