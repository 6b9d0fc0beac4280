import { type CommandApdu, type ResponseApdu, SW } from "../apdu/index.ts";
import { memoizeAsync } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import { type Card, isMalformed, type KeyPrimitive } from "../card/index.ts";
import { readCertificate } from "./data-objects.ts";
import { getData, readAuthentication, readData, unverify, verify } from "./commands.ts";
import { type KeySlot, KEY_SLOTS, referenceName } from "./keys.ts";
import { checkPin, verifyPin } from "./pin.ts";
import { keyUse, readUsableKey } from "./private-key.ts";
import { PivSession } from "./session.ts";
import { getMetadata, getSerial } from "./yubico.ts";

/** A key slot of the inspected card. */
export interface InspectedSlot {
  /** The key reference as the standard writes it: "9A". */
  readonly name: string;
  /** P2 of GENERAL AUTHENTICATE (SP 800-78-4 table 6-1). */
  readonly reference: number;
  /** Tag of the certificate's data object. */
  readonly certificate: number;
  /** 1 for the first retired key (82), up to 20; undefined for the four named keys. */
  readonly retired: number | undefined;
  /** When the key needs the PIN, by SP 800-73-4 part 1 table 5. */
  readonly pin: KeySlot["pin"];
}

/** The card's answer to GET DATA, of any kind. */
export interface InspectedObject {
  readonly sw: number;
  /** The value of the outer tag (53, 7E or 7F61); undefined for a refusal, an empty object, or a malformed answer. */
  readonly value?: Uint8Array;
  /** The parse error of an answer with status 9000. */
  readonly problem?: string;
}

/** A use of a key with a result that can be checked. */
export interface InspectedProof {
  /** SubjectPublicKeyInfo from the key's certificate, DER. */
  readonly publicKey: Uint8Array;
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  /** ECDSA as r || s. */
  readonly isRight: (result: Uint8Array) => boolean | Promise<boolean>;
}

/** The card's answer to a use of a key. */
export interface InspectedUse {
  readonly sw: number;
  /** Whether the result verifies with the public key of the certificate. */
  readonly right: boolean;
  /** The card's result (tag 82), if there is one. */
  readonly written?: Uint8Array;
  /** The parse error of an answer with status 9000. */
  readonly problem?: string;
}

/** Key reference of the card management key (SP 800-73-4 part 1 table 4b). */
const MANAGEMENT_KEY = 0x9b;

/**
 * Queries a PIV card and returns its answers unchanged: no status word is an error here. It changes nothing on the card
 * and spends no PIN try, except by {@link PivInspection.login}.
 */
export class PivInspection {
  readonly #session: PivSession;
  /** Whether the card reports metadata of its management key, which every card has. */
  readonly #hasMetadata = memoizeAsync(async () => (await this.#metadata(MANAGEMENT_KEY)).sw === SW.OK);
  readonly #slots: ReadonlyMap<string, KeySlot> = new Map(KEY_SLOTS.map((slot) => [referenceName(slot), slot]));

  /** @param card A card that carries the PIV application. */
  constructor(card: Card) {
    this.#session = new PivSession(card);
  }

  /** The 24 key slots: 9A, 9C, 9D, 9E, 82 to 95. */
  get slots(): readonly InspectedSlot[] {
    return Array.from(this.#slots, ([name, slot]) => ({
      name,
      reference: slot.reference,
      certificate: slot.certificate,
      retired: slot.retired,
      pin: slot.pin,
    }));
  }

  /** GET DATA (SP 800-73-4 part 2 section 3.1.2). */
  async object(tag: number): Promise<InspectedObject> {
    const { sw, data } = await this.#send(getData(tag));
    if (sw !== SW.OK) return { sw };
    try {
      const value = readData(tag, data);
      return { sw, ...(value && { value }) };
    } catch (error) {
      if (!isMalformed(error)) throw error;
      return { sw, problem: error.message };
    }
  }

  /**
   * The certificate, DER, from the value of a certificate object.
   * @throws {DataError} as in the driver, which shows this certificate.
   */
  certificate(value: Uint8Array): Promise<Uint8Array> {
    return readCertificate(value);
  }

  /** The status word of an empty VERIFY, which spends no try (SP 800-73-4 part 2 section 3.2.1). */
  async pinStatus(reference: number): Promise<number> {
    return (await this.#session.runConfirmed(({ send }) => send(verify(reference)))).sw;
  }

  /**
   * VERIFY of the PIN that the cardholder uses, once.
   * @throws {PinError} if it is wrong or blocked; `StatusError` for any other refusal.
   */
  async login(pin: Uint8Array): Promise<void> {
    checkPin(pin);
    const { pin: reference } = await this.#session.discovery();
    await this.#session.runConfirmed(({ send }) => verifyPin(send, reference, pin));
  }

  /** Makes the card forget the PIN; resets a card without such a command. */
  async logout(): Promise<void> {
    const { pin: reference } = await this.#session.discovery();
    const { sw } = await this.#session.runConfirmed(({ send }) => send(unverify(reference)));
    if (sw !== SW.OK) await this.#session.reset();
  }

  /** Yubico's metadata of a key or PIN, with any status word; undefined for a card without the command. */
  async metadata(reference: number): Promise<ResponseApdu | undefined> {
    return (await this.#hasMetadata()) ? this.#metadata(reference) : undefined;
  }

  /** The status word of Yubico's GET SERIAL, which firmware before version 5 does not support. */
  async deviceSerialStatus(): Promise<number> {
    return (await this.#send(getSerial())).sw;
  }

  #metadata(reference: number): Promise<ResponseApdu> {
    return this.#send(getMetadata(reference));
  }

  /**
   * Uses a key once (SP 800-73-4 part 2 section 3.2.4). Sends nothing between a VERIFY and this use, so that a key that
   * needs the PIN each time works. A wrong result may come from another application: the PIV application is then
   * selected, and the use repeated.
   * @param proof The key, the operation, and how the result is checked.
   * @throws {UnsupportedError} for a type or operation that PIV does not have; {DataError} for input of a wrong length.
   */
  async use(name: string, proof: InspectedProof): Promise<InspectedUse> {
    const { publicKey, primitive, input, isRight } = proof;
    const slot = this.#slots.get(name);
    if (!slot) throw new DataError(`PIV has no key ${name}`);
    const { command, read } = keyUse(readUsableKey(slot, publicKey), primitive, input);
    return this.#session.run(async (send, attempt): Promise<InspectedUse> => {
      if (primitive === "ecdh") await attempt.confirm();
      const { sw, data } = await send(command);
      if (sw !== SW.OK) return { sw, right: false };
      let written: Uint8Array | undefined;
      try {
        written = readAuthentication(data);
        const right = await isRight(read(written));
        return right || attempt.confirmed ? { sw, right, written } : attempt.startOver();
      } catch (error) {
        if (!isMalformed(error)) throw error;
        return { sw, right: false, problem: error.message, ...(written && { written }) };
      }
    });
  }

  #send(command: CommandApdu): Promise<ResponseApdu> {
    return this.#session.run((send) => send(command));
  }
}
