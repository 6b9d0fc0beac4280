import { MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { equalBytes, toHex, wipe } from "../bytes/index.ts";
import {
  type CardMechanism,
  type CardObject,
  type CardObjectChanges,
  type CardPrivateKey,
  type CardToken,
  type CardTokenInfo,
  type GeneratedKeyPair,
  type KeyPairRequest,
  type KeyPrimitive,
  LoginRequiredError,
  type NewCardObject,
  type PinPad,
  type PinRole,
  type PinStatus,
  type PinUser,
  UnsupportedError,
} from "../card/index.ts";
import { curveInfo, keyTypeOf } from "../crypto/index.ts";
import type { Pkcs15Application } from "./application.ts";
import { changeReferenceData, resetRetryCounter, unverify, verify } from "./commands.ts";
import type { DirectoryItem } from "./contents.ts";
import type { KeyFacts, KeyOperation, KeyUse } from "./key-use.ts";
import type { PlacedKey } from "./objects.ts";
import { padOf } from "./pin-pad.ts";
import { encodeNewPin, encodePin } from "./pin-encoding.ts";
import { enterForPin, pinInfo, pukOf, readPinStatus, sendPin } from "./pins.ts";
import { parentOf, placeName, resolve } from "./place.ts";
import type { CardTurn } from "./session.ts";
import { PIN_FLAG, type PinEntry } from "./syntax/authentication.ts";
import { USAGE } from "./syntax/key.ts";
import { ACCESS } from "./syntax/object.ts";
import { ObjectWriter } from "./writer.ts";

/** The number of tries that most issuers set. */
const USUAL_TRIES = 3;

/** How cards refuse an operation that a key is not meant for. */
const REFUSED_USE: ReadonlySet<number> = new Set([SW.FUNCTION_NOT_SUPPORTED, SW.INSTRUCTION_NOT_SUPPORTED]);

/** What one user PIN of an application guards. A card without a PIN has one token all the same. */
export class Pkcs15Token implements CardToken {
  readonly changedBy: PinUser = "user";
  /** Only for PINs that the reader can write as the card wants them. */
  readonly pinPad?: PinPad;
  readonly #application: Pkcs15Application;
  readonly #pin: PinEntry | undefined;
  readonly #index: number;
  readonly #maxTries = new Map<PinEntry, number>();

  constructor(application: Pkcs15Application, index: number) {
    this.#application = application;
    this.#index = index;
    this.#pin = application.pins.users[index];
    const pinPad =
      application.pinPad && this.#pin && padOf(application.pinPad, application, (role) => this.#requirePin(role));
    if (pinPad) this.pinPad = pinPad;
  }

  get mechanisms(): readonly CardMechanism[] {
    return this.#application.dialect.mechanisms;
  }

  async info(): Promise<CardTokenInfo> {
    const info = await this.#application.contents.tokenInfo();
    const puk = this.#pin && pukOf(this.#application.pins, this.#pin);
    return {
      label: info?.label ?? "",
      manufacturer: info?.manufacturer ?? "",
      model: "PKCS#15",
      serialNumber: toHex(info?.serialNumber ?? new Uint8Array()).toUpperCase(),
      pin: this.#pin ? pinInfo(this.#pin) : { label: "", minLength: 0, maxLength: 0 },
      ...(puk && { puk: pinInfo(puk) }),
      application: "PKCS #15",
      writeProtected: info?.readOnly ?? false,
    };
  }

  async objects(): Promise<readonly CardObject[]> {
    const all = await this.#application.objects.all();
    return all.filter(({ token }) => token === this.#index).map(({ object }) => object);
  }

  /** TokenInfo as it is on the card now: writers put the time into it. */
  async updateCount(): Promise<Uint8Array | undefined> {
    const { contents, session } = this.#application;
    const info = await contents.tokenInfo();
    if (!info?.lastUpdate) return undefined;
    return (await session.read((turn) => contents.files.readAnew(turn, contents.tokenInfoPlace))).bytes;
  }

  async pinStatus(role: PinRole): Promise<PinStatus> {
    const pin = this.#pinOf(role);
    if (!pin) return { triesLeft: undefined, maxTries: 0, verified: false };
    const status = await this.#application.session.run(async (turn) => {
      await enterForPin(this.#application.session, turn, pin);
      return readPinStatus(turn, pin);
    });
    const maxTries = Math.max(this.#maxTries.get(pin) ?? USUAL_TRIES, status.triesLeft ?? 0);
    this.#maxTries.set(pin, maxTries);
    return { ...status, maxTries };
  }

  #pinOf(role: PinRole): PinEntry | undefined {
    if (role === "user") return this.#pin;
    if (role === "so") return this.#application.pins.officer;
    return this.#pin && pukOf(this.#application.pins, this.#pin);
  }

  #requirePin(role: PinRole): PinEntry {
    const pin = this.#pinOf(role);
    if (!pin)
      throw new UnsupportedError(`the card has no ${role === "puk" ? "PUK" : `PIN of the ${role}`} for this token`);
    return pin;
  }

  async login(user: PinUser, characters: Uint8Array, signal?: AbortSignal): Promise<void> {
    const pin = this.#requirePin(user);
    // Before anything is sent: a PIN that the card cannot take.
    wipe(encodePin(pin, characters));
    await this.#application.session.run(async (turn) => {
      await enterForPin(this.#application.session, turn, pin);
      // Until the card says yes, it counts as no: a wrong PIN also undoes an earlier right one.
      this.#application.unverified(pin);
      await sendPin(turn, pin, characters, (encoded) => verify(pin.reference, encoded));
      this.#application.verified(pin);
    }, signal);
  }

  /** Cards before ISO/IEC 7816-4:2013 forget only by a reset, which waits while another PIN's user is logged in. */
  async logout(): Promise<void> {
    const application = this.#application;
    const pins = [this.#pin, application.pins.officer].filter((pin) => pin && application.isVerified(pin));
    for (const pin of pins) {
      if (!pin) continue;
      application.unverified(pin);
      const { sw } = await application.session.run(async (turn) => {
        await enterForPin(application.session, turn, pin);
        return turn.send(unverify(pin.reference));
      });
      if ((sw !== SW.OK || application.hasLeavers) && application.mayReset(pin)) await application.session.reset();
    }
  }

  async changePin(role: PinRole, oldPin: Uint8Array, newPin: Uint8Array, signal?: AbortSignal): Promise<void> {
    const pin = this.#requirePin(role);
    if (pin.flags.has(PIN_FLAG.CHANGE_DISABLED))
      throw new UnsupportedError("the card does not let this PIN be changed");
    const replacement = encodeNewPin(pin, newPin);
    try {
      wipe(encodePin(pin, oldPin));
      await this.#application.session.run(async (turn) => {
        await enterForPin(this.#application.session, turn, pin);
        await sendPin(turn, pin, oldPin, (encoded) => changeReferenceData(pin.reference, encoded, replacement));
      }, signal);
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
      await this.#application.session.run(async (turn) => {
        await enterForPin(this.#application.session, turn, pin);
        await sendPin(turn, puk, characters, (encoded) => resetRetryCounter(pin.reference, encoded, replacement));
      }, signal);
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
    const placed = this.#application.objects.keyOf(key);
    if (!placed) throw new UnsupportedError("the key is not one of this card's");
    const facts = await this.#facts(key, placed);
    const operation = operationOf(placed, facts, primitive, input);
    const use = this.#application.dialect.use({ operation, primitive, input, key: facts });
    const guard = this.#guardOf(placed);
    return this.#application.session.run(async (turn) => {
      if (guard && !this.#application.isVerified(guard)) throw loginRequired(key);
      return this.#send(turn, key, placed, use);
    }, signal);
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
    return this.#madeOf(await this.#writer().create(object, this.#pin, signal));
  }

  async setAttributes(object: CardObject, changes: CardObjectChanges, signal?: AbortSignal): Promise<CardObject> {
    return this.#madeOf(await this.#writer().setAttributes(this.#itemOf(object), changes, this.#pin, signal));
  }

  async destroyObject(object: CardObject, signal?: AbortSignal): Promise<void> {
    await this.#writer().destroy(this.#itemOf(object), this.#pin, signal);
  }

  #writer(): ObjectWriter {
    return new ObjectWriter(this.#application);
  }

  #itemOf(object: CardObject): DirectoryItem {
    const item = this.#application.objects.itemOf(object);
    if (!item) throw new UnsupportedError("the object is not one of this card's");
    return item;
  }

  /** The object whose entry was written. */
  async #madeOf(entry: Uint8Array): Promise<CardObject> {
    const placed = (await this.#application.objects.all()).find(({ item }) => equalBytes(item.der, entry));
    if (!placed) throw new MalformedAnswerError("the object was written, and its directory does not list it");
    return placed.object;
  }

  #guardOf({ entry }: PlacedKey): PinEntry | undefined {
    const { authId } = entry.head;
    if (!authId) return entry.head.private ? this.#pin : undefined;
    return this.#application.pins.users.find((pin) => pin.authId && equalBytes(pin.authId, authId)) ?? this.#pin;
  }

  async #facts(key: CardPrivateKey, { entry, algorithms }: PlacedKey): Promise<KeyFacts> {
    const path = entry.value?.kind === "file" ? entry.value.file.path : new Uint8Array();
    return {
      type: entry.type === "ec" ? "ec" : "rsa",
      bytes: Math.ceil((await bitsOf(key, entry)) / 8),
      reference: entry.key.keyReference,
      file: path.length >= 2 ? path.subarray(-2) : new Uint8Array(),
      authenticates: authenticatesOnly(entry),
      algorithms,
    };
  }

  async #send(turn: CardTurn, key: CardPrivateKey, placed: PlacedKey, use: KeyUse): Promise<Uint8Array> {
    await this.#enter(turn, placed);
    const { environment } = use;
    const held = environment && `${environment.p1} ${environment.p2} ${toHex(environment.data ?? new Uint8Array())}`;
    if (environment && turn.environment !== held) {
      // Whatever held is gone, also if the card refuses.
      turn.hold(undefined);
      const { sw } = await turn.send(environment);
      if (sw !== SW.OK) throw useFailure(key, "MANAGE SECURITY ENVIRONMENT", sw);
      turn.hold(held);
    }
    let answer: ResponseApdu = { data: new Uint8Array(), sw: SW.OK };
    for (const command of use.commands) {
      answer = await turn.send(command);
      if (answer.sw === SW.OK) continue;
      turn.hold(undefined);
      throw useFailure(key, command.ins === 0x2a ? "PERFORM SECURITY OPERATION" : "the use of the key", answer.sw);
    }
    return use.read(answer.data);
  }

  /** The environment names keys of the DF that is current. */
  async #enter(turn: CardTurn, { entry }: PlacedKey): Promise<void> {
    if (entry.value?.kind !== "file" || entry.value.file.path.length < 2) return;
    const df = this.#application.session.applicationDf;
    const place = resolve(df, entry.value.file);
    await turn.enter(placeName(place) === placeName(df) ? place : parentOf(place));
  }
}

