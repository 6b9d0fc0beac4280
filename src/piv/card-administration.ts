import { StatusError, SW } from "../apdu/index.ts";
import type { CallOptions } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import { type CardDeviceInfo, type HoldOptions, type PinState, UnsupportedError } from "../card/index.ts";
import { randomBytes } from "../crypto/index.ts";
import { padPins, resetRetryCounter, verify } from "./commands.ts";
import { PIN_REFERENCE, PUK_REFERENCE } from "./data-objects.ts";
import type { AdministratorExchange } from "./key-administration.ts";
import { authenticate, MANAGEMENT_KEY, newKeyAlgorithm, readManagementKey } from "./management-key.ts";
import type { PivExchange, PivSession } from "./session.ts";
import { reset, setManagementKey, setPinRetries } from "./yubico-admin.ts";
import { getMetadata, getSerial, getVersion, readIsDefault, readSerial, readTries } from "./yubico.ts";

/** More tries than any card gives a PIN. */
const MANY_TRIES = 256;

/** Administers cards with Yubico's commands: management key, tries, reset, and what the device says of itself. */
export class CardAdministration {
  readonly #session: PivSession;
  readonly #send: AdministratorExchange;

  constructor(session: PivSession, send: AdministratorExchange) {
    this.#session = session;
    this.#send = send;
  }

  /**
   * Sets a new management key, 16, 24 or 32 bytes or twice as many hexadecimal digits. A key of 24 bytes keeps 3DES, where the old one
   * has it; any other is for AES.
   * @throws {PinError} for the old key, or a new one of another length; {@link UnsupportedError} if the card has no such command.
   */
  async changeManagementKey(
    oldKey: Uint8Array,
    newKey: Uint8Array,
    state: PinState,
    options?: CallOptions,
  ): Promise<void> {
    const before = readManagementKey(oldKey);
    try {
      const after = readManagementKey(newKey);
      try {
        await this.#session.runConfirmed(async (send) => {
          let algorithm = 0;
          await state.present(async () => {
            algorithm = await authenticate(send, before);
          });
          await setKey(send, newKeyAlgorithm(after, algorithm), after);
        }, options);
      } finally {
        wipe(after);
      }
    } finally {
      wipe(before);
    }
  }

  /** Sets the tries of PIN and PUK, 1 to 255, and both to the factory's values. The user and the officer must be logged in. */
  async setPinTries(
    { pin, puk }: { readonly pin: number; readonly puk: number },
    options?: CallOptions,
  ): Promise<void> {
    const { sw } = await this.#send(setPinRetries(pin, puk), "SET PIN RETRIES", options);
    if (sw === SW.OK) return;
    const cause = new StatusError("SET PIN RETRIES", sw);
    if (sw === SW.INSTRUCTION_NOT_SUPPORTED)
      throw new UnsupportedError("the tries of this card's PINs are fixed", { cause });
    if (sw === SW.INCORRECT_P1_P2)
      throw new UnsupportedError(`the card does not take ${pin} and ${puk} tries`, { cause });
    throw cause;
  }

  /** As {@link eraseApplication}. */
  async erase(options?: CallOptions): Promise<void> {
    await eraseApplication(this.#session, options);
  }

  /** What the device says of itself, and what of it is still as the factory set it. */
  deviceInfo(): Promise<CardDeviceInfo> {
    return this.#session.run(async (send) => {
      const ask = async (command: ReturnType<typeof getSerial>): Promise<Uint8Array> => {
        const { data, sw } = await send(command);
        return sw === SW.OK ? data : new Uint8Array();
      };
      const version = await ask(getVersion());
      const puk = await ask(getMetadata(PUK_REFERENCE));
      return {
        firmware: version.length === 3 ? version.join(".") : undefined,
        serial: readSerial(await ask(getSerial())),
        hasDefaultPin: readIsDefault(await ask(getMetadata(PIN_REFERENCE.APPLICATION))),
        hasDefaultPuk: readIsDefault(puk),
        hasDefaultOfficerKey: readIsDefault(await ask(getMetadata(MANAGEMENT_KEY))),
        pukTriesLeft: readTries(puk).left,
      };
    });
  }
}

/**
 * Resets the PIV application. The card wants PIN and PUK blocked first: wrong ones are sent until they are.
 * @throws {UnsupportedError} for a card that does not tell a version of Yubico's, whose PIN would be blocked in vain.
 */
export async function eraseApplication(session: PivSession, options?: HoldOptions): Promise<void> {
  await session.runConfirmed(async (send) => {
    const version = await send(getVersion());
    if (version.sw !== SW.OK) throw new UnsupportedError("only cards with Yubico's commands are reset from here");
    await block("VERIFY", () => send(verify(PIN_REFERENCE.APPLICATION, padPins(randomDigits()))));
    await block("RESET RETRY COUNTER", () =>
      send(resetRetryCounter(PIN_REFERENCE.APPLICATION, padPins(randomDigits(), randomDigits()))),
    );
    const { sw } = await send(reset());
    if (sw !== SW.OK) throw new StatusError("RESET", sw);
  }, options);
}

/** SET MANAGEMENT KEY; the old one must be authenticated. */
export async function setKey(send: PivExchange, algorithm: number, key: Uint8Array): Promise<void> {
  const command = setManagementKey(algorithm, key);
  try {
    const { sw } = await send(command);
    if (sw === SW.OK) return;
    const cause = new StatusError("SET MANAGEMENT KEY", sw);
    if (sw === SW.INSTRUCTION_NOT_SUPPORTED) {
      throw new UnsupportedError(
        "PIV has no command that changes the management key, and this card has no other maker's",
        { cause },
      );
    }
    if (sw === SW.WRONG_DATA) {
      throw new UnsupportedError("the card takes no management key of this length or algorithm", { cause });
    }
    throw cause;
  } finally {
    if (command.data) wipe(command.data);
  }
}

/** Sends what spends a try until the card says that none is left. One that happens to be right is followed by others. */
async function block(action: string, spend: () => ReturnType<PivExchange>): Promise<void> {
  for (let sent = 0; sent < MANY_TRIES; sent++) {
    const { sw } = await spend();
    if (sw === SW.AUTHENTICATION_METHOD_BLOCKED) return;
    const { triesLeft } = new StatusError(action, sw);
    if (sw !== SW.OK && triesLeft === undefined) throw new StatusError(action, sw);
  }
  throw new StatusError(action, SW.CONDITIONS_NOT_SATISFIED);
}

/** Eight digits, in ASCII. */
function randomDigits(): Uint8Array {
  return randomBytes(8).map((byte) => 0x30 + (byte % 10));
}
