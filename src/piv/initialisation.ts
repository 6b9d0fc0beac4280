import { CardError, SW } from "../apdu/index.ts";
import type { CallOptions } from "../async/index.ts";
import { utf8, wipe } from "../bytes/index.ts";
import { PinError } from "../card/index.ts";
import { eraseApplication, requireYubico, setKey } from "./card-administration.ts";
import { PIN_REFERENCE, type PinReference, PUK_REFERENCE } from "./data-objects.ts";
import { KEY_SLOTS } from "./keys.ts";
import { authenticate, MANAGEMENT_KEY, newKeyAlgorithm, readManagementKey } from "./management-key.ts";
import { changePin, checkPin, type PinChange, verifyPin } from "./pin.ts";
import type { PivExchange, PivSession } from "./session.ts";
import { getMetadata, readIsDefault, readTries } from "./yubico.ts";

/** What the factory sets, and a reset: PIN, PUK, and the well-known management key. */
export const FACTORY = {
  PIN: utf8("123456"),
  PUK: utf8("12345678"),
  MANAGEMENT_KEY: utf8("010203040506070801020304050607080102030405060708"),
} as const;

/** The values of C_SetVariable that an initialisation takes. What is left out stays as the factory sets it. */
const VARIABLE = {
  /** The user's PIN afterwards. */
  PIN: "pin",
  /** The PUK afterwards. */
  PUK: "puk",
  /** The management key after C_ResetToken, in hexadecimal. */
  OFFICER: "so-pin",
} as const;

/** What a card gets after its reset. */
interface NewSecrets {
  readonly key: Uint8Array | undefined;
  readonly pin: PinChange | undefined;
  readonly puk: PinChange | undefined;
}

/**
 * C_InitToken and C_ResetToken of a card with Yubico's commands: the PIV application is reset, and gets new secrets. After an interruption the
 * same call completes it: either the old management key is still there, or the card is as the factory made it.
 */
export class Initialisation {
  readonly #session: PivSession;

  constructor(session: PivSession) {
    this.#session = session;
  }

  /**
   * C_InitToken: `soPin` is the management key, and stays it. A card as the factory made it, without a key, has not been initialised: there
   * `soPin` becomes the management key (PKCS#11 3.1 section 5.5.7).
   * @throws {PinError} for a wrong management key, with nothing changed; for a variable that is no PIN or PUK, with nothing sent;
   *   {UnsupportedError} for a card without Yubico's commands.
   */
  async initToken(soPin: Uint8Array, variables: ReadonlyMap<string, string>, options?: CallOptions): Promise<void> {
    await this.#session.runConfirmed(async ({ send }) => {
      await requireYubico(send);
      const key = readManagementKey(soPin);
      try {
        const secrets = { key, ...newPins(variables) };
        await renew(send, secrets, await authenticateUnlessNew(send, key));
      } finally {
        wipe(key);
      }
    }, options);
  }

  /**
   * C_ResetToken: the user's PIN allows it, and stays. The management key is the factory's afterwards, or that of the variable "so-pin".
   * @throws {PinError} for a wrong PIN, with a try spent; as {@link initToken}.
   */
  async resetToken(pin: Uint8Array, variables: ReadonlyMap<string, string>, options?: CallOptions): Promise<void> {
    const { pin: reference } = await this.#session.discovery();
    await this.#session.runConfirmed(async ({ send }) => {
      await requireYubico(send);
      checkPin(pin);
      const officer = variables.get(VARIABLE.OFFICER);
      const key = officer === undefined ? undefined : readManagementKey(utf8(officer));
      try {
        const pins = newPins(variables);
        const kept = pins.pin ?? changePin(PIN_REFERENCE.APPLICATION, FACTORY.PIN, pin);
        await verifyUnlessBegun(send, reference, pin);
        await renew(send, { key, puk: pins.puk, pin: kept });
      } finally {
        if (key) wipe(key);
      }
    }, options);
  }

  /** Whether the PUK is still the factory's, as far as the card tells. */
  hasFactoryPuk(options?: CallOptions): Promise<boolean> {
    return this.#session.run((send) => isFactory(send, PUK_REFERENCE), options);
  }
}

