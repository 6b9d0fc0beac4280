import { toHex } from "../bytes/index.ts";
import { isAnswer, isMalformed } from "../card/index.ts";
import { digest } from "../crypto/index.ts";
import type { CardContents } from "./contents.ts";
import type { Place } from "./place.ts";
import type { CacSession } from "./session.ts";
import { BufferedCertificate, type CertificateSource, FirstCacCertificate } from "./stored-certificate.ts";

/** Where the PIN is verified and changed. */
export interface PinPlace {
  readonly place: Place;
  /** No other applet takes it; otherwise any does. */
  readonly only: boolean;
  /** P1 of CHANGE REFERENCE DATA. */
  readonly changeP1: number;
}

/** What sets the generations of the card apart. Names and serial numbers are those that OpenSC gives the same cards. */
export interface Variant {
  readonly name: "CAC I" | "CAC II" | "CAC ALT HID";
  readonly pin: PinPlace;
  readonly contents: CardContents;
  certificate(place: Place): CertificateSource;
  /** Hexadecimal. */
  serialNumber(): Promise<string>;
}

/** The serial number of a card that has none. */
const NO_NUMBER = "00000000";
/** How much of the first certificate stands for a number. */
const HASHED = 100;

/** A card whose applets have buffers, and maybe a number. */
export function buffered(session: CacSession, name: Variant["name"], contents: CardContents, pin: PinPlace): Variant {
  const { cardId } = contents;
  return {
    name,
    contents,
    pin,
    certificate: (place) => new BufferedCertificate(session, place),
    serialNumber: () => Promise.resolve(cardId ? toHex(cardId) : NO_NUMBER),
  };
}

/** A card that lists nothing: its first certificate stands for its number. */
export function unnumbered(session: CacSession, contents: CardContents, pin: PinPlace): Variant {
  const variant = buffered(session, "CAC II", contents, pin);
  return {
    ...variant,
    serialNumber: () =>
      hashOfFirst(contents, async (place) => (await new BufferedCertificate(session, place).read()).bytes),
  };
}

/** The first CAC: no buffers, no list, no number. */
export function firstGeneration(session: CacSession, contents: CardContents, pin: PinPlace): Variant {
  return {
    name: "CAC I",
    contents,
    pin,
    certificate: (place) => new FirstCacCertificate(session, place),
    serialNumber: () => hashOfFirst(contents, (place) => new FirstCacCertificate(session, place).answer()),
  };
}

async function hashOfFirst(contents: CardContents, read: (place: Place) => Promise<Uint8Array>): Promise<string> {
  const [first] = contents.pki;
  if (!first) return NO_NUMBER;
  try {
    return toHex(digest("sha1", (await read(first.place)).subarray(0, HASHED)));
  } catch (error) {
    if (isMalformed(error) || isAnswer(error)) return NO_NUMBER;
    throw error;
  }
}
