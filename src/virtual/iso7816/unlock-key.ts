import { createCipheriv, randomBytes, timingSafeEqual } from "node:crypto";
import { SW } from "../../apdu/index.ts";
import { DataError } from "../../bytes/index.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import type { IsoContext, UnlockKey } from "./model.ts";

/** Bytes of a Triple-DES key, and of its blocks. */
const UNLOCK_KEY_LENGTH = 24;
const BLOCK = 8;
/** Its reference in EXTERNAL AUTHENTICATE. */
export const UNLOCK_KEY_REFERENCE = 0x11;
const TRIES = 3;

/** @throws {DataError} for a key of another length. */
export function unlockKey(value: Uint8Array, pin: number, tries = TRIES): UnlockKey {
  if (value.length !== UNLOCK_KEY_LENGTH)
    throw new DataError(`PKCS #15 card: an unlock key of ${value.length} bytes instead of ${UNLOCK_KEY_LENGTH}`);
  return { key: value.slice(), pin, tries };
}

/** The right response to a challenge, as the issuer computes it: the challenge encrypted with Triple DES. */
function unlockResponse(key: Uint8Array, challenge: Uint8Array): Uint8Array {
  const cipher = createCipheriv("des-ede3-ecb", key, null).setAutoPadding(false);
  return Uint8Array.from(Buffer.concat([cipher.update(challenge), cipher.final()]));
}

/** GET CHALLENGE (ISO/IEC 7816-4 section 11.5.3): random bytes; those of the key's length are for the next command. */
export function getChallenge({ session }: IsoContext, { p1, p2, ne = BLOCK }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const challenge = Uint8Array.from(randomBytes(Math.min(ne, 256)));
  session.challenge = challenge;
  return challenge;
}

/** EXTERNAL AUTHENTICATE with the unlock key (section 11.5.4), right after GET CHALLENGE. A wrong response spends a try. */
export function externalAuthenticate({ contents, session }: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { challenge } = session;
  session.challenge = undefined;
  const { unlockKey: unlocking } = contents;
  if (!unlocking) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (p2 !== UNLOCK_KEY_REFERENCE) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  if (unlocking.tries === 0) throw new Refusal(SW.AUTHENTICATION_METHOD_BLOCKED);
  if (data.length !== BLOCK) throw new Refusal(SW.WRONG_LENGTH);
  if (challenge?.length !== BLOCK) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  unlocking.tries--;
  if (!timingSafeEqual(unlockResponse(unlocking.key, challenge), data)) {
    throw new Refusal(unlocking.tries === 0 ? SW.AUTHENTICATION_METHOD_BLOCKED : SW.TRIES_LEFT | unlocking.tries);
  }
  unlocking.tries = TRIES;
  session.unlocked = true;
  return new Uint8Array();
}

/** Whether RESET RETRY COUNTER may set the PIN alone: once after an authentication with its key. */
export function takeUnlocked({ contents, session }: IsoContext, pin: number): boolean {
  const isUnlocked = session.unlocked === true && contents.unlockKey?.pin === pin;
  session.unlocked = false;
  return isUnlocked;
}
