import type { CallOptions } from "../async/index.ts";
import { StatusError, SW } from "../apdu/index.ts";
import { concat, DataError, toHex, wipe } from "../bytes/index.ts";
import {
  type CardMechanism,
  type CardObject,
  type CardPrivateKey,
  type CardToken,
  type CardTokenInfo,
  changingPin,
  completedAnyway,
  isAnswer,
  isRsaResult,
  isMalformed,
  isToldVerified,
  isUnsupportedUse,
  type KeyPrimitive,
  LoginRequiredError,
  mechanismsOfKeys,
  type PinPad,
  type PinPadReader,
  type PinRole,
  PinState,
  type PinStatus,
  type PinUser,
  type PublicStore,
  safeResult,
  UnsupportedError,
  untilCancelled,
  UseRefusedError,
  wholeRsaResult,
} from "../card/index.ts";
import { digest, keyTypeOf } from "../crypto/index.ts";
import { copiedCertificate } from "./certificate-copies.ts";
import { BufferedCertificate, type CertificateSource, FirstCacCertificate } from "./certificates.ts";
import { type AppletAddress, signDecrypt } from "./commands.ts";
import type { CardContents, PkiEntry } from "./data-model.ts";
import { DataContainer, dataObject, PkiObject, type PkiObjects, pkiObjects } from "./objects.ts";
import { CAC_PIN, changeOnPad, changePin, type PinCommand, readPinStatus, verifyOnPad, verifyPin } from "./pin.ts";
import type { CacExchange, CacSession } from "./session.ts";

/** Where the PIN is verified and changed. */
export interface PinPlace {
  readonly place: AppletAddress;
  /** The only applet that accepts the PIN; undefined if any does. */
  readonly only: boolean;
  /** P1 of CHANGE REFERENCE DATA. */
  readonly changeP1: number;
}

/** The differences between the generations of the card. Names and serial numbers are OpenSC's for the same cards. */
export interface Variant {
  readonly name: "CAC I" | "CAC II" | "CAC ALT HID";
  readonly pin: PinPlace;
  readonly contents: CardContents;
  certificate(place: AppletAddress): CertificateSource;
  /** Hexadecimal. */
  serialNumber(): Promise<string>;
}

/** The serial number of a card without a number. */
const NO_NUMBER = "00000000";
/** Bytes of the first certificate that serve as a number. */
const HASHED = 100;

/** A card whose applets have buffers, and perhaps a number. */
export function buffered(session: CacSession, name: Variant["name"], contents: CardContents, pin: PinPlace): Variant {
  const { cardId } = contents;
  return {
    name,
    contents,
    pin,
    certificate: (place) => new BufferedCertificate(session, place),
    serialNumber: () => Promise.resolve(cardId ? toHex(cardId) : NO_NUMBER),
  };
}

/** A card without lists: its first certificate serves as its number. */
export function unnumbered(session: CacSession, contents: CardContents, pin: PinPlace): Variant {
  const variant = buffered(session, "CAC II", contents, pin);
  return {
    ...variant,
    serialNumber: () =>
      hashOfFirst(contents, async (place) => (await new BufferedCertificate(session, place).read()).bytes),
  };
}

/** The first CAC: without buffers, lists and number. */
export function firstGeneration(session: CacSession, contents: CardContents, pin: PinPlace): Variant {
  return {
    name: "CAC I",
    contents,
    pin,
    certificate: (place) => new FirstCacCertificate(session, place),
    serialNumber: () => hashOfFirst(contents, (place) => new FirstCacCertificate(session, place).answer()),
  };
}

async function hashOfFirst(
  contents: CardContents,
  read: (place: AppletAddress) => Promise<Uint8Array>,
): Promise<string> {
  const [first] = contents.pki;
  if (!first) return NO_NUMBER;
  try {
    return toHex(digest("sha1", (await read(first.place)).subarray(0, HASHED)));
  } catch (error) {
    if (isMalformed(error) || isAnswer(error)) return NO_NUMBER;
    throw error;
  }
}

/** RSA keys have 1024 bits on the oldest cards, 2048 on those in use, 3072 on some (OpenSC, card-cac.c). */
const MECHANISMS: readonly CardMechanism[] = [{ primitive: "rsa-raw", minBits: 1024, maxBits: 3072 }];

/** Only the end of a serial number is shown, as in other programs. */
const SERIAL_DIGITS = 16;