/** @throws {PinError} for values that PIV does not allow. */
function newPins(variables: ReadonlyMap<string, string>): Pick<NewSecrets, "pin" | "puk"> {
  const change = (name: string, reference: number, factory: Uint8Array): PinChange | undefined => {
    const value = variables.get(name);
    return value === undefined ? undefined : changePin(reference, factory, utf8(value));
  };
  return {
    pin: change(VARIABLE.PIN, PIN_REFERENCE.APPLICATION, FACTORY.PIN),
    puk: change(VARIABLE.PUK, PUK_REFERENCE, FACTORY.PUK),
  };
}

/**
 * Authenticates with the management key.
 * @returns The identifier of its algorithm; undefined if the card is new, and has another one.
 */
async function authenticateUnlessNew(send: PivExchange, key: Uint8Array): Promise<number | undefined> {
  try {
    return await authenticate(send, key);
  } catch (error) {
    const isWrong = error instanceof PinError && error.reason === "incorrect";
    if (!isWrong || !(await isNew(send))) throw error;
    return undefined;
  }
}

/**
 * VERIFY. A reset that was interrupted goes on without it: PIN and PUK are both blocked then, or the PIN is the factory's and there is no key.
 */
async function verifyUnlessBegun(send: PivExchange, reference: PinReference, pin: Uint8Array): Promise<void> {
  try {
    await verifyPin(send, reference, pin);
  } catch (error) {
    if (!(error instanceof PinError)) throw error;
    const isBlocked = error.reason === "blocked";
    const hasBegun = isBlocked ? (await pukTriesLeft(send)) === 0 : await isNew(send, [PIN_REFERENCE.APPLICATION]);
    if (!hasBegun) throw error;
  }
}

async function pukTriesLeft(send: PivExchange): Promise<number | undefined> {
  return readTries((await send(getMetadata(PUK_REFERENCE))).data).left;
}

/** The references of all that the factory sets. */
const ALL_SECRETS = [MANAGEMENT_KEY, PUK_REFERENCE, PIN_REFERENCE.APPLICATION];

/** Whether these secrets are as the factory set them, and there is no key. A card that does not tell is not new. */
async function isNew(send: PivExchange, secrets: readonly number[] = ALL_SECRETS): Promise<boolean> {
  for (const reference of secrets) if (!(await isFactory(send, reference))) return false;
  for (const { reference } of KEY_SLOTS) if ((await send(getMetadata(reference))).sw === SW.OK) return false;
  return true;
}

async function isFactory(send: PivExchange, reference: number): Promise<boolean> {
  const { data, sw } = await send(getMetadata(reference));
  return sw === SW.OK && readIsDefault(data) === true;
}

/**
 * Resets the application, and sets what is given. The PIN comes last: while it is the factory's, the same call may begin again.
 * @param algorithm Of the management key before.
 */
async function renew(send: PivExchange, { key, pin, puk }: NewSecrets, algorithm?: number): Promise<void> {
  await eraseApplication(send);
  if (key) {
    const factory = readManagementKey(FACTORY.MANAGEMENT_KEY);
    try {
      const now = await authenticate(send, factory);
      await setKey(send, newKeyAlgorithm(key, algorithm ?? now), key);
    } finally {
      wipe(factory);
    }
  }
  try {
    await puk?.(send);
    await pin?.(send);
  } catch (error) {
    if (!(error instanceof PinError)) throw error;
    throw new CardError(STAYS_FACTORY, { cause: error });
  }
}

const STAYS_FACTORY = "the card is new now, but does not take this PIN or PUK: it still has the factory's; change them";
