import { type CommandApdu, encodeTlv, StatusError, SW } from "../apdu/index.ts";
import { parseDerCertificate } from "../asn1/index.ts";
import type { CallOptions } from "../async/index.ts";
import { concat, copySecret, DataError, secretUtf8, wipe } from "../bytes/index.ts";
import {
  type Card,
  CardError,
  connectCard,
  type HoldOptions,
  isNotFound,
  type KeyType,
  ObjectGoneError,
  UnsupportedError,
} from "../card/index.ts";
import { encodePublicKey, HostPrivateKey, parsePublicKey } from "../crypto/index.ts";
import type { Pcsc } from "../pcsc/types.ts";
import { eraseApplication, requireYubico, setKey } from "./card-administration.ts";
import { getData, putData, readData } from "./commands.ts";
import { PUK_REFERENCE, readCertificate } from "./data-objects.ts";
import {
  agreement,
  decryption,
  type KeyOperation,
  type PivEncryption,
  type PivSignature,
  signing,
} from "./key-operation.ts";
import { KEY_SLOTS, type KeySlot } from "./keys.ts";
import { authenticate, newKeyAlgorithm, readManagementKey } from "./management-key.ts";
import { changePin, checkPin, readPinStatus, unlockPin, verifyPin } from "./pin.ts";
import { generate, keyUse, loginRequired, readGenerated, readUsableKey, sendKeyUse } from "./private-key.ts";
import { type PivExchange, PivSession as SelectedPiv } from "./session.ts";
import { attest, ATTESTATION_CERTIFICATE, importKey, moveKey, type NewKeyPolicies, NOWHERE } from "./yubico-admin.ts";
import {
  getMetadata,
  getSerial,
  getVersion,
  type KeyPinPolicy,
  pinPolicyOf,
  readKeyMetadata,
  readSerial,
} from "./yubico.ts";

/** A key reference of PIV (SP 800-73-4 part 1 table 4b): "9a", "9c", "9d", "9e", "82" to "95"; "f9" attests on YubiKeys. */
export type PivSlot = "9a" | "9c" | "9d" | "9e" | "f9" | RetiredSlot;

/** The slots of retired keys. */
export type RetiredSlot =
  | "82"
  | "83"
  | "84"
  | "85"
  | "86"
  | "87"
  | "88"
  | "89"
  | "8a"
  | "8b"
  | "8c"
  | "8d"
  | "8e"
  | "8f"
  | "90"
  | "91"
  | "92"
  | "93"
  | "94"
  | "95";

/** A PIN, PUK or management key. The session wipes its own copy; bytes stay the caller's. */
export type Secret = string | Uint8Array;

/** When a new key of a YubiKey wants the PIN and a touch; what is left out is as the slot has it. */
export interface PivPolicy {
  readonly pin?: KeyPinPolicy;
  /** "cached": not again for 15 seconds. */
  readonly touch?: "never" | "always" | "cached";
}

/** What a YubiKey tells of a key. */
export interface PivKeyMetadata {
  /** Undefined: as the slot has it. */
  readonly pin: KeyPinPolicy | undefined;
  readonly touch: "never" | "always" | "cached" | undefined;
  readonly origin: "generated" | "imported";
  /** SubjectPublicKeyInfo, DER; undefined for a key of a type that is not known here. */
  readonly publicKey: Uint8Array | undefined;
}

/** For the use of a private key. */
export interface PivUse extends CallOptions {
  /** Verified in the same transaction, directly before the use, as 9C wants it. */
  readonly pin?: Secret;
  /** SubjectPublicKeyInfo of the key, DER. Without it the card is asked for the key's metadata, or its certificate. */
  readonly publicKey?: Uint8Array;
}

export interface PivSessionOptions extends CallOptions {
  /** Its owner closes it. */
  readonly pcsc: Pcsc;
  /** The name of the reader. Default: the only reader with a card. */
  readonly reader?: string;
}

const PIN_POLICIES: readonly (KeyPinPolicy | undefined)[] = [undefined, "never", "once", "always"];
const TOUCH_POLICIES: readonly PivPolicy["touch"][] = [undefined, "never", "always", "cached"];

