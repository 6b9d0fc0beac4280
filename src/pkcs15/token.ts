import type { CallOptions } from "../async/index.ts";
import { MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { equalBytes, toHex, wipe } from "../bytes/index.ts";
import {
  type HoldOptions,
  type AuthenticatedUse,
  authenticateUse,
  type CardMechanism,
  type CardObject,
  type CardObjectChanges,
  type CardPrivateKey,
  type CardToken,
  type CardTokenInfo,
  changingPin,
  completedAnyway,
  type GeneratedKeyPair,
  type HeldUse,
  isKeyResult,
  isToldVerified,
  type KeyPairRequest,
  type KeyWrapping,
  type KeyPrimitive,
  LoginRequiredError,
  mechanismsOfKeys,
  type NewCardObject,
  type PinPad,
  type PinRole,
  type PinStatus,
  type PinUser,
  safeResult,
  UnsupportedError,
  untilCancelled,
} from "../card/index.ts";
import type { Pkcs15Application } from "./application.ts";
import { SMARTCARD_HSM } from "./dialects/smartcard-hsm.ts";
import { SmartCardHsmWriter } from "./dialects/smartcard-hsm-writer.ts";
import { changeReferenceData, resetRetryCounter, unverify, verify } from "./files/commands.ts";
import type { DirectoryItem } from "./objects/contents.ts";
import type { TokenWriter } from "./writing/token-writer.ts";
import { ObjectWriter, readLastUpdate } from "./writing/writer.ts";
import { padOf } from "./pins/pin-pad.ts";
import { challengeResponseOf } from "./pins/challenge-response.ts";
import { encodeNewPin, encodePin } from "./pins/pin-encoding.ts";
import {
  enterForPin,
  guardOf,
  PIN_NAMES,
  pinFailure,
  pinInfo,
  pukOf,
  readPinStatus,
  sendPin,
  unlistedPuk,
} from "./pins/pins.ts";
import {
  computeWithKey,
  currentKeyFile,
  environmentName,
  fittingDigest,
  keyFacts,
  loginRequired,
  operationOf,
  prepareKey,
  signOnAnyCurve,
  useRefused,
  type KnownKey,
} from "./keys/private-key.ts";
import type { KeyFacts } from "./keys/key-use.ts";
import type { KeyWork } from "./files/session.ts";
import { type CardSession, REFUSES_FORM } from "./files/card-session.ts";
import { keyPairOf } from "./objects/key-pair.ts";
import { lifeOf, setFirstPin } from "./initialising/token-life.ts";
import { PIN_FLAG, type PinEntry } from "./syntax/authentication.ts";

const INS_SELECT = 0xa4;

const isPrivateKey = (object: CardObject): object is CardPrivateKey => object.class === "private-key";

/** The part of an application that one user PIN protects. A card without a PIN has one token too. */
export class Pkcs15Token implements CardToken {
  /** A card without a PIN needs no login. */
  readonly changedBy: PinUser | null;
  /** Only for PINs that the reader can format for the card. */
  readonly pinPad?: PinPad;
  readonly pukIsOfficer?: boolean;
  readonly initToken?: NonNullable<CardToken["initToken"]>;
  readonly resetToken?: NonNullable<CardToken["resetToken"]>;
  readonly initPin?: NonNullable<CardToken["initPin"]>;
  readonly keyWrapping?: KeyWrapping;
  /** Only for a PIN that a key unblocks. */
  readonly unlockChallenge?: NonNullable<CardToken["unlockChallenge"]>;
  readonly unlockWithResponse?: NonNullable<CardToken["unlockWithResponse"]>;
  readonly #application: Pkcs15Application;
  /** The writer of a SmartCard-HSM, on such a card. */
  readonly #hsm: SmartCardHsmWriter | undefined;
  readonly #pin: PinEntry | undefined;
  readonly #index: number;

  constructor(application: Pkcs15Application, index: number) {
    this.#application = application;
    this.#index = index;
    this.#pin = application.pins.users[index];
    this.changedBy = this.#pin ? "user" : null;
    Object.assign(this, challengeResponseOf(application, this.#pin));
    const pinPad =
      application.pinPad && this.#pin && padOf(application.pinPad, application, (role) => this.#requirePin(role));
    if (pinPad) this.pinPad = pinPad;
    Object.assign(this, lifeOf(application, this.#pukEntry()));
    if (application.dialect.name !== SMARTCARD_HSM.name || application.contents.hasOdf) return;
    this.#hsm = new SmartCardHsmWriter(application);
    this.keyWrapping = this.#hsm.keyWrapping(this.#pin);
  }

  get mechanisms(): readonly CardMechanism[] {
    return this.#application.dialect.mechanisms;
  }

  /** As the card lists them; if its make lists none, by its keys, as long as there are some. */
  supportedMechanisms(options?: CallOptions): Promise<readonly CardMechanism[]> {
    const { session, dialect } = this.#application;
    const { limits, keys, mechanisms } = dialect;
    return untilCancelled(options, async () => {
      if (limits) return session.read((turn) => limits(turn));
      if (keys) return mechanisms;
      return mechanismsOfKeys((await this.objects(["private-key"])).filter(isPrivateKey), mechanisms);
    });
  }

  async info(options?: CallOptions): Promise<CardTokenInfo> {
    const info = await untilCancelled(options, () => this.#application.contents.tokenInfo());
    const puk = this.#pukEntry();
    return {
      label: info?.label ?? "",
      manufacturer: info?.manufacturer ?? "",
      model: "PKCS#15",
      serialNumber: info?.serialText ?? toHex(info?.serialNumber ?? new Uint8Array()).toUpperCase(),
      pin: this.#pin ? pinInfo(this.#pin) : { label: "", minLength: 0, maxLength: 0 },
      ...(puk && { puk: pinInfo(puk) }),
      application: "PKCS #15",
      writeProtected: info?.readOnly ?? false,
      ...(this.initToken && this.#application.contents.hasOdf && { initialised: true }),
    };
  }

  /** @throws {LoginRequiredError} if the card refused a directory because it has forgotten the verified PIN. */
  objects(classes?: readonly CardObject["class"][], options?: CallOptions): Promise<readonly CardObject[]> {
    return untilCancelled(options, () => this.#objects(classes));
  }

  async #objects(classes?: readonly CardObject["class"][]): Promise<readonly CardObject[]> {
    const { contents } = this.#application;
    const refusals = contents.refusals;
    const all = await this.#application.objects.of(classes);
    const wasVerified = this.#pin && this.#application.isVerified(this.#pin);
    if (contents.refusals > refusals && wasVerified && (await this.hasForgottenPin())) {
      throw new LoginRequiredError("the card has forgotten the PIN, and withholds some of its objects without it");
    }
    return all.filter(({ token }) => token === this.#index).map(({ object }) => object);
  }

  updateCount(options?: CallOptions): Promise<Uint8Array | undefined> {
    return untilCancelled(options, () => readLastUpdate(this.#application.contents));
  }

  pinStatus(role: PinRole, _thorough?: boolean, options?: CallOptions): Promise<PinStatus> {
    return untilCancelled(options, () => this.#pinStatus(role, options));
  }

  async #pinStatus(role: PinRole, options?: CallOptions): Promise<PinStatus> {
    // A PUK without an entry has no reference for reading its tries.
    const pin = role === "puk" ? this.#listedPuk() : this.#pinOf(role);
    if (!pin) return { triesLeft: undefined, maxTries: 0, verified: false };
    const status = await this.#application.session.run(
      (turn) =>
        this.#application.pinState(pin).reported(async () => {
          await enterForPin(this.#application.session, turn, pin);
          return readPinStatus(turn, pin);
        }),
      options,
    );
    const { dialect } = this.#application;
    // Such a card says yes only as long as it has no PIN.
    const isUnset = dialect.neverTellsVerified === true && status.verified && !this.#application.isVerified(pin);
    return this.#application.pinState(pin).status(isUnset ? { ...status, verified: false, isSet: false } : status);
  }

  hasForgottenPin(options?: CallOptions): Promise<boolean> {
    const pin = this.#pin;
    if (!pin) return untilCancelled(options, () => true);
    return this.#application.session.run(async (turn) => !(await this.#pinOutlasts(turn, pin)), options);
  }

  /** Whether the PIN counts as verified after the card refused a command that needs it: {@link PinState.outlasts}. */
  async #pinOutlasts(turn: CardSession, pin: PinEntry): Promise<boolean> {
    if (!this.#application.isVerified(pin)) return false;
    await enterForPin(this.#application.session, turn, pin);
    const state = this.#application.pinState(pin);
    const told = isToldVerified(await readPinStatus(turn, pin));
    if (told !== false || this.#application.dialect.neverTellsVerified) return state.outlasts(told);
    state.forget();
    return false;
  }

  #pinOf(role: PinRole): PinEntry | undefined {
    if (role === "user") return this.#pin;
    if (role === "so") return this.#application.pins.officer;
    return this.#pukEntry();
  }

  #listedPuk(): PinEntry | undefined {
    return this.#pin && pukOf(this.#application.pins, this.#pin);
  }

  #pukEntry(): PinEntry | undefined {
    const listed = this.#listedPuk();
    if (listed || !this.#pin || this.unlockChallenge) return listed;
    return unlistedPuk(this.#pin);
  }

  #requirePin(role: PinRole): PinEntry {
    const pin = this.#pinOf(role);
    if (!pin) throw new UnsupportedError(`the card has no ${PIN_NAMES[role]} for this token`);
    return pin;
  }

  async login(user: PinUser, characters: Uint8Array, options?: CallOptions): Promise<void> {
    await this.#verify(this.#requirePin(user), characters, options);
    if (user === "so" && this.initPin) this.#application.officer.keep(characters);
  }

  async #verify(pin: PinEntry, characters: Uint8Array, options?: HoldOptions): Promise<void> {
    // Before anything is sent: a PIN that the card cannot take. And outside of the work, which an abort may leave without its PIN.
    const encoded = encodePin(pin, characters);
    const command = verify(pin.reference, encoded);
    try {
      await this.#application.session.run(async (turn) => {
        await enterForPin(this.#application.session, turn, pin);
        await this.#application.present(pin, async () => {
          const { sw } = await turn.send(command);
          if (sw !== SW.OK) throw pinFailure(pin, sw, command.ins);
        });
      }, options);
    } finally {
      wipe(encoded, command.data ?? new Uint8Array());
    }
  }

  /** What the use needs besides is read before: cards that ask for consent forget the PIN at the next command that is not the use. */
  async authenticate(key: CardPrivateKey, pin: Uint8Array | null, options?: CallOptions): Promise<AuthenticatedUse> {
    const known = await this.#known(key);
    const entry = this.#requirePin("user");
    const held: HeldUse = {
      pin,
      verify: async (hold, pin, options) => {
        if (pin !== null) return this.#verify(entry, pin, { ...options, hold });
        if (!this.pinPad) throw new UnsupportedError("this reader has no keys for the PIN");
        return this.pinPad.login("user", { ...options, hold });
      },
      use: (hold, primitive, input, options) => this.#compute(known, primitive, input, { ...options, hold }),
    };
    return authenticateUse(this.#application.session.card, held, options);
  }

  /** Cards before ISO/IEC 7816-4:2013 forget only by a reset, which waits while another PIN's user is logged in. */
  logout(options?: CallOptions): Promise<void> {
    return completedAnyway(options, () => this.#logout());
  }

  async #logout(): Promise<void> {
    const application = this.#application;
    application.officer.forget();
    const pins = [this.#pin, application.pins.officer].filter((pin) => pin && application.mayHold(pin));
    for (const pin of pins) {
      if (!pin) continue;
      application.forget(pin);
      const isDone = await this.#sendLogout(pin);
      if ((!isDone || application.hasLeavers) && application.mayReset(pin)) await application.session.reset();
    }
  }

  /** @returns Whether the card forgot the PIN. An unsupported command is not sent again. */
  async #sendLogout(pin: PinEntry): Promise<boolean> {
    const application = this.#application;
    const { session, dialect } = application;
    if (application.refusesLogout) return false;
    const command = (dialect.logout ?? unverify)(pin.reference);
    const { sw } = await session.run(async (turn) => {
      await enterForPin(session, turn, pin);
      if (command.ins === INS_SELECT) turn.changed(session.applicationDf);
      return turn.send(command);
    });
    application.refusesLogout = REFUSES_FORM.has(sw);
    return sw === SW.OK;
  }

  async changePin(role: PinRole, oldPin: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void> {
    const pin = this.#requirePin(role);
    if (pin.flags.has(PIN_FLAG.CHANGE_DISABLED))
      throw new UnsupportedError("the card does not allow this PIN to be changed");
    const replacement = encodeNewPin(pin, newPin);
    try {
      wipe(encodePin(pin, oldPin));
      await changingPin(this.#application.session.card, "PIN", (changing) =>
        this.#application.session.run(async (turn) => {
          await enterForPin(this.#application.session, turn, pin);
          await changing(() =>
            sendPin(turn, pin, oldPin, (encoded) => changeReferenceData(pin.reference, encoded, replacement)),
          );
          this.#application.changed(pin);
        }, options),
      );
    } finally {
      wipe(replacement);
    }
  }

  async unlockPin(characters: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void> {
    const pin = this.#requirePin("user");
    const puk = this.#requirePin("puk");
    if (pin.flags.has(PIN_FLAG.UNBLOCK_DISABLED))
      throw new UnsupportedError("the card does not allow this PIN to be unblocked");
    const replacement = encodeNewPin(pin, newPin);
    try {
      wipe(encodePin(puk, characters));
      await changingPin(this.#application.session.card, "PIN", (changing) =>
        this.#application.session.run(async (turn) => {
          await enterForPin(this.#application.session, turn, pin);
          await changing(async () => {
            try {
              await sendPin(turn, puk, characters, (encoded) => resetRetryCounter(pin.reference, encoded, replacement));
            } catch (error) {
              if (!this.pukIsOfficer) throw error;
              await setFirstPin(this.#application.dialect, turn, error, [replacement, characters]);
            }
          });
        }, options),
      );
    } finally {
      wipe(replacement);
    }
  }

  async use(
    key: CardPrivateKey,
    primitive: KeyPrimitive,
    input: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    const placed = this.#application.objects.requireKey(key);
    const compute = (facts: KeyFacts): Promise<Uint8Array> =>
      this.#compute({ key, placed, facts }, primitive, input, options);
    const result = key.findsCurve === true ? await signOnAnyCurve(placed, primitive, input, compute) : undefined;
    return result ?? compute(await keyFacts(key, placed));
  }

  async #known(key: CardPrivateKey): Promise<KnownKey> {
    const placed = this.#application.objects.requireKey(key);
    return { key, placed, facts: await keyFacts(key, placed) };
  }

  async #compute(
    { key, placed, facts }: KnownKey,
    primitive: KeyPrimitive,
    given: Uint8Array,
    options?: HoldOptions,
  ): Promise<Uint8Array> {
    const input = fittingDigest(facts, primitive, given);
    const operation = operationOf(placed, facts, primitive, input);
    const use = this.#application.dialect.use({ operation, primitive, input, key: facts });
    const guard = guardOf(this.#application.pins, placed.entry.head, this.#pin);
    const { session } = this.#application;
    const { publicKey } = facts;
    const work: KeyWork = {
      environment: environmentName(use),
      checkable: publicKey !== undefined && operation !== "derive",
      isRight: async (result) => publicKey && isKeyResult(publicKey, primitive, input, result),
      checked: (result) => safeResult(publicKey, primitive, input, result),
      requireLogin: () => {
        if (guard && !this.#application.isVerified(guard)) throw loginRequired(key);
      },
      file: currentKeyFile(session, placed, use),
      prepare: (turn) => prepareKey(session, turn, key, placed, use),
      compute: (turn) => computeWithKey(turn, key, use),
      explain: async (turn, error) => {
        const isRefusal = error instanceof LoginRequiredError && error.cause instanceof StatusError;
        if (!guard || !isRefusal) return error;
        const outlasts = await this.#pinOutlasts(turn, guard);
        return outlasts && !key.alwaysAuthenticate ? useRefused(error.cause) : error;
      },
    };
    const result = await session.useKey(work, options);
    if (guard) this.#application.pinState(guard).served();
    return result;
  }

  async generateKeyPair(request: KeyPairRequest, options?: CallOptions): Promise<GeneratedKeyPair> {
    const id = await this.#writer().generate(request, this.#pin, options);
    return keyPairOf(await this.objects(), id);
  }

  async createObject(object: NewCardObject, options?: CallOptions): Promise<CardObject> {
    return this.#found(await this.#writer().create(object, this.#pin, options));
  }

  async setAttributes(object: CardObject, changes: CardObjectChanges, options?: CallOptions): Promise<CardObject> {
    const item = this.#itemOf(object);
    const entry = await this.#writer().setAttributes(item, changes, this.#pin, options);
    try {
      return await this.#found(({ der }) => equalBytes(der, entry));
    } catch (error) {
      // Changed by another program: the present entry is another object.
      this.#application.objects.changed({ ...item, der: entry }, item.der);
      this.#application.objects.forget();
      throw error;
    }
  }

  async destroyObject(object: CardObject, options?: CallOptions): Promise<void> {
    await this.#writer().destroy(this.#itemOf(object), this.#pin, options);
  }

  setLabel(label: string, options?: CallOptions): Promise<void> {
    return this.#writer().setLabel(label, this.#pin, options);
  }

  #writer(): TokenWriter {
    if (this.#hsm) return this.#hsm;
    if (!this.#application.contents.hasOdf)
      throw new UnsupportedError("objects of this make of card cannot be changed");
    return new ObjectWriter(this.#application);
  }

  #itemOf(object: CardObject): DirectoryItem {
    const item = this.#application.objects.itemOf(object);
    if (!item) throw new UnsupportedError("the object does not belong to this card");
    return item;
  }

  /** The written object. */
  async #found(isIt: (item: DirectoryItem) => boolean): Promise<CardObject> {
    const placed = (await this.#application.objects.of()).find(({ item }) => isIt(item));
    if (!placed) throw new MalformedAnswerError("the object was written, but its directory does not list it");
    return placed.object;
  }
}
