import { MalformedAnswerError, StatusError, SW } from "../../apdu/index.ts";
import type { CallOptions } from "../../async/index.ts";
import { equalBytes, wipe } from "../../bytes/index.ts";
import { type CardToken, changingPin, PinError, triesLeftText, UnsupportedError } from "../../card/index.ts";
import type { Pkcs15Application } from "../application.ts";
import { externalAuthenticate, getChallenge, setReferenceData } from "../files/commands.ts";
import type { KeyAuthenticationEntry, PinEntry } from "../syntax/authentication.ts";
import { encodeNewPin } from "./pin-encoding.ts";
import { enterForPin, pinFailure, unblockingKeyOf } from "./pins.ts";

/** Bytes of a challenge: one block of the card's key. */
const CHALLENGE_LENGTH = 8;

/** Unblocking by challenge and response, of a PIN whose entry names a key for that; empty for any other PIN. */
export function challengeResponseOf(
  application: Pkcs15Application,
  pin: PinEntry | undefined,
): Pick<CardToken, "unlockChallenge" | "unlockWithResponse"> {
  const entry = pin && unblockingKeyOf(application.pins, pin);
  if (!entry) return {};
  const unlocking = new ChallengeResponse(application, pin, entry);
  return {
    unlockChallenge: (options) => unlocking.challenge(options),
    unlockWithResponse: (response, newPin, options) => unlocking.respond(response, newPin, options),
  };
}

/**
 * GET CHALLENGE; EXTERNAL AUTHENTICATE, whose key only the issuer has; RESET RETRY COUNTER with the new PIN alone (ISO/IEC 7816-4 sections
 * 11.5.3, 11.5.4 and 11.6.10). The AODF says which key unblocks a PIN (ISO/IEC 7816-15 section 8.9.4), the SKDF how commands name it.
 */
class ChallengeResponse {
  readonly #application: Pkcs15Application;
  readonly #pin: PinEntry;
  readonly #entry: KeyAuthenticationEntry;

  constructor(application: Pkcs15Application, pin: PinEntry, entry: KeyAuthenticationEntry) {
    this.#application = application;
    this.#pin = pin;
    this.#entry = entry;
  }

  /** What the answer needs is read before: the card takes it only in the command after the challenge. */
  async challenge(options?: CallOptions): Promise<Uint8Array> {
    await this.#keyReference();
    const { session } = this.#application;
    return session.run(async (turn) => {
      await enterForPin(session, turn, this.#pin);
      const { data, sw } = await turn.send(getChallenge(CHALLENGE_LENGTH));
      if (sw !== SW.OK) throw new StatusError("GET CHALLENGE", sw);
      if (data.length !== CHALLENGE_LENGTH)
        throw new MalformedAnswerError(`a challenge of ${data.length} bytes instead of ${CHALLENGE_LENGTH}`);
      return data;
    }, options);
  }

  /** @throws {PinError} for the response, with its tries left; for a PIN that the card cannot take, before anything is sent. */
  async respond(response: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void> {
    const key = await this.#keyReference();
    const { session } = this.#application;
    const replacement = encodeNewPin(this.#pin, newPin);
    try {
      await changingPin(session.card, "PIN", (changing) =>
        session.run(async (turn) => {
          await enterForPin(session, turn, this.#pin);
          const { sw } = await turn.send(externalAuthenticate(key, response));
          if (sw !== SW.OK) throw refusedResponse(sw);
          await changing(async () => {
            const command = setReferenceData(this.#pin.reference, replacement);
            const { sw: answer } = await turn.send(command);
            if (answer !== SW.OK) throw pinFailure(this.#pin, answer, command.ins);
          });
        }, options),
      );
    } finally {
      wipe(replacement);
    }
  }

  /** P2 of EXTERNAL AUTHENTICATE. */
  async #keyReference(): Promise<number> {
    const { keyId } = this.#entry;
    for (const { entry } of await this.#application.contents.directory("secret-keys")) {
      if (entry.class !== "secret-key" || !keyId || !equalBytes(entry.key.id, keyId)) continue;
      const { keyReference } = entry.key;
      if (keyReference !== undefined && keyReference <= 0xff) return keyReference;
    }
    throw new UnsupportedError("the card does not list the key that unblocks this PIN");
  }
}

/** 6300 and 63Cx for a wrong response, 6983 when its tries are used up (ISO/IEC 7816-4 table 6). */
function refusedResponse(sw: number): PinError | StatusError {
  const cause = new StatusError("EXTERNAL AUTHENTICATE", sw);
  const { triesLeft } = cause;
  if (triesLeft === 0)
    return new PinError("blocked", "the key that unblocks the PIN is blocked; only the issuer can help", 0, { cause });
  if (triesLeft === undefined && sw !== SW.VERIFICATION_FAILED) return cause;
  const left = triesLeft === undefined ? "" : `; ${triesLeftText(triesLeft)}`;
  return new PinError("incorrect", `the response is wrong${left}: ask for a new challenge`, triesLeft, { cause });
}