const ATTESTATION_SLOT: KeySlot = {
  reference: 0xf9,
  certificate: ATTESTATION_CERTIFICATE,
  pin: "never",
  usage: () => ({ sign: false, decrypt: false, derive: false }),
  id: 0,
  labels: { privateKey: "attestation", publicKey: "attestation", certificate: "attestation" },
};

/**
 * The PIV application of one card, command for command: for programs that work on the card itself. It remembers nothing but that the
 * application is selected. Programs that use keys want `openTokens`.
 *
 *     await using piv = await PivSession.open({ pcsc: new Pcscd() });
 *     const certificate = await piv.getCertificate("9a");
 *     const signature = await piv.sign("9c", data, { pin: await askForPin() });
 *
 * Errors are those of the card: `PinError`, `StatusError`, `UnsupportedError`, `LoginRequiredError`, `CardGoneError`.
 */
export class PivCardSession implements AsyncDisposable {
  /** The firmware of a YubiKey; undefined on other cards. */
  readonly version: { readonly major: number; readonly minor: number; readonly patch: number } | undefined;
  /** The serial number that is printed on a YubiKey. */
  readonly serial: number | undefined;
  readonly #piv: SelectedPiv;
  readonly #hold: HoldOptions["hold"];
  readonly #close: () => Promise<void>;

  private constructor(
    piv: SelectedPiv,
    { version, serial }: Pick<PivCardSession, "version" | "serial">,
    close: () => Promise<void>,
    hold?: HoldOptions["hold"],
  ) {
    this.#piv = piv;
    this.version = version;
    this.serial = serial;
    this.#close = close;
    this.#hold = hold;
  }