/** The only token of a CAC: its PIN protects all keys. */
export class CacToken implements CardToken {
  readonly fixedLabel = "the label of a CAC is the name in its first certificate and cannot be changed";
  readonly mechanisms = MECHANISMS;
  readonly pinPad?: PinPad;
  readonly #session: CacSession;
  readonly #variant: Variant;
  readonly #keys: readonly PkiObjects[];
  readonly #objects: readonly CardObject[];
  readonly #pin: PinState;

  /**
   * @param reader The reader's keypad, if it has one.
   * @param store For copies of certificates, of a card with a number.
   */
  constructor(session: CacSession, variant: Variant, reader: PinPadReader | undefined, store?: PublicStore) {
    this.#session = session;
    this.#pin = new PinState(session.card);
    this.#variant = variant;
    if (reader) this.pinPad = this.#padOf(reader);
    const { pki, containers, cardId } = variant.contents;
    const certificateOf = ({ place }: PkiEntry): CertificateSource => {
      const onCard = variant.certificate(place);
      return store && cardId ? copiedCertificate(onCard, place, { store, cardId }) : onCard;
    };
    this.#keys = pki.map((entry) => pkiObjects(new PkiObject(session, entry, certificateOf(entry))));
    this.#objects = [
      ...this.#keys.flatMap(({ certificate, publicKey, privateKey }) => [certificate, publicKey, privateKey]),
      ...containers.map((entry) => dataObject(new DataContainer(session, entry))),
    ];
  }

  supportedMechanisms(options?: CallOptions): Promise<readonly CardMechanism[]> {
    return untilCancelled(options, () =>
      mechanismsOfKeys(
        this.#keys.map(({ privateKey }) => privateKey),
        MECHANISMS,
      ),
    );
  }

  /** The names are OpenSC's for the same card, so that a PKCS #11 URI made with OpenSC finds the token here. */
  info(options?: CallOptions): Promise<CardTokenInfo> {
    return untilCancelled(options, () => this.#info());
  }

  async #info(): Promise<CardTokenInfo> {
    return {
      label: ((await this.#holder()) ?? this.#variant.name).replaceAll(":", "."),
      manufacturer: "Common Access Card",
      model: "PKCS#15 emulated",
      serialNumber: (await this.#variant.serialNumber()).slice(-SERIAL_DIGITS),
      pin: CAC_PIN,
      application: "NIST IR 6887 [CAC]",
    };
  }

  /** The cardholder's name, from the first certificate that has one. */
  async #holder(): Promise<string | undefined> {
    return this.#session.together(async () => {
      for (const { pki } of this.#keys) {
        const holder = await pki.holder();
        if (holder !== undefined) return holder;
      }
      return undefined;
    });
  }

  objects(_classes?: readonly CardObject["class"][], options?: CallOptions): Promise<readonly CardObject[]> {
    return untilCancelled(options, () => this.#objects);
  }

  pinStatus(role: PinRole, _thorough?: boolean, options?: CallOptions): Promise<PinStatus> {
    return untilCancelled(options, () => this.#pinStatus(role, options));
  }

  async #pinStatus(role: PinRole, options?: CallOptions): Promise<PinStatus> {
    if (role !== "user") return { triesLeft: undefined, maxTries: 0, verified: false };
    const read = await this.#withPin((send) => this.#pin.reported(() => readPinStatus(send)), options);
    return this.#pin.status(read);
  }

  async login(user: PinUser, pin: Uint8Array, options?: CallOptions): Promise<void> {
    requireUser(user);
    await this.#sendPin(verifyPin(pin), options);
  }

  async changePin(role: PinRole, oldPin: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void> {
    requireUser(role);
    const change = changePin(oldPin, newPin, this.#variant.pin.changeP1);
    await changingPin(this.#session.card, "PIN", (changing) =>
      this.#sendPin((send) => changing(() => change(send)), options),
    );
  }

  #padOf(reader: PinPadReader): PinPad {
    return {
      login: async (user, options) => {
        requireUser(user);
        await this.#sendPin(verifyOnPad(reader), options);
      },
      ...(reader.canModify && {
        changePin: async (role: PinRole, options?: CallOptions) => {
          requireUser(role);
          const change = changeOnPad(reader, this.#variant.pin.changeP1);
          await changingPin(this.#session.card, "PIN", (changing) =>
            this.#sendPin((send) => changing(() => change(send)), options),
          );
        },
      }),
    };
  }

  /** A command that the card does not know undoes nothing. */
  #sendPin(command: PinCommand, options?: CallOptions): Promise<void> {
    return this.#withPin(
      (send) =>
        this.#pin.present(
          () => command(send),
          (error) => error instanceof UnsupportedError,
        ),
      options,
    );
  }

  #withPin<T>(work: (send: CacExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    const { place, only } = this.#variant.pin;
    return only ? this.#session.at(place, work, options) : this.#session.anywhere(place, work, options);
  }

  /** These cards have no logout command: only a reset makes them forget the PIN. */
  logout(options?: CallOptions): Promise<void> {
    return completedAnyway(options, async () => {
      this.#pin.forget();
      await this.#session.reset();
    });
  }

  async use(
    key: CardPrivateKey,
    primitive: KeyPrimitive,
    input: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    const pki = this.#keys.find(({ privateKey }) => privateKey === key)?.pki;
    if (!pki || primitive !== "rsa-raw")
      throw new UnsupportedError(`a CAC does not support ${primitive} with this key`);
    return this.#session.together(() => this.#use(pki, input, options), options);
  }

  /** The public key is read, and the key used, with one selection. */
  async #use(pki: PkiObject, input: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    const publicKey = await pki.publicKey();
    const type = keyTypeOf(publicKey);
    if (type.type !== "rsa") throw new UnsupportedError("the key is not RSA; a CAC has only RSA keys");
    if (input.length * 8 !== type.modulusBits) {
      throw new DataError(`a block of ${input.length} bytes for an RSA key of ${type.modulusBits} bits`);
    }
    try {
      const result = await this.#compute(pki.entry.place, publicKey, input, options);
      this.#pin.served();
      return result;
    } catch (error) {
      const isRefusal = error instanceof LoginRequiredError && error.cause instanceof StatusError;
      throw isRefusal && !(await this.hasForgottenPin()) ? useRefused(error.cause) : error;
    }
  }

  /** The card's PIN state is read in another applet, so this runs only between uses of a key. */
  hasForgottenPin(options?: CallOptions): Promise<boolean> {
    return untilCancelled(options, () => this.#hasForgottenPin(options));
  }

  async #hasForgottenPin(options?: CallOptions): Promise<boolean> {
    if (!this.#pin.isVerified) return true;
    const told = isToldVerified(await this.#withPin((send) => readPinStatus(send), options));
    if (told === true) return !this.#pin.outlasts(told);
    // These keys need no touch: if the card does not report a verified PIN, it has forgotten it.
    this.#pin.forget();
    return true;
  }

  #compute(place: AppletAddress, publicKey: Uint8Array, input: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    const primitive = "rsa-raw";
    const isRight = (result: Uint8Array): boolean | undefined => isRsaResult(publicKey, primitive, input, result);
    return this.#session.optimisticallyAt(
      place,
      async (send, attempt) => {
        if (!this.#pin.isVerified) throw loginRequired();
        const result = wholeRsaResult(await sendBlock(send, input), input.length, isRight);
        if (attempt.confirmed) return safeResult(publicKey, primitive, input, result);
        return attempt.proved(result, isRight(result) === true);
      },
      options,
    );
  }
}

