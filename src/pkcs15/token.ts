import { MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { equalBytes, toHex, wipe } from "../bytes/index.ts";
import {
  type AuthenticatedUse,
  authenticateUse,
  type CardHold,
  type CardMechanism,
  type CardObject,
  type CardObjectChanges,
  type CardPrivateKey,
  type CardToken,
  type CardTokenInfo,
  changingPin,
  type GeneratedKeyPair,
  type HeldUse,
  isKeyResult,
  isToldVerified,
  type KeyPairRequest,
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
} from "../card/index.ts";
import type { Pkcs15Application } from "./application.ts";
import { changeReferenceData, resetRetryCounter, unverify, verify } from "./files/commands.ts";
import type { DirectoryItem } from "./objects/contents.ts";
import type { PlacedKey } from "./objects/entry-objects.ts";
import { lastUpdatePlace, ObjectWriter } from "./writing/writer.ts";
import { padOf } from "./pins/pin-pad.ts";
import { encodeNewPin, encodePin } from "./pins/pin-encoding.ts";
import { enterForPin, pinInfo, pinFailure, pukOf, readPinStatus, sendPin, unlistedPuk } from "./pins/pins.ts";
import {
  computeWithKey,
  currentKeyFile,
  environmentName,
  keyFacts,
  loginRequired,
  operationOf,
  prepareKey,
  useRefused,
} from "./keys/private-key.ts";
import type { KeyFacts } from "./keys/key-use.ts";
import type { KeyWork } from "./files/session.ts";
import { type CardSession, REFUSES_FORM } from "./files/card-session.ts";
import { PIN_FLAG, type PinEntry } from "./syntax/authentication.ts";

const PIN_NAMES: Readonly<Record<PinRole, string>> = {
  user: "PIN of a user",
  so: "PIN of a security officer",
  puk: "PUK",
};

/** A private key, with all that is read of it before it is used. */
interface KnownKey {
  readonly key: CardPrivateKey;
  readonly placed: PlacedKey;
  readonly facts: KeyFacts;
}
const INS_SELECT = 0xa4;

const isPrivateKey = (object: CardObject): object is CardPrivateKey => object.class === "private-key";

/** What one user PIN of an application guards. A card without a PIN has one token all the same. */
export class Pkcs15Token implements CardToken {
  /** A card without a PIN asks for none. */
  readonly changedBy: PinUser | null;
  /** Only for PINs that the reader can write as the card wants them. */
  readonly pinPad?: PinPad;
  readonly #application: Pkcs15Application;
  readonly #pin: PinEntry | undefined;
  readonly #index: number;

  constructor(application: Pkcs15Application, index: number) {
    this.#application = application;
    this.#index = index;
    this.#pin = application.pins.users[index];
    this.changedBy = this.#pin ? "user" : null;
    const pinPad =
      application.pinPad && this.#pin && padOf(application.pinPad, application, (role) => this.#requirePin(role));
    if (pinPad) this.pinPad = pinPad;
  }

  get mechanisms(): readonly CardMechanism[] {
    return this.#application.dialect.mechanisms;
  }

  /** As the card tells them of itself; of a make that does not, by the keys that are there, as long as there are some. */
  async supportedMechanisms(): Promise<readonly CardMechanism[]> {
    const { session, dialect } = this.#application;
    const { limits } = dialect;
    if (limits) return session.read((turn) => limits(turn));
    if (dialect.keys) return dialect.mechanisms;
    return mechanismsOfKeys((await this.objects(["private-key"])).filter(isPrivateKey), dialect.mechanisms);
  }

  async info(): Promise<CardTokenInfo> {
    const info = await this.#application.contents.tokenInfo();
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
    };
  }

  /** @throws {LoginRequiredError} if the card refused a directory because it has forgotten the PIN that counted as verified. */
  async objects(classes?: readonly CardObject["class"][]): Promise<readonly CardObject[]> {
    const { contents } = this.#application;
    const refusals = contents.refusals;
    const all = await this.#application.objects.of(classes);
    const wasVerified = this.#pin && this.#application.isVerified(this.#pin);
    if (contents.refusals > refusals && wasVerified && (await this.hasForgottenPin())) {
      throw new LoginRequiredError("the card has forgotten the PIN, without which it keeps some of its objects back");
    }
    return all.filter(({ token }) => token === this.#index).map(({ object }) => object);
  }

  /** The file that writers put the time into, as it is on the card now. */
  async updateCount(): Promise<Uint8Array | undefined> {
    const { contents, session } = this.#application;
    const place = lastUpdatePlace(contents, await contents.tokenInfo());
    return place && (await session.read((turn) => contents.files.readAnew(turn, place))).bytes;
  }

  async pinStatus(role: PinRole): Promise<PinStatus> {
    // A PUK without an entry has no reference that its tries could be asked by.
    const pin = role === "puk" ? this.#listedPuk() : this.#pinOf(role);
    if (!pin) return { triesLeft: undefined, maxTries: 0, verified: false };
    const status = await this.#application.session.run(async (turn) => {
      await enterForPin(this.#application.session, turn, pin);
      return readPinStatus(turn, pin);
    });
    return this.#application.pinState(pin).status(status);
  }

  async hasForgottenPin(): Promise<boolean> {
    const pin = this.#pin;
    return !pin || this.#application.session.run(async (turn) => !(await this.#pinOutlasts(turn, pin)));
  }

  /** Whether a PIN counts as verified after the card refused what wants it: {@link PinState.outlasts}. */
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
    return this.#listedPuk() ?? (this.#pin && unlistedPuk(this.#pin));
  }

  #requirePin(role: PinRole): PinEntry {
    const pin = this.#pinOf(role);
    if (!pin) throw new UnsupportedError(`the card has no ${PIN_NAMES[role]} for this token`);
    return pin;
  }

  async login(user: PinUser, characters: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#verify(this.#requirePin(user), characters, signal);
  }

  async #verify(pin: PinEntry, characters: Uint8Array, signal?: AbortSignal, hold?: CardHold): Promise<void> {
    // Before anything is sent: a PIN that the card cannot take. And outside of the work, which an abort may leave without its PIN.
    const encoded = encodePin(pin, characters);
    const command = verify(pin.reference, encoded);
    try {
      await this.#application.session.run(
        async (turn) => {
          await enterForPin(this.#application.session, turn, pin);
          await this.#application.present(pin, async () => {
            const { sw } = await turn.send(command);
            if (sw !== SW.OK) throw pinFailure(pin, sw, command.ins);
          });
        },
        signal,
        hold,
      );
    } finally {
      wipe(encoded, command.data ?? new Uint8Array());
    }
  }

  /** What the use needs besides is read before: cards that ask for consent forget the PIN at the next command that is not the use. */
  async authenticate(key: CardPrivateKey, pin: Uint8Array | null, signal?: AbortSignal): Promise<AuthenticatedUse> {
    const known = await this.#known(key);
    const entry = this.#requirePin("user");
    const held: HeldUse = {
      pin,
      verify: async (hold, pin, signal) => {
        if (pin !== null) return this.#verify(entry, pin, signal, hold);
        if (!this.pinPad) throw new UnsupportedError("this reader has no keys for the PIN");
        return this.pinPad.login("user", signal, hold);
      },
      use: (hold, primitive, input, signal) => this.#compute(known, primitive, input, signal, hold),
    };
    return authenticateUse(this.#application.session.card, held, signal);
  }

  /** Cards before ISO/IEC 7816-4:2013 forget only by a reset, which waits while another PIN's user is logged in. */
  async logout(): Promise<void> {
    const application = this.#application;
    const pins = [this.#pin, application.pins.officer].filter((pin) => pin && application.mayHold(pin));
    for (const pin of pins) {
      if (!pin) continue;
      application.forget(pin);
      const isDone = await this.#sendLogout(pin);
      if ((!isDone || application.hasLeavers) && application.mayReset(pin)) await application.session.reset();
    }
  }

  /** @returns Whether the card forgot the PIN. A card that does not know the command is not sent it again. */
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

  async changePin(role: PinRole, oldPin: Uint8Array, newPin: Uint8Array, signal?: AbortSignal): Promise<void> {
    const pin = this.#requirePin(role);
    if (pin.flags.has(PIN_FLAG.CHANGE_DISABLED))
      throw new UnsupportedError("the card does not let this PIN be changed");
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
        }, signal),
      );
    } finally {
      wipe(replacement);
    }
  }

  async unlockPin(characters: Uint8Array, newPin: Uint8Array, signal?: AbortSignal): Promise<void> {
    const pin = this.#requirePin("user");
    const puk = this.#requirePin("puk");
    if (pin.flags.has(PIN_FLAG.UNBLOCK_DISABLED))
      throw new UnsupportedError("the card does not let this PIN be unblocked");
    const replacement = encodeNewPin(pin, newPin);
    try {
      wipe(encodePin(puk, characters));
      await changingPin(this.#application.session.card, "PIN", (changing) =>
        this.#application.session.run(async (turn) => {
          await enterForPin(this.#application.session, turn, pin);
          await changing(() =>
            sendPin(turn, puk, characters, (encoded) => resetRetryCounter(pin.reference, encoded, replacement)),
          );
        }, signal),
      );
    } finally {
      wipe(replacement);
    }
  }

  async use(
    key: CardPrivateKey,
    primitive: KeyPrimitive,
    input: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.#compute(await this.#known(key), primitive, input, signal);
  }

  async #known(key: CardPrivateKey): Promise<KnownKey> {
    const placed = this.#application.objects.keyOf(key);
    if (!placed) throw new UnsupportedError("the key is not one of this card's");
    return { key, placed, facts: await keyFacts(key, placed) };
  }

  async #compute(
    { key, placed, facts }: KnownKey,
    primitive: KeyPrimitive,
    input: Uint8Array,
    signal?: AbortSignal,
    hold?: CardHold,
  ): Promise<Uint8Array> {
    const operation = operationOf(placed, facts, primitive, input);
    const use = this.#application.dialect.use({ operation, primitive, input, key: facts });
    const guard = this.#guardOf(placed);
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
    const result = await session.useKey(work, signal, hold);
    if (guard) this.#application.pinState(guard).served();
    return result;
  }

  async generateKeyPair(request: KeyPairRequest, signal?: AbortSignal): Promise<GeneratedKeyPair> {
    const id = await this.#writer().generate(request, this.#pin, signal);
    const objects = await this.objects();
    const privateKey = objects.find((object) => object.class === "private-key" && equalBytes(object.id, id));
    const publicKey = objects.find((object) => object.class === "public-key" && equalBytes(object.id, id));
    if (privateKey?.class !== "private-key" || publicKey?.class !== "public-key") {
      throw new MalformedAnswerError("the key was made, and its directory does not list it");
    }
    return { privateKey, publicKey };
  }

  async createObject(object: NewCardObject, signal?: AbortSignal): Promise<CardObject> {
    return this.#found(await this.#writer().create(object, this.#pin, signal));
  }

  async setAttributes(object: CardObject, changes: CardObjectChanges, signal?: AbortSignal): Promise<CardObject> {
    const item = this.#itemOf(object);
    const entry = await this.#writer().setAttributes(item, changes, this.#pin, signal);
    try {
      return await this.#found(({ der }) => equalBytes(der, entry));
    } catch (error) {
      // Changed, and nobody is told how: what is there now is another object.
      this.#application.objects.changed({ ...item, der: entry }, item.der);
      this.#application.objects.forget();
      throw error;
    }
  }

  async destroyObject(object: CardObject, signal?: AbortSignal): Promise<void> {
    await this.#writer().destroy(this.#itemOf(object), this.#pin, signal);
  }

  setLabel(label: string, signal?: AbortSignal): Promise<void> {
    return this.#writer().setLabel(label, this.#pin, signal);
  }

  #writer(): ObjectWriter {
    if (!this.#application.contents.hasOdf) throw new UnsupportedError("objects of this make of card stay as they are");
    return new ObjectWriter(this.#application);
  }

  #itemOf(object: CardObject): DirectoryItem {
    const item = this.#application.objects.itemOf(object);
    if (!item) throw new UnsupportedError("the object is not one of this card's");
    return item;
  }

  /** The object that was written. */
  async #found(isIt: (item: DirectoryItem) => boolean): Promise<CardObject> {
    const placed = (await this.#application.objects.of()).find(({ item }) => isIt(item));
    if (!placed) throw new MalformedAnswerError("the object was written, and its directory does not list it");
    return placed.object;
  }

  #guardOf({ entry }: PlacedKey): PinEntry | undefined {
    const { authId } = entry.head;
    if (!authId) return entry.head.private ? this.#pin : undefined;
    return this.#application.pins.users.find((pin) => pin.authId && equalBytes(pin.authId, authId)) ?? this.#pin;
  }
}