  /**
   * Connects to a card and selects its PIV application.
   * @throws {CardError} if there is no card, or several and no `reader`; if the card has no PIV application; `CardAccessError`.
   */
  static async open({ pcsc, reader, signal }: PivSessionOptions): Promise<PivCardSession> {
    const cleanUp: (() => Promise<void>)[] = [];
    const close = async (): Promise<void> => {
      for (const one of cleanUp.splice(0).reverse()) await one();
    };
    try {
      const card = await connectCard(pcsc, reader ?? (await onlyReader(pcsc)), { signal });
      cleanUp.push(() => card[Symbol.asyncDispose]());
      const piv = new SelectedPiv(card);
      if (!(await piv.claim())) throw new CardError("the card has no PIV application");
      // Known from here on: inside a transaction it is not read any more.
      await piv.discovery();
      return new PivCardSession(piv, await deviceOf(piv), close);
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** The card, for commands that this class does not have. */
  get card(): Card {
    return this.#piv.card;
  }

  /** The tries that the PIN has left; undefined if it is verified, or the card does not tell. No try is spent. */
  async pinTries(options: CallOptions = {}): Promise<number | undefined> {
    const { pin } = await this.#piv.discovery();
    return (await this.#confirmed((send) => readPinStatus(send, pin), options)).triesLeft;
  }

  /** VERIFY (SP 800-73-4 part 2 section 3.2.1). @throws {PinError} with the tries left. */
  async verifyPin(pin: Secret, options: CallOptions = {}): Promise<void> {
    await this.#withSecrets([pin], async ([copy]) => {
      checkPin(copy);
      const { pin: reference } = await this.#piv.discovery();
      await this.#confirmed((send) => verifyPin(send, reference, copy), options);
    });
  }

  /** Authenticates with the management key, in hexadecimal or as bytes. @throws {PinError} for a wrong one. */
  async authenticate(managementKey: Secret, options: CallOptions = {}): Promise<void> {
    await this.#withSecrets([managementKey], async ([copy]) => {
      const key = readManagementKey(copy);
      try {
        await this.#confirmed((send) => authenticate(send, key), options);
      } finally {
        wipe(key);
      }
    });
  }

  /** CHANGE REFERENCE DATA of the PIN (section 3.2.2). @throws {PinError} */
  async changePin(change: { readonly old: Secret; readonly new: Secret }, options: CallOptions = {}): Promise<void> {
    const { pin } = await this.#piv.discovery();
    await this.#withSecrets([change.old, change.new], ([old, fresh]) =>
      this.#confirmed(changePin(pin, old, fresh), options),
    );
  }

  /** CHANGE REFERENCE DATA of the PUK. @throws {PinError} */
  async changePuk(change: { readonly old: Secret; readonly new: Secret }, options: CallOptions = {}): Promise<void> {
    await this.#withSecrets([change.old, change.new], ([old, fresh]) =>
      this.#confirmed(changePin(PUK_REFERENCE, old, fresh), options),
    );
  }

  /** RESET RETRY COUNTER (section 3.2.3). @throws {PinError} for the PUK. */
  async unblockPin(unblock: { readonly puk: Secret; readonly new: Secret }, options: CallOptions = {}): Promise<void> {
    await this.#withSecrets([unblock.puk, unblock.new], ([puk, fresh]) =>
      this.#confirmed(unlockPin(puk, fresh), options),
    );
  }

  /** Sets the management key of a YubiKey: 16, 24 or 32 bytes, for AES. The old one must be authenticated. */
  async setManagementKey(key: Secret, options: CallOptions = {}): Promise<void> {
    await this.#withSecrets([key], async ([copy]) => {
      const fresh = readManagementKey(copy);
      try {
        await this.#confirmed((send) => setKey(send, newKeyAlgorithm(fresh, 0), fresh), options);
      } finally {
        wipe(fresh);
      }
    });
  }

  /** What a YubiKey with firmware 5.3 or later tells of a key. @throws {ObjectGoneError} if there is none. */
  async metadata(slot: PivSlot, options: CallOptions = {}): Promise<PivKeyMetadata> {
    const answer = await this.#send("GET METADATA", getMetadata(placeOf(slot).reference), options);
    const { pinPolicy, touchPolicy, generated, publicKey } = readKeyMetadata(answer);
    return {
      pin: pinPolicyOf(pinPolicy),
      touch: TOUCH_POLICIES[touchPolicy],
      origin: generated ? "generated" : "imported",
      publicKey,
    };
  }

  /**
   * Has the card make a key; the management key must be authenticated. The key that is there gives way.
   * @returns SubjectPublicKeyInfo, DER.
   */
  async generate(
    slot: PivSlot,
    type: KeyType,
    { signal, ...policy }: PivPolicy & CallOptions = {},
  ): Promise<Uint8Array> {
    const command = generate(placeOf(slot), type, policies(policy));
    return readGenerated(type, await this.#send("GENERATE ASYMMETRIC KEY PAIR", command, { signal }));
  }

  /** Brings a private key to a YubiKey. @param pkcs8 DER, not encrypted. @returns SubjectPublicKeyInfo, DER. */
  async importKey(
    slot: PivSlot,
    pkcs8: Uint8Array,
    { signal, ...policy }: PivPolicy & CallOptions = {},
  ): Promise<Uint8Array> {
    const place = placeOf(slot);
    const key = HostPrivateKey.fromPkcs8(pkcs8);
    const command = importKey(place.reference, key, policies(policy));
    try {
      await this.#send("IMPORT ASYMMETRIC KEY", command, { signal });
      return encodePublicKey(key.publicKey);
    } finally {
      if (command.data) wipe(command.data);
      key.wipe();
    }
  }

  /** Moves a key of a YubiKey with firmware 5.7 or later. @throws {ObjectGoneError} if there is none. */
  async moveKey(from: PivSlot, to: PivSlot, options: CallOptions = {}): Promise<void> {
    await this.#send("MOVE KEY", moveKey(placeOf(from).reference, placeOf(to).reference), options);
  }

  /** Deletes a key of a YubiKey with firmware 5.7 or later; the certificate stays. */
  async deleteKey(slot: PivSlot, options: CallOptions = {}): Promise<void> {
    await this.#send("MOVE KEY", moveKey(placeOf(slot).reference, NOWHERE), options);
  }

  /** Signs data, which is hashed here. */
  sign(slot: PivSlot, data: Uint8Array, options: PivSignature & PivUse = {}): Promise<Uint8Array> {
    return this.#use(slot, options, (key) => signing(key, data, options));
  }

  /** Decrypts a short message for an RSA key. @returns The message; the caller wipes it. */
  decrypt(slot: PivSlot, box: Uint8Array, options: PivEncryption & PivUse = {}): Promise<Uint8Array> {
    return this.#use(slot, options, (key) => decryption(key, box, options));
  }

  /** Agrees on a secret. @param peer SubjectPublicKeyInfo, DER. @returns The x coordinate; the caller wipes it. */
  deriveSecret(slot: PivSlot, peer: Uint8Array, options: PivUse = {}): Promise<Uint8Array> {
    return this.#use(slot, options, (key) => agreement(key, parsePublicKey(peer)));
  }

  /** Has a YubiKey certify that it made the key. @returns X.509, DER; the certificate of "f9" signed it. */
  attest(slot: PivSlot, options: CallOptions = {}): Promise<Uint8Array> {
    return this.#send("ATTEST", attest(placeOf(slot).reference), options);
  }

  /** @returns X.509, DER. @throws {ObjectGoneError} if there is none. */
  async getCertificate(slot: PivSlot, options: CallOptions = {}): Promise<Uint8Array> {
    return readCertificate(await this.getObject(placeOf(slot).certificate, options));
  }

  /** Writes a certificate, not compressed; the management key must be authenticated. @param der X.509, DER. */
  async putCertificate(slot: PivSlot, der: Uint8Array, options: CallOptions = {}): Promise<void> {
    parseDerCertificate(der);
    const object = concat(encodeTlv(0x70, der), encodeTlv(0x71, Uint8Array.of(0)), encodeTlv(0xfe));
    await this.putObject(placeOf(slot).certificate, object, options);
  }

  async deleteCertificate(slot: PivSlot, options: CallOptions = {}): Promise<void> {
    await this.putObject(placeOf(slot).certificate, new Uint8Array(), options);
  }

  /**
   * GET DATA (section 3.1.2).
   * @param tag Of the data object, in hexadecimal 5FC102 for the CHUID.
   * @returns The value, without its tag 53.
   * @throws {ObjectGoneError} if there is none.
   */
  async getObject(tag: number, options: CallOptions = {}): Promise<Uint8Array> {
    const value = readData(tag, await this.#send("GET DATA", getData(tag), options));
    if (value) return value;
    throw new ObjectGoneError(`there is no data object ${tag.toString(16).toUpperCase()} on the card`);
  }

  /** PUT DATA (section 3.3.1); the management key must be authenticated. @param content Empty: deletes the object. */
  async putObject(tag: number, content: Uint8Array, options: CallOptions = {}): Promise<void> {
    await this.#send("PUT DATA", putData(tag, content), options);
  }

  /** Makes the application of a YubiKey new: keys, certificates and PINs are gone. PIN and PUK are blocked for it first. */
  async reset({ signal }: CallOptions = {}): Promise<void> {
    await this.#confirmed(
      async (send) => {
        await requireYubico(send);
        await eraseApplication(send);
      },
      { signal },
    );
  }

  /**
   * Runs `work` while no other program reaches the card, at most 4 s without a command.
   * @param work Gets a session of the same card; it ends with `work`.
   */
  async transaction<T>(work: (piv: PivCardSession) => Promise<T>, options: CallOptions = {}): Promise<T> {
    if (this.#hold) return work(this);
    await using hold = await this.#piv.card.holdTurn(options);
    return await work(new PivCardSession(this.#piv, this, () => Promise.resolve(), hold));
  }

  /** Ends the connection to the card. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  #confirmed<T>(work: (send: PivExchange) => Promise<T>, { signal }: CallOptions): Promise<T> {
    return this.#piv.runConfirmed(({ send }) => work(send), { signal, hold: this.#hold });
  }

  /** @throws {StatusError}; {@link ObjectGoneError} for what is not there; {@link UnsupportedError} for a command that the card lacks. */
  async #send(name: string, command: CommandApdu, options: CallOptions): Promise<Uint8Array> {
    const { data, sw } = await this.#confirmed((send) => send(command), options);
    if (sw === SW.OK) return data;
    const cause = new StatusError(name, sw);
    if (isNotFound(sw)) throw new ObjectGoneError(`${name}: the card has no such object or key`, { cause });
    if (sw === SW.INSTRUCTION_NOT_SUPPORTED)
      throw new UnsupportedError(`${name}: the card has no such command`, { cause });
    throw cause;
  }

  async #use(
    slot: PivSlot,
    { pin, publicKey, signal }: PivUse,
    plan: (key: ReturnType<typeof parsePublicKey>) => KeyOperation,
  ): Promise<Uint8Array> {
    const place = placeOf(slot);
    // Before VERIFY: 9C wants the PIN in the very command before its use.
    const key = readUsableKey(place, publicKey ?? (await this.#publicKeyOf(slot, { signal })));
    const { primitive, input, finish } = plan(key.publicKey);
    const use = keyUse(key, primitive, input);
    const { pin: reference } = await this.#piv.discovery();
    return this.#withSecrets(pin === undefined ? [] : [pin], async ([copy]) => {
      const result = await this.#confirmed(
        async (send) => {
          if (pin !== undefined) await verifyPin(send, reference, copy);
          return sendKeyUse(send, use, place, (cause) => Promise.resolve(loginRequired(place, cause)));
        },
        { signal },
      );
      return finish(result);
    });
  }

  /** Of a YubiKey by its metadata, of other cards by the certificate. */
  async #publicKeyOf(slot: PivSlot, options: CallOptions): Promise<Uint8Array> {
    const told = await this.metadata(slot, options).catch((error: unknown) => {
      if (error instanceof CardError) return undefined;
      throw error;
    });
    if (told?.publicKey) return told.publicKey;
    return parseDerCertificate(await this.getCertificate(slot, options)).subjectPublicKeyInfo;
  }

  /** Runs `work` with copies of secrets, which are wiped. */
  async #withSecrets<T>(
    secrets: readonly Secret[],
    work: (copies: readonly [Uint8Array, Uint8Array]) => Promise<T>,
  ): Promise<T> {
    const copies = secrets.map((secret) => (typeof secret === "string" ? secretUtf8(secret) : copySecret(secret)));
    const [first = new Uint8Array(), second = new Uint8Array()] = copies;
    try {
      return await work([first, second]);
    } finally {
      wipe(...copies);
    }
  }
}

