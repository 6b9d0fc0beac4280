import { type CommandApdu, encodeTlv, isExecutionError, StatusError, SW } from "../apdu/index.ts";
import type { CallOptions } from "../async/index.ts";
import { concatSecret, wipe } from "../bytes/index.ts";
import {
  type CardDeviceInfo,
  isNotFound,
  LoginRequiredError,
  type NewOfficerKey,
  PinError,
  type PinState,
  UnsupportedError,
} from "../card/index.ts";
import { randomBytes } from "../crypto/index.ts";
import { getData, padPins, putData, readData, resetRetryCounter, verify } from "./commands.ts";
import { CONTAINER, PIN_REFERENCE, type PinReference, PUK_REFERENCE } from "./data-objects.ts";
import type { AdministratorExchange } from "./key-administration.ts";
import {
  authenticate,
  MANAGEMENT_KEY,
  newKeyAlgorithm,
  OFFICER_ALGORITHMS,
  officerAlgorithmOf,
  readManagementKey,
} from "./management-key.ts";
import {
  ADMINISTRATOR_DATA,
  type AdministratorData,
  deriveKey,
  encodeAdministratorData,
  encodeProtectedKeys,
  isProtectedData,
  readAdministratorData,
  readProtectedKeys,
  storageOf,
} from "./officer-key.ts";
import { checkPin, PIV_PIN, verifyPin } from "./pin.ts";
import type { PivExchange, PivSession } from "./session.ts";
import { reset, setManagementKey, setPinRetries } from "./yubico-admin.ts";
import { getMetadata, getSerial, getVersion, readAlgorithm, readIsDefault, readSerial, readTries } from "./yubico.ts";

/** More tries than any card gives a PIN. */
const MANY_TRIES = 256;

const PRINTED = CONTAINER.PRINTED_INFORMATION.tag;

/** The states of what the card verifies for an officer, and which PIN the holder has. */
export interface OfficerStates {
  readonly key: PinState;
  readonly pin: PinState;
  /** Of the holder's PIN; an exchange, unless it is known. */
  readonly reference: () => Promise<PinReference>;
}

/** Administers cards with Yubico's commands: management key, tries, reset, and what the device says of itself. */
export class CardAdministration {
  readonly #session: PivSession;
  readonly #send: AdministratorExchange;
  readonly #wrote: (tag: number) => void;
  /** Of the management key, at the last login. */
  #algorithm = 0;

  /** @param wrote Called with the tag of each data object that was written. */
  constructor(session: PivSession, send: AdministratorExchange, wrote: (tag: number) => void) {
    this.#session = session;
    this.#send = send;
    this.#wrote = wrote;
  }

  /**
   * Logs the officer in, with the management key or, where the card keeps it behind the PIN, with that PIN.
   * @throws {PinError} for a wrong key or PIN, and for a PIN on a card that keeps no key behind it; no try is spent then.
   */
  async loginOfficer(given: Uint8Array, states: OfficerStates, options?: CallOptions): Promise<void> {
    if (isLikePin(given)) {
      const reference = await states.reference();
      return this.#session.runConfirmed(({ send }) => this.#loginWithPin(send, given, reference, states), options);
    }
    const key = readManagementKey(given);
    try {
      await this.#session.runConfirmed(({ send }) => this.#authenticate(send, key, states.key), options);
    } finally {
      wipe(key);
    }
  }

