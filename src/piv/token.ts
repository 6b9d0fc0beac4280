import type { CallOptions } from "../async/index.ts";
import { type CommandApdu, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { equalBytes, toHex } from "../bytes/index.ts";
import {
  type Attempt,
  type HoldOptions,
  type AuthenticatedUse,
  authenticateUse,
  CardError,
  type CardDeviceInfo,
  type CardExchange,
  type CardMechanism,
  type CardObject,
  type CardObjectChanges,
  type CardPrivateKey,
  type CardToken,
  type CardTokenInfo,
  changingPin,
  checkedResult,
  completedAnyway,
  type HeldUse,
  isKeyResult,
  type KeyAttestation,
  type KeyPairRequest,
  type KeyPrimitive,
  LoginRequiredError,
  type NewCardObject,
  type NewOfficerKey,
  type PinRole,
  PinState,
  type PinStatus,
  type PinUser,
  type PublicStore,
  safeResult,
  unlessRefused,
  UnsupportedError,
  untilCancelled,
  WrongResultError,
} from "../card/index.ts";
import { parsePublicKey } from "../crypto/index.ts";
import { CKA_YUBICO } from "./yubico-admin.ts";
import { getMetadata, readTries } from "./yubico.ts";
import { CardAdministration, type OfficerStates } from "./card-administration.ts";
import { FACTORY, Initialisation } from "./initialisation.ts";
import { type AdministratorExchange, KeyAdministration, requestAttestation } from "./key-administration.ts";
import type { PivExchange, PivSession } from "./session.ts";
import {
  chuidNumber,
  CONTAINER,
  encodeKeyHistory,
  PIN_REFERENCE,
  type PinReference,
  PUK_REFERENCE,
  renewedHistory,
} from "./data-objects.ts";
import { getData, putData, unverify } from "./commands.ts";
import { keyUse, loginRequired, mayBeOfAnotherKey, sendKeyUse, type UsableKey, useRefused } from "./private-key.ts";
import { type ComputedType, type KeySlot, mechanismsOf, PIV_MECHANISMS } from "./keys.ts";
import {
  attestationObjects,
  type DataObject,
  dataObjects,
  type SlotObjects,
  slotObjects,
  updateCount,
} from "./objects.ts";
import { changePin, checkPin, isPinVerified, PIV_PIN, PIV_PUK, readPinStatus, unlockPin, verifyPin } from "./pin.ts";
import { PivStore } from "./store.ts";
import { changedWriting, newWriting, placeOf, type Writing } from "./writing.ts";

/** One use of a key, with the data read for it. */
interface Computation {
  readonly key: UsableKey;
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
}

/** The only token of a PIV card: its cardholder PIN protects every key except the card authentication key. */
export class PivToken implements CardToken {
  readonly mechanisms = PIV_MECHANISMS;
  readonly changedBy = "so";
  readonly newKeyAttributes = new Set(Object.values(CKA_YUBICO));
  readonly fixedLabel = "the label of a PIV card is made from its serial number and cannot be changed";
  readonly #session: PivSession;
  readonly #store: PivStore;
  readonly #slots: readonly SlotObjects[];
  readonly #slotOfKey: ReadonlyMap<CardPrivateKey, KeySlot>;
  readonly #data: readonly DataObject[];
  readonly #keys: KeyAdministration;
  readonly #card: CardAdministration;
  readonly #objects: readonly CardObject[];
  readonly #pin: PinState;
  readonly #managementKey: PinState;
  /** Of the PIN, once the card has reported it. */
  #maxTries: number | undefined;

  /** @param store For copies of certificates, between processes. */
  constructor(session: PivSession, store?: PublicStore) {
    this.#session = session;
    this.#pin = new PinState(session.card);
    this.#managementKey = new PinState(session.card);
    this.#store = new PivStore(session, store);
    this.#slots = slotObjects(this.#store);
    this.#slotOfKey = new Map(this.#slots.map(({ privateKey, slot }) => [privateKey, slot]));
    this.#data = dataObjects(this.#store);
    const send: AdministratorExchange = (...of) => this.#administer(...of);
    this.#keys = new KeyAdministration(this.#store, this.#slots, send);
    this.#card = new CardAdministration(session, send, (tag) => {
      this.#store.forget(tag);
    });
    this.#objects = [
      ...this.#slots.flatMap(({ certificate, publicKey, privateKey }) => [certificate, publicKey, privateKey]),
      ...this.#data.map(({ object }) => object),
      ...attestationObjects(this.#store, (slot) => requestAttestation(session, slot)),
    ];
  }

  /**
   * Serial number and manufacturer are the same as OpenSC's, so that a PKCS #11 URI made with OpenSC finds the token
   * here. A YubiKey's serial number is the device's, because programs often write a new CHUID.
   */
  async info(options?: CallOptions): Promise<CardTokenInfo> {
    const serial = await untilCancelled(options, () => this.#serialNumber());
    return {
      label: serial === undefined ? "PIV" : `PIV ${serial.slice(-8)}`,
      manufacturer: "piv_II",
      model: "PIV",
      serialNumber: serial ?? NO_NUMBER,
      pin: PIV_PIN,
      puk: PIV_PUK,
      application: "NIST SP 800-73 [PIV]",
    };
  }

  async #serialNumber(): Promise<string | undefined> {
    const ofDevice = this.#session.isYubiKey ? await this.#store.deviceSerial() : undefined;
    return ofDevice ?? chuidNumber(await this.#store.chuid()) ?? (await this.#store.deviceSerial());
  }

  /**
   * OpenSC's serial number, if it differs from this one, and the one that the first release of this driver made from
   * the card UUID.
   */
  async otherSerialNumbers(options?: CallOptions): Promise<readonly string[]> {
    const chuid = await untilCancelled(options, () => this.#store.chuid());
    return [chuidNumber(chuid)?.slice(-16) ?? NO_NUMBER, ...(chuid.guid ? [toHex(chuid.guid).slice(0, 16)] : [])];
  }

  objects(classes?: readonly CardObject["class"][], options?: CallOptions): Promise<readonly CardObject[]> {
    return untilCancelled(options, async () => {
      if (this.#store.keepsCopies) await this.#store.foresee();
      return classes ? this.#objects.filter((object) => classes.includes(object.class)) : this.#objects;
    });
  }

  updateCount(options?: CallOptions): Promise<Uint8Array> {
    return untilCancelled(options, () => updateCount(this.#store));
  }

  /**
   * The management key, which is the security officer's, has no tries; those of the PUK are not read. Only Yubico's
   * metadata report the maximum of the PIN's tries, which a thorough query reads.
   */
  async pinStatus(role: PinRole, thorough = false, options?: CallOptions): Promise<PinStatus> {
    if (role !== "user") return { triesLeft: undefined, maxTries: role === "so" ? 0 : undefined, verified: false };
    const { pin } = await this.#session.discovery();
    return this.#session.runConfirmed(async ({ send }) => {
      const told = await this.#pin.reported(() => readPinStatus(send, pin));
      if (!thorough) return this.#pin.status(told, this.#maxTries);
      const { maximum, left } = readTries((await send(getMetadata(pin))).data);
      this.#maxTries = maximum;
      return this.#pin.status({ ...told, triesLeft: told.triesLeft ?? left }, maximum);
    }, options);
  }

  hasForgottenPin(options?: CallOptions): Promise<boolean> {
    return this.#session.runConfirmed(async ({ send }) => !(await this.#pinOutlasts(send, "object")), options);
  }

  /** Whether the PIN counts as verified after the card refused a command that needs it: {@link PinState.outlasts}. */
  async #pinOutlasts(send: PivExchange, refused: "key" | "object"): Promise<boolean> {
    if (!this.#pin.isVerified) return false;
    // Known since the login: inside this transaction the card cannot be asked.
    const { pin } = await this.#session.discovery();
    const verified = await isPinVerified(send, pin);
    if (verified === true || this.#pin.hasAffirmed) return this.#pin.outlasts(verified);
    // Some cards never report a verified PIN. A private object can be read only while the PIN is verified; if the card
    // has none, it may report that first.
    const { sw } = await send(getData(CONTAINER.PRINTED_INFORMATION.tag), 1);
    if (refused === "object" && (sw === SW.OK || sw >> 8 === SW.BYTES_AVAILABLE >> 8)) return true;
    if (sw !== SW.SECURITY_STATUS_NOT_SATISFIED) return this.#pin.outlasts(undefined);
    this.#pin.forget();
    return false;
  }

  /** The user's PIN; the security officer's management key, or the PIN that protects it ({@link CardAdministration.loginOfficer}). */
  async login(user: PinUser, pin: Uint8Array, options?: CallOptions): Promise<void> {
    if (user === "so") return this.#card.loginOfficer(pin, this.#officerStates, options);
    checkPin(pin);
    const { pin: reference } = await this.#session.discovery();
    // Within the transaction: until then other callers use keys with the PIN that was verified for them.
    return this.#session.runConfirmed(({ send }) => this.#pin.present(() => verifyPin(send, reference, pin)), options);
  }

  /** The holder's PIN is verified too, where the card keeps the management key behind it. */
  get #officerStates(): OfficerStates {
    const reference = async (): Promise<PinReference> => (await this.#session.discovery()).pin;
    return { key: this.#managementKey, pin: this.#pin, reference };
  }

  /** What the use needs besides is read before: the card wants the PIN in the very command before it (SP 800-73-4 part 1 table 4b). */
  async authenticate(key: CardPrivateKey, pin: Uint8Array | null, options?: CallOptions): Promise<AuthenticatedUse> {
    if (pin === null) throw new UnsupportedError("this reader has no keys for the PIN of a PIV card");
    checkPin(pin);
    const slot = this.#slotOf(key);
    await this.#store.confirm(slot);
    const usable = await this.#store.usableKey(slot);
    const { pin: reference } = await this.#session.discovery();
    const held: HeldUse = {
      pin,
      verify: async (hold, pin, options) => {
        if (!pin) return;
        const work = ({ send }: CardExchange): Promise<void> =>
          this.#pin.present(() => verifyPin(send, reference, pin));
        await this.#session.runConfirmed(work, { ...options, hold });
      },
      use: (hold, primitive, input, options) => this.#compute({ key: usable, primitive, input }, { ...options, hold }),
    };
    return authenticateUse(this.#session.card, held, options);
  }

  /** The PIN that the cardholder uses, or the PUK; the management key on cards with Yubico's commands. */
  async changePin(pin: PinRole, oldPin: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void> {
    if (pin === "so") return this.#card.changeManagementKey(oldPin, newPin, this.#officerStates, options);
    const reference = pin === "puk" ? PUK_REFERENCE : (await this.#session.discovery()).pin;
    const change = changePin(reference, oldPin, newPin);
    await changingPin(this.#session.card, pin === "puk" ? "PUK" : "PIN", (changing) =>
      this.#session.runConfirmed(({ send }) => {
        const command = (): Promise<void> => changing(() => change(send));
        return pin === "puk" ? command() : this.#pin.present(command);
      }, options),
    );
  }

  /** Of the application PIN only (SP 800-73-4 part 2 section 3.2.3): no PUK is there for the global one. */
  async unlockPin(puk: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void> {
    const { pin } = await this.#session.discovery();
    if (pin !== PIN_REFERENCE.APPLICATION) {
      throw new UnsupportedError("the holder of this card uses the global PIN, which no PIV command unblocks");
    }
    const change = unlockPin(puk, newPin);
    await changingPin(this.#session.card, "PIN", (changing) =>
      this.#session.runConfirmed(({ send }) => this.#pin.replace(() => changing(() => change(send))), options),
    );
  }

  /** Only a reset makes a card forget the management key, or the PIN on cards from before SP 800-73-4 and P1 = FF. */
  logout(options?: CallOptions): Promise<void> {
    return completedAnyway(options, async () => {
      const managed = this.#managementKey.isVerified;
      this.#pin.forget();
      this.#managementKey.forget();
      if (managed || !(await this.#unverify())) await this.#session.reset();
    });
  }

  /** @returns Whether the card has forgotten the PIN; it may not support the command. */
  async #unverify(): Promise<boolean> {
    try {
      const { pin } = await this.#session.discovery();
      return (await this.#session.runConfirmed(({ send }) => send(unverify(pin)))).sw === SW.OK;
    } catch (error) {
      if (error instanceof CardError) return false;
      throw error;
    }
  }

  /**
   * A result that does not verify may come from a new key: another program may have generated it and written a
   * certificate for it.
   */
  async use(
    key: CardPrivateKey,
    primitive: KeyPrimitive,
    input: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    const slot = this.#slotOf(key);
    let known = await this.#store.usableKey(slot);
    let isCopy = this.#store.isCopy(slot);
    // Nothing proves a shared secret, and a key that wants its PIN before each use is not tried twice.
    if (isCopy && (primitive === "ecdh" || known.slot.pin === "always")) {
      await this.#store.confirm(slot);
      known = await this.#store.usableKey(slot);
      isCopy = false;
    }
    try {
      const result = await this.#compute({ key: known, primitive, input }, options);
      return isCopy ? await checkedResult(known.publicKey, primitive, input, result) : result;
    } catch (error) {
      if (!(error instanceof WrongResultError || (isCopy && mayBeOfAnotherKey(error)))) throw error;
      this.#store.forget(slot.certificate);
      const current = await this.#store.usableKey(slot);
      if (equalBytes(current.spki, known.spki)) throw error;
      return this.#compute({ key: current, primitive, input }, options);
    }
  }

  /**
   * Does not confirm the application before an operation with a result that the public key can check; it does before a
   * key agreement.
   * @throws {WrongResultError} for an RSA result that does not match the public key.
   */
  async #compute({ key, primitive, input }: Computation, options?: HoldOptions): Promise<Uint8Array> {
    const { slot, publicKey } = key;
    const use = keyUse(key, primitive, input);
    const work = async (send: PivExchange, attempt?: Attempt): Promise<Uint8Array> => {
      if (slot.pin !== "never" && !this.#pin.isVerified) throw loginRequired(slot);
      const result = await sendKeyUse(send, use, slot, async (cause) => {
        const outlasts = await this.#pinOutlasts(send, "key");
        // In a hold the PIN was given for this very use.
        const isGiven = slot.pin !== "always" || options?.hold !== undefined;
        return outlasts && isGiven ? useRefused(slot, cause) : loginRequired(slot, cause);
      });
      if (slot.pin !== "never") this.#pin.served();
      if (!attempt) return result;
      if (attempt.confirmed) return safeResult(publicKey, primitive, input, result);
      return attempt.proved(result, (await isKeyResult(publicKey, primitive, input, result)) === true);
    };
    if (primitive === "ecdh") return this.#session.runConfirmed(({ send }) => work(send), options);
    return this.#session.run(work, options);
  }

  generateKeyPair(request: KeyPairRequest, options?: CallOptions): ReturnType<KeyAdministration["generate"]> {
    return this.#keys.generate(request, options);
  }

  /** The key types that the card announces, and those of its keys. */
  supportedMechanisms(options?: CallOptions): Promise<readonly CardMechanism[]> {
    return untilCancelled(options, () => this.#supportedMechanisms());
  }

  async #supportedMechanisms(): Promise<readonly CardMechanism[]> {
    const types: ComputedType[] = (await this.#session.computedTypes()).map((type) => ({ type }));
    for (const { slot, publicKey } of this.#slots) {
      const found = await unlessRefused(async () =>
        (await publicKey.isPresent({ explicitlyRequested: false }))
          ? parsePublicKey(await publicKey.publicKey())
          : undefined,
      );
      if (found) types.push({ type: found, slot });
    }
    return mechanismsOf(types);
  }

  setOfficerKey(key: NewOfficerKey, options?: CallOptions): Promise<void> {
    return this.#card.setOfficerKey(key, this.#officerStates, options);
  }

  deviceInfo(options?: CallOptions): Promise<CardDeviceInfo> {
    return untilCancelled(options, () => this.#card.deviceInfo());
  }

  /** For both the card wants what a login of either user gives. */
  setPinTries(tries: { readonly pin: number; readonly puk: number }, options?: CallOptions): Promise<void> {
    this.#pin.forget();
    return this.#card.setPinTries(tries, options);
  }

  async erase(options?: CallOptions): Promise<void> {
    this.#pin.forget();
    this.#managementKey.forget();
    await this.#card.erase(options);
  }

  /** The label is not used: {@link fixedLabel}. */
  initToken(
    soPin: Uint8Array,
    _label: string,
    variables: ReadonlyMap<string, string>,
    options?: CallOptions,
  ): Promise<void> {
    return new Initialisation(this.#session).initToken(soPin, variables, options);
  }

  readonly rememberKey = (id: Uint8Array, publicKey: Uint8Array): Promise<void> => this.#keys.remember(id, publicKey);

  resetToken(pin: Uint8Array, variables: ReadonlyMap<string, string>, options?: CallOptions): Promise<void> {
    return new Initialisation(this.#session).resetToken(pin, variables, options);
  }

  /** With the PUK of the factory, which a card has after {@link initToken}: no PIV command sets a PIN with the management key. */
  async initPin(newPin: Uint8Array, options?: CallOptions): Promise<void> {
    if (!this.#managementKey.isVerified) throw new LoginRequiredError(OFFICER_FIRST);
    if (!(await new Initialisation(this.#session).hasFactoryPuk(options))) throw new UnsupportedError(PUK_IS_OWN);
    await this.unlockPin(FACTORY.PUK, newPin, options);
  }

  attestKey(key: CardPrivateKey, options?: CallOptions): Promise<KeyAttestation> {
    return this.#keys.attest(this.#session, this.#slotOf(key), options);
  }

  moveKey(key: CardPrivateKey, id: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#keys.move(this.#slotOf(key), id, options);
  }

  createObject(object: NewCardObject, options?: CallOptions): Promise<CardObject> {
    if (object.class === "private-key") return this.#keys.import(object, options);
    return this.#write(() => newWriting(object, this.#slots, this.#data), options);
  }

  /** Another CKA_ID of a private key is another place of the card. */
  async setAttributes(object: CardObject, changes: CardObjectChanges, options?: CallOptions): Promise<CardObject> {
    const { id, label } = changes;
    if (object.class === "private-key" && id && !equalBytes(id, object.id) && label === undefined)
      return this.#keys.rename(this.#slotOf(object), id, options);
    return this.#write(() => changedWriting(object, changes, this.#slots, this.#data), options);
  }

  /** A key whose certificate goes stays where it is, and is seen as long as this process knows of it. */
  async destroyObject(object: CardObject, options?: CallOptions): Promise<void> {
    if (object.class === "private-key") return this.#keys.delete(this.#slotOf(object), options);
    const place = this.#slots.find(({ certificate }) => certificate === object);
    const publicKey = await place?.publicKey.publicKey().catch(() => undefined);
    await this.#write(() => placeOf(object, this.#slots, this.#data), options);
    if (place && publicKey && !this.#store.reports.areExpected) this.#store.keep(place.slot, publicKey);
  }

  async #write(plan: () => Writing, options?: CallOptions): Promise<CardObject> {
    const { tag, content, object } = plan();
    const isPresent = content.length > 0;
    // A write that ends between the two leaves a key history that counts too many, and hides no certificate.
    if (isPresent) await this.#renewHistory(tag, isPresent, options);
    await this.#put(tag, content, options);
    if (!isPresent) await this.#renewHistory(tag, isPresent, options);
    return object;
  }

  async #put(tag: number, content: Uint8Array, options?: CallOptions): Promise<void> {
    try {
      const { sw } = await this.#administer(putData(tag, content), "PUT DATA", options);
      if (sw !== SW.OK) throw new StatusError("PUT DATA", sw);
    } catch (error) {
      // The card may have written it anyway.
      this.#store.forget(tag);
      throw error;
    }
    this.#store.wrote(tag, content);
    await this.#store.keepCopy(tag, content);
  }

  /**
   * The key history counts the certificates of retired keys, and programs look for no others. Programs for cards with
   * Yubico's commands keep none: there it is updated only if it exists. A card may lack the object, or space for it;
   * the certificate works without it.
   */
  async #renewHistory(tag: number, isPresent: boolean, options?: CallOptions): Promise<void> {
    const number = this.#slots.find(({ slot }) => slot.certificate === tag)?.slot.retired;
    if (number === undefined) return;
    const history = await this.#store.keyHistory();
    if (!history && this.#store.reports.hasYubicoCommands) return;
    const renewed = renewedHistory(history, number, isPresent);
    if (!renewed) return;
    const put = (): Promise<void> => this.#put(CONTAINER.KEY_HISTORY.tag, encodeKeyHistory(renewed), options);
    try {
      await put().catch((error: unknown) => {
        // One refusal may be an accident; a second one counts.
        if (error instanceof StatusError) return put();
        throw error;
      });
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
    }
  }

  /** A command for which the card wants the management key first. */
  async #administer(command: CommandApdu, name: string, options?: CallOptions): Promise<ResponseApdu> {
    const answer = await this.#session.runConfirmed(({ send }) => {
      if (!this.#managementKey.isVerified) throw new LoginRequiredError(OFFICER_FIRST);
      return send(command);
    }, options);
    if (answer.sw !== SW.SECURITY_STATUS_NOT_SATISFIED) return answer;
    throw new LoginRequiredError(OFFICER_FIRST, { cause: new StatusError(name, answer.sw) });
  }

  #slotOf(key: CardPrivateKey): KeySlot {
    const slot = this.#slotOfKey.get(key);
    if (!slot) throw new UnsupportedError("the key is not one of this card's");
    return slot;
  }
}

const OFFICER_FIRST = "the card needs the management key for changes; log in as security officer";

const PUK_IS_OWN =
  "a PIV card sets a PIN with its PUK only, and this one does not tell that it still has the factory's: C_UnlockPIN, with the PUK";

/** OpenSC's serial number for a card without one. */
const NO_NUMBER = "00000000";
