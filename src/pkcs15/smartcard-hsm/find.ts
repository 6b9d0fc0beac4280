import { findTlv, readTlvs, supportsExtendedLength } from "../../apdu/index.ts";
import { DataError } from "../../bytes/index.ts";
import { confirmedAnswer } from "../../card/index.ts";
import { isSmartCardHsm } from "../recognition/answer-to-reset.ts";
import { CardContents } from "../objects/contents.ts";
import { CardFiles } from "../files/files.ts";
import type { Findings } from "../objects/findings.ts";
import type { FoundApplication } from "../recognition/found-application.ts";
import { SMARTCARD_HSM_AID } from "../recognition/makes.ts";
import { type CardHand, Pkcs15Session } from "../files/session.ts";
import { selected } from "../files/turn.ts";
import { SmartCardHsmCatalogue } from "./catalogue.ts";
import { selectApplet } from "./commands.ts";
import { APPLET, DEVICE_CERTIFICATE, SMARTCARD_HSM_ACCESS } from "./files.ts";

/** The applet, by its name. */
export async function findSmartCardHsm(hand: CardHand, findings: Findings): Promise<readonly FoundApplication[]> {
  const answer = await hand.card.exclusively((channel) => confirmedAnswer(() => channel.send(selectApplet())));
  if (!selected(answer) || !(isSmartCardHsm(hand.card.atr) || tellsOptions(answer.data))) return [];
  const session = new Pkcs15Session(hand, { aid: SMARTCARD_HSM_AID, df: APPLET }, DEVICE_CERTIFICATE, true);
  const files = new CardFiles(session, supportsExtendedLength(hand.card.atr), SMARTCARD_HSM_ACCESS);
  const catalogue = new SmartCardHsmCatalogue(session, files, findings);
  const contents = new CardContents(session, files, findings, { catalogue });
  return [{ contents, aid: SMARTCARD_HSM_AID, selectAnswer: answer.data }];
}

/** Options and version, in what SELECT tells: other cards take any name (OpenSC, card-sc-hsm.c, sc_hsm_match_card). */
function tellsOptions(data: Uint8Array): boolean {
  try {
    const [outer] = readTlvs(data, "file control information");
    return outer !== undefined && (findTlv(readTlvs(outer.value), 0x85)?.length ?? 0) >= 2;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