  async #loginWithPin(
    send: PivExchange,
    pin: Uint8Array,
    reference: PinReference,
    states: OfficerStates,
  ): Promise<void> {
    const keys = await this.#keysBehindPin(send, pin, reference, states.pin);
    try {
      for (const key of keys) if (await this.#isKey(send, key, states.key)) return;
    } finally {
      wipe(...keys);
    }
    throw new PinError(
      "incorrect",
      "the management key that the card keeps behind the PIN is not its own; give the key itself",
    );
  }

  async #authenticate(send: PivExchange, key: Uint8Array, state: PinState): Promise<void> {
    await state.present(async () => {
      this.#algorithm = await authenticate(send, key);
    });
  }

  /** Whether it is the card's. A wrong one costs nothing: the management key has no tries. */
  async #isKey(send: PivExchange, key: Uint8Array, state: PinState): Promise<boolean> {
    try {
      await this.#authenticate(send, key, state);
      return true;
    } catch (error) {
      if (error instanceof PinError) return false;
      throw error;
    }
  }

  /** The keys that the PIN opens. A derived one needs no VERIFY: a wrong PIN is a wrong key. */
  async #keysBehindPin(
    send: PivExchange,
    pin: Uint8Array,
    reference: PinReference,
    state: PinState,
  ): Promise<Uint8Array[]> {
    const data = await readAdministrator(send);
    const storage = storageOf(data);
    if (storage === "apart") {
      const what = "a management key has 32, 48 or 64 hexadecimal digits, and this card keeps none behind its PIN";
      throw new PinError("length", `${what}; the card was not asked`);
    }
    checkPin(pin);
    const derived = data.salt ? [await deriveKey(pin, data.salt)] : [];
    if (storage === "derived") return derived;
    await state.present(() => verifyPin(send, reference, pin));
    return [...readProtectedKeys(await readObject(send, PRINTED)), ...derived];
  }

  /**
   * Sets a new management key, 16, 24 or 32 bytes or twice as many hexadecimal digits. A key of 24 bytes keeps 3DES, where the old one
   * has it; any other is for AES. One that the card kept behind the PIN is kept there no longer.
   * @param oldKey Or the PIN, where the card keeps the key behind it.
   * @throws {PinError} for the old key, or a new one of another length; {@link UnsupportedError} if the card has no such command.
   */
  async changeManagementKey(
    oldKey: Uint8Array,
    newKey: Uint8Array,
    states: OfficerStates,
    options?: CallOptions,
  ): Promise<void> {
    const after = readManagementKey(newKey);
    try {
      await this.loginOfficer(oldKey, states, options);
      await this.setOfficerKey({ key: after }, states, options);
    } finally {
      wipe(after);
    }
  }

  /**
   * Sets a new management key for the officer who is logged in, and where it is kept ({@link NewOfficerKey}). At every moment the card's key
   * is the old one, which the officer has, or one that the protected object holds.
   */
  async setOfficerKey(
    { key, algorithm, protectedByPin = false }: NewOfficerKey,
    states: OfficerStates,
    options?: CallOptions,
  ): Promise<void> {
    const after = readManagementKey(key);
    try {
      const id = algorithm ? OFFICER_ALGORITHMS[algorithm].id : newKeyAlgorithm(after, this.#algorithm);
      if (algorithm && after.length !== OFFICER_ALGORITHMS[algorithm].length) {
        const { length } = OFFICER_ALGORITHMS[algorithm];
        throw new PinError("length", `a management key for ${algorithm} has ${length} bytes; the card was not asked`);
      }
      await this.#session.runConfirmed(async ({ send }) => {
        if (!states.key.isVerified) throw new LoginRequiredError("log in with the old management key first");
        const data = await readAdministrator(send);
        await (protectedByPin
          ? this.#setProtected(send, { id, key: after }, data)
          : this.#setApart(send, { id, key: after }, data));
      }, options);
    } finally {
      wipe(after);
    }
  }

  async #setApart(
    send: PivExchange,
    { id, key }: { readonly id: number; readonly key: Uint8Array },
    data: AdministratorData,
  ): Promise<void> {
    await setKey(send, id, key);
    const storage = storageOf(data);
    if (storage === "apart") return;
    await this.#put(send, ADMINISTRATOR_DATA, encodeAdministratorData(data, false));
    if (storage === "protected") await this.#put(send, PRINTED, new Uint8Array());
  }

  async #setProtected(
    send: PivExchange,
    { id, key }: { readonly id: number; readonly key: Uint8Array },
    data: AdministratorData,
  ): Promise<void> {
    // The card's key may be any of them, if a change was interrupted: all stay until the new one is set.
    const held = await this.#heldKeys(send);
    try {
      await this.#putSecret(send, encodeProtectedKeys(...held, key));
      await this.#put(send, ADMINISTRATOR_DATA, encodeAdministratorData(data, true, data.salt));
      await setKey(send, id, key);
      if (held.length > 0) await this.#putSecret(send, encodeProtectedKeys(key));
      if (data.salt) await this.#put(send, ADMINISTRATOR_DATA, encodeAdministratorData(data, true));
    } finally {
      wipe(...held);
    }
  }

  /** The keys in the protected object. @throws {UnsupportedError} if it holds something else, which would be lost. */
  async #heldKeys(send: PivExchange): Promise<Uint8Array[]> {
    const value = await readObject(send, PRINTED);
    if (value && !isProtectedData(value)) {
      throw new UnsupportedError(
        "the printed information is in the data object that would hold the management key; delete it first, or keep the key apart",
      );
    }
    return readProtectedKeys(value);
  }

  async #put(send: PivExchange, tag: number, content: Uint8Array): Promise<void> {
    await this.#sendPut(send, tag, putData(tag, content));
  }

  /** Writes the protected object, and wipes `content`. */
  async #putSecret(send: PivExchange, content: Uint8Array): Promise<void> {
    const head = putData(PRINTED, new Uint8Array()).data ?? new Uint8Array();
    const outer = encodeTlv(0x53, new Uint8Array(content.length)).subarray(0, -content.length);
    const data = concatSecret(head.subarray(0, -2), outer, content);
    try {
      await this.#sendPut(send, PRINTED, { ...putData(PRINTED, new Uint8Array()), data, conceal: "command" });
    } finally {
      wipe(data, content);
    }
  }

  async #sendPut(send: PivExchange, tag: number, command: CommandApdu): Promise<void> {
    this.#wrote(tag);
    const { sw } = await send(command);
    if (sw !== SW.OK) throw new StatusError("PUT DATA", sw);
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
    await this.#session.runConfirmed(async ({ send }) => {
      await requireYubico(send);
      await eraseApplication(send);
    }, options);
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
      const pukTries = readTries(puk);
      const key = await ask(getMetadata(MANAGEMENT_KEY));
      return {
        firmware: version.length === 3 ? version.join(".") : undefined,
        serial: readSerial(await ask(getSerial())),
        hasDefaultPin: readIsDefault(await ask(getMetadata(PIN_REFERENCE.APPLICATION))),
        hasDefaultPuk: readIsDefault(puk),
        hasDefaultOfficerKey: readIsDefault(key),
        pukTriesLeft: pukTries.left,
        pukMaxTries: pukTries.maximum,
        officerKeyAlgorithm: officerAlgorithmOf(readAlgorithm(key)),
        officerKeyStorage: version.length === 3 ? storageOf(await readAdministrator(send)) : undefined,
      };
    });
  }
}

