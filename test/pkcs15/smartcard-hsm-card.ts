import { createHash, type KeyObject, randomBytes } from "node:crypto";
import { decodeCommand, encodeTlv, findTlv, readTlvs } from "../../src/apdu/index.ts";
import { concat, DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { describeKey, ecdh, ecdsa, rsaRaw } from "../../src/virtual/keys.ts";
import { issueCertificate } from "../../src/virtual/pkcs15/plan.ts";
import { ReferenceData } from "../../src/virtual/card.ts";
import { testKey } from "../virtual/keys.ts";
import { certificate, dataObject, privateKey } from "./directory-files.ts";
import { deviceCertificate, generate, request } from "./smartcard-hsm-request.ts";

const AID = "e82b0601040181c31f0201";
const HSM_ATR = "3bde18ff8191fe1fc38031815448534d31738021408107" + "1c";
export const HSM_PIN = "648219";
/** The code's letters count as digits of 10 to 15. */
export const HSM_CODE = "3537363231383aFf";

const MISSING = 0x6a82;
const LOCKED = 0x6982;
const END_OF_FILE = 0x6282;
/** Le of an extended command for all that there is. */
const ALL = 65_536;

/** ECDSA with the hash computed by the card. */
const HASHES: ReadonlyMap<number, string> = new Map([
  [0x71, "sha1"],
  [0x72, "sha224"],
  [0x73, "sha256"],
  [0x74, "sha384"],
  [0x75, "sha512"],
]);

/** What a command is answered with if not with 9000. */
class Refusal extends Error {
  readonly sw: number;
  readonly data: Uint8Array;
  constructor(sw: number, data: Uint8Array = new Uint8Array()) {
    super(sw.toString(16));
    this.sw = sw;
    this.data = data;
  }
}

/**
 * A SmartCard-HSM as CardContact's and OpenSC's programs know it, and strict: what they never send it refuses. Its keys are real.
 */
export class SmartCardHsm implements InProcessCard {
  readonly atr: Uint8Array;
  /** What reached it, hexadecimal. */
  readonly commands: string[] = [];
  /** Answers that take the place of its own, by the first four bytes of a command. */
  readonly lies = new Map<string, string>();
  readonly files = new Map<string, Uint8Array>();
  readonly keys = new Map<number, KeyObject>();
  /** ENUMERATE OBJECTS tells of the certificates of keys, as some firmware does not. */
  listsCertificates = true;
  /** Keys and PINs were set up: INITIALIZE DEVICE was run. */
  initialised = true;
  /** RESET RETRY COUNTER was allowed when the card was initialised. */
  allowsReset = true;
  readonly pin = new ReferenceData(utf8(HSM_PIN), 3);
  readonly #code = new ReferenceData(fromHex(HSM_CODE.toLowerCase()), 15);
  #selected = false;
  #verified = false;
  /** What READ BINARY without an identifier reads. */
  #current = "";

  constructor(atr = HSM_ATR) {
    this.atr = fromHex(atr);
    this.files.set("2f02", concat(deviceCertificate("DENK0100123"), deviceCertificate("DESRCACC1")));
    this.files.set("2f03", tokenInfoFile("Lab HSM"));
    this.keys.set(0, testKey("p-256", "device"));
  }

  reset(): void {
    this.#selected = false;
    this.#verified = false;
    this.#current = "";
  }

  transmit(bytes: Uint8Array): Promise<Uint8Array> {
    this.commands.push(toHex(bytes));
    const lie = this.lies.get(toHex(bytes.subarray(0, 4)));
    return Promise.resolve(lie === undefined ? this.#answer(bytes) : fromHex(lie));
  }

  #answer(bytes: Uint8Array): Uint8Array {
    try {
      return concat(this.#perform(bytes), fromHex("9000"));
    } catch (error) {
      if (error instanceof DataError) return fromHex("6a80");
      if (!(error instanceof Refusal)) throw error;
      return concat(error.data, Uint8Array.of(error.sw >> 8, error.sw & 0xff));
    }
  }

  #perform(bytes: Uint8Array): Uint8Array {
    const { cla, ins, p1, p2, data = new Uint8Array(), ne } = decodeCommand(bytes);
    const header = toHex(Uint8Array.of(cla, ins));
    if (header === "00a4") return this.#select(p1, p2, toHex(data), ne);
    if (!this.#selected) throw new Refusal(0x6d00);
    switch (header) {
      case "00b1":
        return this.#read(toHex(Uint8Array.of(p1, p2)), data, ne);
      case "8058":
        if (p1 !== 0 || p2 !== 0 || ne === undefined) throw new Refusal(0x6a86);
        return this.#list().subarray(0, ne);
      case "00d7":
        return this.#update(toHex(Uint8Array.of(p1, p2)), data);
      case "00e4":
        return this.#delete(p1, p2, toHex(data));
      case "0046":
        return this.#generate(p1, data, ne);
      case "0020":
        return this.#verify(p1, p2, data);
      case "0024":
        return this.#change(p1, p2, data);
      case "002c":
        return this.#unblock(p1, p2, data);
      case "8068":
        return this.#sign(p1, p2, data, ne);
      case "8062":
        return this.#decipher(p1, p2, data, ne);
      default:
        throw new Refusal(cla === 0x00 || cla === 0x80 ? 0x6d00 : 0x6e00);
    }
  }

  #select(p1: number, p2: number, name: string, ne: number | undefined): Uint8Array {
    // Versions before 0.16 know no P2 but 00 and 04, and all want Le.
    if ((p2 !== 0x00 && p2 !== 0x04) || ne === undefined) throw new Refusal(0x6a86);
    if (p1 === 0x04) {
      if (name !== AID) throw new Refusal(MISSING);
      this.#selected = true;
      this.#verified = false;
      return encodeTlv(0x6f, encodeTlv(0x84, fromHex(AID)), encodeTlv(0x85, fromHex("0005000302")));
    }
    if (!this.#selected || p1 !== 0x00 || name.length !== 4) throw new Refusal(0x6a86);
    const file = this.files.get(name);
    if (!file) throw new Refusal(MISSING);
    this.#current = name;
    return encodeTlv(0x62, encodeTlv(0x82, Uint8Array.of(1)), encodeTlv(0x83, fromHex(name)));
  }

  #read(named: string, data: Uint8Array, ne: number | undefined): Uint8Array {
    const id = named === "0000" ? this.#current : named;
    const [tag, length, high = 0, low = 0] = data;
    if (tag !== 0x54 || length !== 2 || data.length !== 4 || ne === undefined) throw new Refusal(0x6a80);
    // All that there is, or what fits a short answer: no caller requests a number between.
    if (ne > 256 && ne !== ALL) throw new Refusal(0x6700);
    const file = this.files.get(id);
    if (!file) throw new Refusal(MISSING);
    if (id.startsWith("cd") && !this.#verified) throw new Refusal(LOCKED);
    const offset = high * 256 + low;
    const part = file.subarray(offset, offset + ne);
    // All was wanted, or a number of bytes that the file does not have.
    if (part.length < ne && ne !== ALL) throw new Refusal(END_OF_FILE, part);
    return part;
  }

  #list(): Uint8Array {
    const keys = [...this.keys.keys()].map((number) => Uint8Array.of(0xcc, number));
    const files = [...this.files.keys()].filter((id) => this.listsCertificates || !id.startsWith("ce"));
    return concat(...keys, ...files.map((id) => fromHex(id)));
  }

  /** A file that is not there is made by it. */
  #update(named: string, data: Uint8Array): Uint8Array {
    const id = named === "0000" ? this.#current : named;
    const fields = readTlvs(data);
    const [high = 0, low = 0] = findTlv(fields, 0x54) ?? [];
    const bytes = findTlv(fields, 0x53);
    const old = this.files.get(id) ?? new Uint8Array();
    const offset = high * 256 + low;
    if (!bytes || id === "" || offset > old.length) throw new Refusal(0x6a80);
    if (!this.#verified) throw new Refusal(LOCKED);
    this.files.set(id, concat(old.subarray(0, offset), bytes, old.subarray(offset + bytes.length)));
    this.#current = id;
    return new Uint8Array();
  }

  #delete(p1: number, p2: number, id: string): Uint8Array {
    if (p1 !== 0x02 || p2 !== 0x00 || id.length !== 4) throw new Refusal(0x6a86);
    if (!this.#verified) throw new Refusal(LOCKED);
    const gone = id.startsWith("cc") ? this.keys.delete(Number.parseInt(id.slice(2), 16)) : this.files.delete(id);
    if (!gone) throw new Refusal(MISSING);
    return new Uint8Array();
  }

  /** GENERATE ASYMMETRIC KEY PAIR; the request comes back, and is in no file yet. */
  #generate(number: number, data: Uint8Array, ne: number | undefined): Uint8Array {
    if (!this.#verified) throw new Refusal(LOCKED);
    if (this.keys.has(number)) throw new Refusal(0x6a89);
    const key = generate(data);
    this.keys.set(number, key);
    return atMost(request(key), ne);
  }

  #verify(p1: number, reference: number, data: Uint8Array): Uint8Array {
    const pin = this.#reference(p1, reference);
    if (data.length === 0) {
      if (pin === this.pin && this.#verified) return new Uint8Array();
      throw new Refusal(pin.blocked ? 0x6983 : 0x63c0 + pin.tries);
    }
    // No program verifies the initialisation code.
    if (pin !== this.pin) throw new Refusal(0x6a88);
    this.#verified = false;
    compare(pin, data);
    this.#verified = true;
    return new Uint8Array();
  }

  #change(p1: number, reference: number, data: Uint8Array): Uint8Array {
    const pin = this.#reference(p1, reference);
    const length = pin.value.length;
    compare(pin, data.subarray(0, length));
    const fresh = data.subarray(length);
    if (pin === this.#code ? fresh.length !== 8 : fresh.length < 6 || fresh.length > 15) throw new Refusal(0x6700);
    pin.replace(fresh);
    return new Uint8Array();
  }

  #unblock(p1: number, reference: number, data: Uint8Array): Uint8Array {
    if (p1 !== 0 || reference !== 0x81) throw new Refusal(0x6a86);
    if (!this.allowsReset) throw new Refusal(0x6985);
    if (data.length < 8 + 6 || data.length > 8 + 15) throw new Refusal(0x6700);
    compare(this.#code, data.subarray(0, 8));
    this.pin.replace(data.subarray(8));
    return new Uint8Array();
  }

  #reference(p1: number, reference: number): ReferenceData {
    if (p1 !== 0) throw new Refusal(0x6a86);
    if (!this.initialised) throw new Refusal(0x6a88);
    if (reference === 0x81) return this.pin;
    if (reference === 0x88) return this.#code;
    throw new Refusal(0x6a88);
  }

  #sign(number: number, algorithm: number, data: Uint8Array, ne: number | undefined): Uint8Array {
    const key = this.#key(number);
    const info = describeKey(key);
    if (info.type === "rsa" && algorithm === 0x20) return atMost(rsaRaw(key, data), ne);
    if (info.type === "ec" && algorithm === 0x70) return atMost(ecdsa(key, info, data), ne);
    const hash = HASHES.get(algorithm);
    if (info.type === "ec" && hash !== undefined) {
      const digest = createHash(hash).update(data).digest();
      return atMost(ecdsa(key, info, digest.subarray(0, info.bits / 8)), ne);
    }
    throw new Refusal(0x6985);
  }

  #decipher(number: number, algorithm: number, data: Uint8Array, ne: number | undefined): Uint8Array {
    const key = this.#key(number);
    const info = describeKey(key);
    if (info.type === "rsa" && algorithm === 0x21) return atMost(rsaRaw(key, data), ne);
    if (info.type !== "ec" || algorithm !== 0x80) throw new Refusal(0x6985);
    // The whole point. OpenSSL gives its x only, and the other half is not needed.
    const x = ecdh(key, info, data);
    return atMost(concat(Uint8Array.of(0x04), x, randomBytes(x.length)), ne);
  }

  #key(number: number): KeyObject {
    const key = this.keys.get(number);
    if (!key) throw new Refusal(0x6a88);
    if (!this.#verified) throw new Refusal(LOCKED);
    return key;
  }

  /** A key with its entry, and a request for a certificate, as GENERATE ASYMMETRIC KEY PAIR leaves them. */
  addKey(number: number, key: KeyObject, label: string, usage = "0520"): this {
    const { type, bits } = describeKey(key);
    if (type !== "rsa" && type !== "ec") throw new Error(`a SmartCard-HSM has no ${type} keys`);
    const id = toHex(Uint8Array.of(number));
    this.keys.set(number, key);
    // Entries by CardContact's programs name no file.
    this.files.set(`c4${id}`, fromHex(privateKey({ label, id, type, bits, usage, path: "", reference: "00" })));
    this.files.set(`ce${id}`, request(key));
    return this;
  }

  /** The certificate takes the place of the request for it. */
  certify(number: number, issued: Uint8Array): void {
    this.files.set(`ce${toHex(Uint8Array.of(number))}`, issued);
  }

  addAuthority(number: number, label: string, issued: Uint8Array): void {
    const id = toHex(Uint8Array.of(number));
    this.files.set(`c8${id}`, fromHex(certificate(label, `aa${id}`, `ca${id}`)));
    this.files.set(`ca${id}`, issued);
  }

  addData(number: number, label: string, value: Uint8Array, guarded = false): void {
    const id = toHex(Uint8Array.of(number));
    const file = `${guarded ? "cd" : "cf"}${id}`;
    this.files.set(`c9${id}`, fromHex(dataObject(label, file)));
    this.files.set(file, value);
  }
}

function compare(reference: ReferenceData, candidate: Uint8Array): void {
  if (reference.blocked) throw new Refusal(0x6983);
  // One of another length costs a try too.
  const sameLength = candidate.length === reference.value.length;
  if (!reference.matches(sameLength ? candidate : reference.value.map((octet) => octet ^ 0xff))) {
    throw new Refusal(reference.tries === 0 ? 0x6983 : 0x63c0 + reference.tries);
  }
}

function atMost(answer: Uint8Array, ne: number | undefined): Uint8Array {
  if (ne === undefined || answer.length > ne) throw new Refusal(0x6700);
  return answer;
}

/** A certificate that its own key has signed. */
export function issue(privateKey: KeyObject, name: string): Promise<Uint8Array> {
  return issueCertificate("authentication", { privateKey, name }, { privateKey, name });
}

/** As OpenSC writes it: a label, and what the card can do. */
function tokenInfoFile(label: string): Uint8Array {
  return encodeTlv(
    0x30,
    encodeTlv(0x02, Uint8Array.of(0)),
    encodeTlv(0x04),
    encodeTlv(0x80, utf8(label)),
    encodeTlv(0x03, Uint8Array.of(4, 0x10)),
  );
}
