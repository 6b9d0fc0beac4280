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

/** A place for a key, as an inspection names it. */
export interface InspectedSlot {
  /** The key reference as the standard writes it: "9A". */
  readonly name: string;
  /** P2 of GENERAL AUTHENTICATE (SP 800-78-4 table 6-1). */
  readonly reference: number;
  /** Tag of the certificate's data object. */
  readonly certificate: number;
  /** 1 for the first retired key (82), up to 20; undefined for the four named keys. */
  readonly retired: number | undefined;
  /** When SP 800-73-4 part 1 table 5 has the card ask for the PIN. */
  readonly pin: KeySlot["pin"];
}

/** The card's answer to GET DATA, whatever it is. */
export interface InspectedObject {
  readonly sw: number;
  /** The value of the outer tag (53, 7E or 7F61); undefined for a refusal, an empty object, or an answer that does not parse. */
  readonly value?: Uint8Array;
  /** Why an answer with 9000 does not parse. */
  readonly problem?: string;
}

/** A use of a key whose result can be checked. */
export interface InspectedProof {
  /** SubjectPublicKeyInfo out of the key's certificate, DER. */
  readonly publicKey: Uint8Array;
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  /** ECDSA as r || s. */
  readonly isRight: (result: Uint8Array) => boolean;
}

/** The card's answer to a use of a key. */
export interface InspectedUse {
  readonly sw: number;
  /** The result is what the key of the certificate gives. */
  readonly right: boolean;
  /** The result as the card wrote it (tag 82), where there is one. */
  readonly written?: Uint8Array;
  /** Why an answer with 9000 does not parse. */
  readonly problem?: string;
}

/** Key reference of the card management key (SP 800-73-4 part 1 table 4b). */
const MANAGEMENT_KEY = 0x9b;

/**
 * Asks a PIV card what it is, and gives the answers as they are: no status word is an error here. Nothing on the card changes and no
 * try of a PIN is spent, but by {@link PivInspection.login}.
 */
export class PivInspection {
  readonly #session: PivSession;
  /** Whether the card tells of its management key, which every card has. */
  readonly #hasMetadata = memoizeAsync(async () => (await this.#metadata(MANAGEMENT_KEY)).sw === SW.OK);
  readonly #slots: ReadonlyMap<string, KeySlot> = new Map(KEY_SLOTS.map((slot) => [referenceName(slot), slot]));

  /** @param card A card that carries the PIV application. */
  constructor(card: Card) {
    this.#session = new PivSession(card);
  }

  /** The 24 places for keys: 9A, 9C, 9D, 9E, 82 to 95. */
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
   * The certificate, DER, in the value of a certificate object.
   * @throws {DataError} as the driver would: this is the certificate that it shows.
   */
  certificate(value: Uint8Array): Uint8Array {
    return readCertificate(value);
  }

  /** The status word of an empty VERIFY, which costs no try (SP 800-73-4 part 2 section 3.2.1). */
  async pinStatus(reference: number): Promise<number> {
    return (await this.#session.runConfirmed((send) => send(verify(reference)))).sw;
  }

  /**
   * VERIFY of the PIN that the cardholder uses, once.
   * @throws {PinError} if it is wrong or blocked; {@link StatusError} for any other refusal.
   */
  async login(pin: Uint8Array): Promise<void> {
    checkPin(pin);
    const { pin: reference } = await this.#session.discovery();
    await this.#session.runConfirmed((send) => verifyPin(send, reference, pin));
  }

  /** Makes the card forget the PIN; a card that cannot be told to is reset. */
  async logout(): Promise<void> {
    const { pin: reference } = await this.#session.discovery();
    const { sw } = await this.#session.runConfirmed((send) => send(unverify(reference)));
    if (sw !== SW.OK) await this.#session.reset();
  }

  /** Yubico's metadata of a key or PIN, whatever the status word; undefined for a card that has no such command. */
  async metadata(reference: number): Promise<ResponseApdu | undefined> {
    return (await this.#hasMetadata()) ? this.#metadata(reference) : undefined;
  }

  /** The status word of Yubico's GET SERIAL, which firmware before 5 does not know. */
  async deviceSerialStatus(): Promise<number> {
    return (await this.#send(getSerial())).sw;
  }

  #metadata(reference: number): Promise<ResponseApdu> {
    return this.#send(getMetadata(reference));
  }

  /**
   * One use of a key (SP 800-73-4 part 2 section 3.2.4). Where it follows a VERIFY at once nothing is sent in between, so a key that
   * wants the PIN each time can be used.
   * A wrong result may be another application's: then this one is selected, and asked again.
   * @param proof The key, what it computes, and how the result is checked.
   * @throws {UnsupportedError} for a type or use that PIV does not have; {DataError} for input of a wrong length.
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
        const right = isRight(read(written));
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