/** Whether an officer gave the holder's PIN: no management key is as short. */
const isLikePin = ({ length }: Uint8Array): boolean => length >= PIV_PIN.minLength && length <= PIV_PIN.maxLength;

/** A data object's value; undefined if it is absent. @throws {LoginRequiredError} if it needs the PIN. */
async function readObject(send: PivExchange, tag: number): Promise<Uint8Array | undefined> {
  const { data, sw } = await send(getData(tag));
  if (isNotFound(sw)) return undefined;
  const cause = new StatusError("GET DATA", sw);
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED) throw new LoginRequiredError(PIN_FIRST, { cause });
  if (sw !== SW.OK) throw cause;
  return readData(tag, data);
}

const PIN_FIRST = "the card needs its PIN too, which protects the management key; log in as user";

/** Most cards do not know the object, and refuse it in their own ways. */
async function readAdministrator(send: PivExchange): Promise<AdministratorData> {
  const { data, sw } = await send(getData(ADMINISTRATOR_DATA));
  if (isExecutionError(sw)) throw new StatusError("GET DATA", sw);
  return readAdministratorData(sw === SW.OK ? readData(ADMINISTRATOR_DATA, data) : undefined);
}

/** @throws {UnsupportedError} for a card that does not tell a version of Yubico's. */
export async function requireYubico(send: PivExchange): Promise<void> {
  const { sw } = await send(getVersion());
  if (sw !== SW.OK) throw new UnsupportedError("only cards with Yubico's commands are reset from here");
}

/**
 * Blocks PUK and PIN, and resets the PIV application: the management key, PIN and PUK are the factory's, and the rest is gone. The PIN stays
 * right until the PUK is blocked, so that its user may begin again.
 */
export async function eraseApplication(send: PivExchange): Promise<void> {
  await block("RESET RETRY COUNTER", () =>
    send(resetRetryCounter(PIN_REFERENCE.APPLICATION, padPins(randomDigits(), randomDigits()))),
  );
  await block("VERIFY", () => send(verify(PIN_REFERENCE.APPLICATION, padPins(randomDigits()))));
  const { sw } = await send(reset());
  if (sw !== SW.OK) throw new StatusError("RESET", sw);
}

/** SET MANAGEMENT KEY, after the old one was authenticated. @throws {UnsupportedError} if the card does not take it. */
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
