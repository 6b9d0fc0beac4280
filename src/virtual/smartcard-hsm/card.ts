import { createHash, type KeyObject, randomBytes } from "node:crypto";
import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { SerialQueue } from "../../async/index.ts";
import { concat, DataError, fromHex, toHex } from "../../bytes/index.ts";
import { ReferenceData, Refusal, type VirtualCard } from "../card.ts";
import { describeKey, ecdh, ecdsa, FILE_KEY_TYPES, generateKey, KEY_TYPES, rsaRaw } from "../keys.ts";
import { type CardCommand, CardTransport } from "../transport.ts";
import { addShare, checkValue, type Dkek, newDkek, SHARE_LENGTH, unwrapKey, wrapKey } from "./dkek.ts";
import { encodeImage } from "./image.ts";
import { CODE_TRIES, type HsmContents, type HsmSecurity } from "./model.ts";
import { certificateRequest, deviceCertificates, generateRequested } from "./requests.ts";

/** The applet's name, and an answer to reset of CardContact's cards (OpenSC, card-sc-hsm.c). */
const AID = "e82b0601040181c31f0201";
const ATR = fromHex("3bde18ff8191fe1fc38031815448534d317380214081071c");
const DEVICE_CERTIFICATES = "2f02";
/** Where UNWRAP KEY finds the wrapped key. */
const WRAPPED_KEY = "2f10";
const REFERENCE = { PIN: 0x81, CODE: 0x88 } as const;
const CODE_LENGTH = 8;
const PIN_LENGTH = { MIN: 6, MAX: 16 } as const;
/** Bytes of all files together. */
const MEMORY = 76_000;
/** Instructions with the class byte 80. */
const PROPRIETARY: readonly number[] = [0x50, 0x52, 0x58, 0x62, 0x68, 0x72, 0x74];
const UNCHANGING: readonly number[] = [0xa4, 0xb1, 0x58, 0x62, 0x68, 0x72, 0x84];
/** Hashes that the card computes itself, by the algorithm of SIGN. */
const HASHES: ReadonlyMap<number, string> = new Map([
  [0x71, "sha1"],
  [0x72, "sha224"],
  [0x73, "sha256"],
  [0x74, "sha384"],
  [0x75, "sha512"],
]);

/** Persists the card image. */
type Keep = (image: string) => Promise<void>;

/** Options of a new SmartCard-HSM; everything has a default. */
export interface SmartCardHsmOptions {
  /** The number of the device, 11 characters; default: DENK with seven random digits. */
  readonly serial?: string;
}

/**
 * A SmartCard-HSM in software, as its maker delivers it: without PINs and keys, until INITIALIZE DEVICE. It is a test card:
 * its keys are unprotected in the memory of this process and in its file.
 */
export class VirtualSmartCardHsm implements VirtualCard {
  readonly atr = ATR;
  readonly #contents: HsmContents;
  readonly #transport: CardTransport;
  readonly #keep: Keep | undefined;
  readonly #queue = new SerialQueue();
  #kept: string;
  #selected = false;
  #verified = false;
  /** What READ BINARY and UPDATE BINARY without an identifier use. */
  #current = "";
  #wrapped: Uint8Array = new Uint8Array();