function requireUser(role: PinRole): void {
  if (role !== "user") throw new UnsupportedError("a CAC has only the user's PIN; its issuer manages everything else");
}

/** Handles both kinds of cards: those that return the result after the last part, and those that return it in parts. */
async function sendBlock(send: CacExchange, block: Uint8Array): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const command of signDecrypt(block)) {
    const { data, sw } = await send(command);
    parts.push(data);
    if (sw !== SW.OK) throw useFailure(sw);
  }
  const result = concat(...parts);
  // It may be deciphered data: the caller wipes the whole; the parts are wiped here.
  wipe(...parts);
  return result;
}

/** libcacard answers 6985 if the user is not logged in (vcard_emul_rsa_op). */
function useFailure(sw: number): Error {
  const cause = new StatusError("PRIVATE SIGN/DECRYPT", sw);
  const wantsPin = sw === SW.SECURITY_STATUS_NOT_SATISFIED || sw === SW.CONDITIONS_NOT_SATISFIED;
  if (wantsPin) return loginRequired(cause);
  return isUnsupportedUse(sw)
    ? new UnsupportedError("the card does not support this operation with this key", { cause })
    : cause;
}

function useRefused(cause: unknown): UseRefusedError {
  const why = "the key's rules may not allow this use";
  return new UseRefusedError(`the card refused to use the key, and the PIN was given: ${why}`, { cause });
}

function loginRequired(cause?: StatusError): LoginRequiredError {
  return new LoginRequiredError("the card needs the PIN before it uses this key", { cause });
}
