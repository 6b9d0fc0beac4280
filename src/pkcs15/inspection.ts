import { type CommandApdu, MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { DataError, toHex } from "../bytes/index.ts";
import type { Card } from "../card/index.ts";
import { SELECT_ANSWER, SELECT_BY, select } from "./files/commands.ts";
import { Findings } from "./objects/findings.ts";
import type { CardContents } from "./objects/contents.ts";
import { pinInfo, pukOf, sortPins, unlistedPuk } from "./pins/pins.ts";
import { findApplications } from "./recognition/find.ts";

/** What a card with ISO/IEC 7816-15 has that its objects do not show once the driver has read them. */
export interface Pkcs15Inspection {
  /** Certificates as the card keeps them, whatever that is. */
  readonly certificates: readonly { readonly label: string; readonly stored: Uint8Array }[];
  /** Names of the PINs that may be unblocked, and no entry of a PUK belongs to. */
  readonly pinsWithoutPuk: readonly string[];
  /** Answers to a command in two parts, and to GET RESPONSE where nothing waits; undefined where they were not asked for. */
  readonly chaining: number | undefined;
  readonly getResponse: number | undefined;
}

/**
 * Looks at the first application of a card, and at how the card takes two forms of commands. Nothing on the card changes.
 * @returns Undefined for a card without files of ISO/IEC 7816-15.
 * @throws {CardAccessError} if the card cannot be reached.
 */
export async function inspectPkcs15(card: Card): Promise<Pkcs15Inspection | undefined> {
  const [application] = await findApplications(card, new Findings(card));
  if (!application?.contents.hasOdf) return undefined;
  const { contents } = application;
  const pins = sortPins(await contents.directory("authentication"), () => undefined);
  const pinsWithoutPuk = pins.users.filter((pin) => !pukOf(pins, pin) && unlistedPuk(pin));
  return {
    certificates: await storedCertificates(contents),
    pinsWithoutPuk: pinsWithoutPuk.map((pin) => pinInfo(pin).label),
    ...(await askForms(contents)),
  };
}

async function storedCertificates(contents: CardContents): Promise<{ label: string; stored: Uint8Array }[]> {
  const found: { label: string; stored: Uint8Array }[] = [];
  for (const { entry } of await contents.directory("certificates")) {
    if (entry.class !== "certificate" || !entry.value) continue;
    const label = entry.head.label || toHex(entry.id);
    const stored = await unlessUnreadable(() => (entry.value ? contents.value(entry.value, label) : undefined));
    if (stored) found.push({ label, stored });
  }
  return found;
}

const GET_RESPONSE: CommandApdu = { cla: 0x00, ins: 0xc0, p1: 0x00, p2: 0x00, ne: 256 };
const CHAINING = 0x10;

/** The file that is selected is selected once more, its identifier in two commands: whatever comes of it, it stays selected. */
async function askForms(contents: CardContents): Promise<Pick<Pkcs15Inspection, "chaining" | "getResponse">> {
  const { session, tokenInfoPlace: place } = contents;
  const asked = await unlessUnreadable(() =>
    session.read(async (turn) => {
      await turn.select(place);
      const part = (from: number, cla: number): CommandApdu => ({
        ...select(SELECT_BY.FILE_ID, place.path.slice(-2).subarray(from, from + 1), SELECT_ANSWER.NOTHING),
        cla,
      });
      const { sw: first } = await turn.send(part(0, CHAINING));
      const chaining = first === SW.OK ? (await turn.send(part(1, 0x00))).sw : first;
      turn.changed(place);
      return { chaining, getResponse: (await turn.send(GET_RESPONSE)).sw };
    }),
  );
  return asked ?? { chaining: undefined, getResponse: undefined };
}

async function unlessUnreadable<T>(read: () => Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof StatusError || error instanceof DataError || error instanceof MalformedAnswerError) {
      return undefined;
    }
    throw error;
  }
}