  /** @param contents The card owns it. @internal */
  constructor(contents: HsmContents, keep?: Keep) {
    this.#contents = contents;
    this.#keep = keep;
    this.#kept = keep ? this.image() : "";
    const takesClass = (cla: number, ins: number): boolean => cla === 0x80 && PROPRIETARY.includes(ins);
    this.#transport = new CardTransport({ extended: true, impliedNe: 0, noChaining: true, takesClass }, (command) =>
      this.#run(command),
    );
  }

  /** @throws {DataError} for an impossible serial number. */
  static async create({ serial = randomSerial() }: SmartCardHsmOptions = {}): Promise<VirtualSmartCardHsm> {
    if (!/^[A-Z]{4}\d{7}$/u.test(serial)) throw new DataError("SmartCard-HSM: a serial number is like DENK0100123");
    const deviceKey = await generateKey(KEY_TYPES["p-256"]);
    const files = new Map([[DEVICE_CERTIFICATES, concat(...deviceCertificates(deviceKey, serial))]]);
    return new VirtualSmartCardHsm({ serial, deviceKey, files, keys: new Map(), security: undefined });
  }

  reset(): void {
    this.#selected = false;
    this.#verified = false;
    this.#current = "";
    this.#transport.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#queue.run(() => this.#transport.transmit(command));
  }

  /** Everything on the card, keys and PINs too, as the text of its file. */
  image(): string {
    return encodeImage(this.#contents);
  }

  async #run(command: CardCommand): Promise<Uint8Array> {
    try {
      return await this.#perform(command);
    } finally {
      if (!UNCHANGING.includes(command.ins)) await this.#keepChanges();
    }
  }

  async #keepChanges(): Promise<void> {
    if (this.#keep === undefined) return;
    const image = this.image();
    if (image === this.#kept) return;
    try {
      await this.#keep(image);
    } catch {
      throw new Refusal(SW.MEMORY_FAILURE);
    }
    this.#kept = image;
  }

  #perform(command: CardCommand): Uint8Array | Promise<Uint8Array> {
    const { ins, p1, p2, data, ne } = command;
    if (ins === 0xa4) return this.#select(command);
    if (!this.#selected) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    const named = toHex(Uint8Array.of(p1, p2));
    const id = named === "0000" ? this.#current : named;
    switch (ins) {
      case 0x20:
        return this.#verify(p2, data);
      case 0x24:
        return this.#change(p2, data);
      case 0x2c:
        return this.#resetRetryCounter(p2, data);
      case 0x46:
        return this.#generate(p1, data);
      case 0x50:
        return this.#initialise(data);
      case 0x52:
        return this.#dkek(data);
      case 0x58:
        return this.#enumerate();
      case 0x62:
        return this.#decipher(p1, p2, data);
      case 0x68:
        return this.#sign(p1, p2, data);
      case 0x72:
        return wrapKey(this.#completeDkek(), this.#key(p1));
      case 0x74:
        return this.#unwrap(p1, data);
      case 0x84:
        return getChallenge(ne);
      case 0xb1:
        return this.#read(id, data, ne);
      case 0xd7:
        return this.#update(id, data);
      case 0xe4:
        return this.#delete(toHex(data));
      default:
        throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    }
  }

  #select({ p1, p2, data, ne }: CardCommand): Uint8Array {
    const name = toHex(data);
    if (p1 === 0x04) {
      if (name !== AID) throw new Refusal(SW.FILE_NOT_FOUND);
      this.#selected = true;
      this.#verified = false;
      return encodeTlv(0x6f, encodeTlv(0x84, fromHex(AID)), encodeTlv(0x85, fromHex("0005000302")));
    }
    if (!this.#selected || p1 !== 0x00 || (p2 !== 0x00 && p2 !== 0x04 && p2 !== 0x0c)) {
      throw new Refusal(SW.INCORRECT_P1_P2);
    }
    const number = name.startsWith("cc") ? Number.parseInt(name.slice(2), 16) : undefined;
    const file = number === undefined ? this.#contents.files.get(name) : this.#contents.keys.has(number) && NOTHING;
    if (!file) throw new Refusal(SW.FILE_NOT_FOUND);
    this.#current = name;
    if (ne === undefined) return NOTHING;
    const size = Uint8Array.of(file.length >> 8, file.length & 0xff);
    return encodeTlv(0x62, encodeTlv(0x80, size), encodeTlv(0x82, Uint8Array.of(1)), encodeTlv(0x83, data));
  }

  #read(id: string, data: Uint8Array, ne = 0): Uint8Array {
    const file = this.#contents.files.get(id);
    const [tag, length, high = 0, low = 0] = data;
    if (tag !== 0x54 || length !== 2 || data.length !== 4) throw new Refusal(SW.WRONG_DATA);
    if (!file) throw new Refusal(SW.FILE_NOT_FOUND);
    if (id.startsWith("cd")) this.#requirePin();
    const offset = high * 256 + low;
    return file.subarray(offset, offset + ne);
  }

  #enumerate(): Uint8Array {
    const keys = [0, ...this.#contents.keys.keys()].map((number) => Uint8Array.of(0xcc, number));
    return concat(...keys, ...[...this.#contents.files.keys()].map((id) => fromHex(id)));
  }

  /** A file that is absent is made. */
  #update(id: string, data: Uint8Array): Uint8Array {
    const fields = readTlvs(data);
    const [high = 0, low = 0] = findTlv(fields, 0x54) ?? [];
    const bytes = findTlv(fields, 0x53);
    const offset = high * 256 + low;
    const old = (id === WRAPPED_KEY ? this.#wrapped : this.#contents.files.get(id)) ?? NOTHING;
    if (!bytes || id === "" || id === DEVICE_CERTIFICATES || offset > old.length) throw new Refusal(SW.WRONG_DATA);
    this.#requirePin();
    const whole = concat(
      old.subarray(0, offset),
      bytes,
      id === WRAPPED_KEY ? NOTHING : old.subarray(offset + bytes.length),
    );
    if (id === WRAPPED_KEY) this.#wrapped = whole;
    else {
      this.#requireRoom(whole.length - old.length);
      this.#contents.files.set(id, whole);
    }
    this.#current = id;
    return NOTHING;
  }

  #requireRoom(more: number): void {
    const { files, keys } = this.#contents;
    const sizes = [...files.values()].map(({ length }) => length);
    const used = [...sizes, ...[...keys.values()].map(sizeOf), more].reduce((sum, size) => sum + size, 0);
    if (used > MEMORY) throw new Refusal(SW.NOT_ENOUGH_MEMORY);
  }

  #delete(id: string): Uint8Array {
    this.#requirePin();
    const { files, keys } = this.#contents;
    if (id === DEVICE_CERTIFICATES || id === "cc00") throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    const gone = id.startsWith("cc") ? keys.delete(Number.parseInt(id.slice(2), 16)) : files.delete(id);
    if (!gone) throw new Refusal(SW.FILE_NOT_FOUND);
    return NOTHING;
  }

  /** GENERATE ASYMMETRIC KEY PAIR; the request comes back, and is in no file. */
  async #generate(number: number, data: Uint8Array): Promise<Uint8Array> {
    this.#requireFree(number);
    const key = await generateRequested(data);
    this.#requireRoom(sizeOf(key));
    this.#contents.keys.set(number, key);
    return certificateRequest(key, this.#contents.serial);
  }

  #requireFree(number: number): void {
    this.#requirePin();
    if (number === 0 || this.#contents.keys.has(number)) throw new Refusal(SW.FILE_EXISTS);
  }

  /**
   * INITIALIZE DEVICE: options (80), PIN (81), initialisation code (82), tries (91), number of DKEK shares (92). A card that
   * has a code wants the same once more (OpenSC, card-sc-hsm.c, sc_hsm_initialize).
   */
  #initialise(data: Uint8Array): Uint8Array {
    const fields = readTlvs(data, "INITIALIZE DEVICE");
    const [, options = 0] = findTlv(fields, 0x80) ?? [];
    const pin = findTlv(fields, 0x81) ?? NOTHING;
    const code = findTlv(fields, 0x82) ?? NOTHING;
    const [tries = 3] = findTlv(fields, 0x91) ?? [];
    const shares = findTlv(fields, 0x92)?.[0];
    if (code.length !== CODE_LENGTH || !isPinLength(pin.length)) throw new Refusal(SW.WRONG_DATA);
    if (tries < 1 || tries > mostTries(pin.length)) throw new Refusal(SW.WRONG_DATA);
    const { files, keys, security } = this.#contents;
    if (security) {
      if (security.code.blocked) throw new Refusal(SW.AUTHENTICATION_METHOD_BLOCKED);
      if (!security.code.matches(code)) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    }
    for (const id of [...files.keys()]) if (id !== DEVICE_CERTIFICATES) files.delete(id);
    keys.clear();
    this.#contents.security = {
      pin: new ReferenceData(pin.slice(), tries),
      code: new ReferenceData(code.slice(), CODE_TRIES),
      allowsReset: (options & 0x01) !== 0,
      dkek: shares === undefined ? undefined : newDkek(shares),
    };
    this.#verified = false;
    return NOTHING;
  }

  /** IMPORT DKEK SHARE, or without data the state: shares, those that are missing, the check value. */
  #dkek(data: Uint8Array): Uint8Array {
    const dkek = this.#security().dkek;
    if (!dkek) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    if (data.length > 0) {
      if (data.length !== SHARE_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
      if (dkek.outstanding === 0) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
      addShare(dkek, data);
    }
    return concat(Uint8Array.of(dkek.shares, dkek.outstanding), checkValue(dkek));
  }

  #completeDkek(): Dkek {
    const { dkek } = this.#security();
    if (!dkek) throw new Refusal(SW.INSTRUCTION_NOT_SUPPORTED);
    if (dkek.outstanding > 0) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    return dkek;
  }

  /** UNWRAP KEY, of the key in the command or, without one, in EF 2F10. */
  #unwrap(number: number, data: Uint8Array): Uint8Array {
    const dkek = this.#completeDkek();
    this.#requireFree(number);
    const key = unwrapKey(dkek, data.length > 0 ? data : this.#wrapped);
    this.#requireRoom(sizeOf(key));
    this.#contents.keys.set(number, key);
    return NOTHING;
  }

  #security(): HsmSecurity {
    const { security } = this.#contents;
    if (!security) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
    return security;
  }

  #reference(reference: number): ReferenceData {
    const { pin, code } = this.#security();
    if (reference === REFERENCE.PIN) return pin;
    if (reference === REFERENCE.CODE) return code;
    throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  }

  /** Without data the tries that are left. The code is never verified alone. */
  #verify(reference: number, data: Uint8Array): Uint8Array {
    const value = this.#reference(reference);
    if (data.length === 0) {
      if (reference === REFERENCE.PIN && this.#verified) return NOTHING;
      throw new Refusal(triesLeft(value));
    }
    if (reference !== REFERENCE.PIN) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
    this.#verified = false;
    compare(value, data);
    this.#verified = true;
    return NOTHING;
  }

  #change(reference: number, data: Uint8Array): Uint8Array {
    const value = this.#reference(reference);
    const { length } = value.value;
    const fresh = data.subarray(length);
    if (reference === REFERENCE.PIN ? !isPinLength(fresh.length) : fresh.length !== CODE_LENGTH) {
      throw new Refusal(SW.WRONG_LENGTH);
    }
    compare(value, data.subarray(0, length));
    value.replace(fresh);
    return NOTHING;
  }

  #resetRetryCounter(reference: number, data: Uint8Array): Uint8Array {
    const { allowsReset, code, pin } = this.#security();
    if (reference !== REFERENCE.PIN) throw new Refusal(SW.INCORRECT_P1_P2);
    if (!allowsReset) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    const fresh = data.subarray(CODE_LENGTH);
    if (!isPinLength(fresh.length)) throw new Refusal(SW.WRONG_LENGTH);
    compare(code, data.subarray(0, CODE_LENGTH));
    pin.replace(fresh);
    return NOTHING;
  }

  #requirePin(): void {
    if (!this.#verified) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
  }

  #key(number: number): KeyObject {
    const key = this.#contents.keys.get(number);
    if (!key) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
    this.#requirePin();
    return key;
  }

  #sign(number: number, algorithm: number, data: Uint8Array): Uint8Array {
    const key = this.#key(number);
    const info = describeKey(key, FILE_KEY_TYPES);
    if (info.type === "rsa" && algorithm === 0x20) return rsaRaw(key, data);
    if (info.type === "ec" && algorithm === 0x70) return ecdsa(key, info, data);
    const hash = HASHES.get(algorithm);
    if (info.type !== "ec" || hash === undefined) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    return ecdsa(
      key,
      info,
      createHash(hash)
        .update(data)
        .digest()
        .subarray(0, Math.ceil(info.bits / 8)),
    );
  }

  #decipher(number: number, algorithm: number, data: Uint8Array): Uint8Array {
    const key = this.#key(number);
    const info = describeKey(key, FILE_KEY_TYPES);
    if (info.type === "rsa" && algorithm === 0x21) return rsaRaw(key, data);
    if (info.type !== "ec" || algorithm !== 0x80) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
    // The whole point. OpenSSL gives only its x, and readers take no more.
    const x = ecdh(key, info, data);
    return concat(Uint8Array.of(0x04), x, randomBytes(x.length));
  }
}