function authenticatesOnly({ head }: PlacedKey["entry"]): boolean {
  const allows = (mode: number): boolean => head.accessRules.some(({ modes }) => modes.has(mode));
  return allows(ACCESS.AUTHENTICATE) && !allows(ACCESS.SIGN);
}

/** Bits of the modulus or the field, by what the directory says; else by the public key. */
async function bitsOf(key: CardPrivateKey, entry: PlacedKey["entry"]): Promise<number> {
  const told = entry.modulusBits ?? entry.fieldBits;
  if (told !== undefined && told > 0) return told;
  if (entry.curve) return curveInfo(entry.curve).bits;
  const type = keyTypeOf(await key.publicKey());
  return type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits;
}

/** The card has one command for signatures and another for decipherment, where the primitive is the same number. */
function operationOf(
  { entry }: PlacedKey,
  { bytes }: KeyFacts,
  primitive: KeyPrimitive,
  input: Uint8Array,
): KeyOperation {
  if (primitive === "ecdh") return "derive";
  if (primitive === "rsa-pkcs1") return input.length === bytes ? "decipher" : "sign";
  if (primitive !== "rsa-raw") return "sign";
  const { usage } = entry.key;
  if (!usage.hasAny(USAGE.DECIPHER, USAGE.UNWRAP)) return "sign";
  if (!usage.hasAny(USAGE.SIGN, USAGE.SIGN_RECOVER, USAGE.NON_REPUDIATION)) return "decipher";
  // Padding of a signature (RFC 8017 section 9.2); all else comes out the same by deciphering it.
  return input[0] === 0x00 && input[1] === 0x01 && input[2] === 0xff ? "sign" : "decipher";
}

function loginRequired(key: CardPrivateKey, cause?: StatusError): LoginRequiredError {
  const when = key.alwaysAuthenticate ? "immediately before each use of this key" : "before it uses this key";
  return new LoginRequiredError(`the card wants the PIN ${when}`, { cause });
}

function useFailure(key: CardPrivateKey, action: string, sw: number): Error {
  const cause = new StatusError(action, sw);
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED) return loginRequired(key, cause);
  if (REFUSED_USE.has(sw)) return new UnsupportedError("the card does not do this with this key", { cause });
  return cause;
}
