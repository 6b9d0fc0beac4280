import { SW } from "../../apdu/index.ts";
import { equalBytes, fromHex } from "../../bytes/index.ts";
import { ReferenceData, REFERENCE_LENGTH, Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { type CardPin, type DedicatedFile, type IsoContext, MAX_PIN, requireAccess } from "./model.ts";

/** The applet's name, and that of its only application (OpenSC, card-myeid.c, myeid_init). */
const MYEID_AID = fromHex("a000000063504b43532d3135");
/** The DF that a new card has. */
const APPLICATION_DF = 0x5015;
/** P2 of PUT DATA that erases the card. */
const INITIALISE_APPLET = 0xe0;
/** A PIN's own PUK has the PIN's reference and this. */
const PUK_OFFSET = 16;
const MIN_LENGTH = 4;
const DEFAULT_TRIES = { pin: 5, puk: 10 } as const;
const MAX_TRIES = 15;

/**
 * PUT DATA of everything but keys: INITIALISE APPLET (E0), and PINs under their references (OpenSC, pkcs15-myeid.c).
 * @returns Undefined for other data.
 */
export function putAdministrativeData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array | undefined {
  if (p1 !== 0x01) return undefined;
  if (p2 === INITIALISE_APPLET) return initialiseApplet(context, data);
  if (p2 >= 1 && p2 <= MAX_PIN) return initialisePin(context, p2, data);
  return undefined;
}

/**
 * Erases the card. Data: the size of the file system, which is ignored, then the access rules of the master file and of
 * DF 5015, three bytes each. The PIN that may delete the master file may do it again.
 */
function initialiseApplet(context: IsoContext, data: Uint8Array): Uint8Array {
  const { contents, session } = context;
  const { masterFile, pins } = contents;
  if (data.length !== 8) throw new Refusal(SW.WRONG_LENGTH);
  requireAccess(context, masterFile, "delete");
  masterFile.security = data.slice(2, 5);
  masterFile.files.splice(0, Infinity, applicationDf(data.slice(5, 8)));
  pins.clear();
  contents.inCreation = true;
  contents.changes++;
  session.path = [masterFile];
  session.file = undefined;
  session.environment = undefined;
  session.verified.clear();
  session.fresh.clear();
  return new Uint8Array();
}

/** An empty application. @param security Its access rules. */
export function applicationDf(security: Uint8Array): DedicatedFile {
  return { kind: "df", id: APPLICATION_DF, name: MYEID_AID, security, files: [] };
}

/**
 * Makes a PIN with its PUK, 8 bytes each, then the tries of both and options, which are ignored. Only before the card is
 * activated (OsEID, card_os/fs.c, fs_initialize_pin).
 */
function initialisePin(
  { contents: { inCreation = false, pins } }: IsoContext,
  id: number,
  data: Uint8Array,
): Uint8Array {
  if (!inCreation) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
  if (data.length < 2 * REFERENCE_LENGTH || data.length > 23) throw new Refusal(SW.WRONG_LENGTH);
  const [pinTries = DEFAULT_TRIES.pin, pukTries = DEFAULT_TRIES.puk] = data.subarray(2 * REFERENCE_LENGTH);
  const make = (from: number, tries: number): CardPin => ({
    data: new ReferenceData(data.slice(from, from + REFERENCE_LENGTH), Math.max(1, Math.min(tries, MAX_TRIES))),
    minLength: MIN_LENGTH,
  });
  pins.set(id + PUK_OFFSET, make(REFERENCE_LENGTH, pukTries));
  pins.set(id, { ...make(0, pinTries), puk: id + PUK_OFFSET });
  return new Uint8Array();
}

/** ACTIVATE APPLET: from now on access rules count. */
export function activateApplet({ contents }: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0x04 || p2 !== 0x00) throw new Refusal(SW.INCORRECT_P1_P2);
  if (!equalBytes(data, MYEID_AID)) throw new Refusal(SW.FILE_NOT_FOUND);
  contents.inCreation = false;
  return new Uint8Array();
}