async function onlyReader(pcsc: Pcsc): Promise<string> {
  const readers = await pcsc.readers();
  const [only, ...others] = readers.filter(({ present }) => present);
  if (!only) throw new CardError(readers.length === 0 ? "no smart-card reader; plug one in" : "no card in a reader");
  if (others.length === 0) return only.name;
  throw new CardError(
    `several cards are in: name the reader, one of ${[only, ...others].map(({ name }) => name).join(", ")}`,
  );
}

async function deviceOf(piv: SelectedPiv): Promise<Pick<PivCardSession, "version" | "serial">> {
  if (!piv.announcesYubicoCommands) return { version: undefined, serial: undefined };
  return piv.runConfirmed(async ({ send }) => {
    const version = await send(getVersion());
    const serial = await send(getSerial());
    const [major = 0, minor = 0, patch = 0] = version.data;
    const number = serial.sw === SW.OK ? readSerial(serial.data) : undefined;
    return {
      version: version.sw === SW.OK && version.data.length === 3 ? { major, minor, patch } : undefined,
      serial: number === undefined ? undefined : Number(number),
    };
  });
}

/** @throws {DataError} for a slot that PIV does not have. */
function placeOf(slot: PivSlot): KeySlot {
  const reference = Number.parseInt(slot, 16);
  const found = [...KEY_SLOTS, ATTESTATION_SLOT].find((one) => one.reference === reference);
  if (found && /^[0-9a-f]{2}$/iu.test(slot)) return found;
  throw new DataError(`no slot "${slot}"; there are 9a, 9c, 9d, 9e, 82 to 95, and f9`);
}

/** @throws {DataError} for a word that is none. */
function policies({ pin, touch }: PivPolicy): NewKeyPolicies {
  const [ofPin, ofTouch] = [PIN_POLICIES.indexOf(pin), TOUCH_POLICIES.indexOf(touch)];
  if (ofPin === -1) throw new DataError(`no PIN policy "${String(pin)}"; there are never, once, always`);
  if (ofTouch === -1) throw new DataError(`no touch policy "${String(touch)}"; there are never, always, cached`);
  return { ...(ofPin > 0 && { pin: ofPin }), ...(ofTouch > 0 && { touch: ofTouch }) };
}