const NOTHING = new Uint8Array();

/** GET CHALLENGE: so many random bytes. */
const getChallenge = (ne = 8): Uint8Array => randomBytes(Math.min(ne, 1024));

const randomSerial = (): string => `DENK${String(randomBytes(4).readUInt32BE() % 10_000_000).padStart(7, "0")}`;

const isPinLength = (length: number): boolean => length >= PIN_LENGTH.MIN && length <= PIN_LENGTH.MAX;

/** A short PIN has few tries (OpenSC, sc-hsm-tool.c, initialize). */
const mostTries = (length: number): number => (length === 6 ? 3 : length === 7 ? 5 : 10);

/** Bytes of a key in the card's memory. */
const sizeOf = (key: KeyObject): number => describeKey(key, FILE_KEY_TYPES).bits;

const triesLeft = ({ blocked, tries }: ReferenceData): number =>
  blocked ? SW.AUTHENTICATION_METHOD_BLOCKED : SW.TRIES_LEFT | Math.min(tries, 15);

function compare(value: ReferenceData, candidate: Uint8Array): void {
  if (value.blocked) throw new Refusal(SW.AUTHENTICATION_METHOD_BLOCKED);
  const { length } = value.value;
  // One of another length costs a try, too.
  const same = candidate.length === length ? candidate : value.value.map((octet) => octet ^ 0xff);
  if (!value.matches(same)) throw new Refusal(triesLeft(value));
}
