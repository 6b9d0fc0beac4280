import { constants, type KeyObject, privateEncrypt } from "node:crypto";
import { decodeCommand, encodeResponse } from "../../src/apdu/index.ts";
import { concat, equalBytes, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";

export const PIN = utf8("12345678");

/** Two buffers as the card holds them, without their lengths. */
export interface Buffers {
  readonly tags: Uint8Array;
  readonly values: Uint8Array;
  /** The first two bytes of the value buffer say this instead of its length. */
  readonly claimedLength?: number;
  /** 6982 before VERIFY. */
  readonly guarded?: boolean;
}

export interface Applet {
  /** By object identifier, hexadecimal; "" for an applet with a single object that is not selected. */
  readonly objects?: Readonly<Record<string, Buffers>>;
  /** The answer to GET PROPERTIES; 6A88 without. */
  readonly properties?: Uint8Array;
  /** The answer to GET ACR. */
  readonly serviceTable?: Uint8Array;
  /** What GET CERTIFICATE gives. */
  readonly certificate?: Uint8Array;
  readonly key?: KeyObject;
}

/** How the card departs from the usual one. */
export interface Quirks {
  /** A READ BUFFER for more than there is gets 6A86. */
  readonly exact?: boolean;
  /** The most that one READ BUFFER gives. */
  readonly maxRead?: number;
  /** Only this applet knows VERIFY. */
  readonly pinApplet?: string;
  /** CHANGE REFERENCE DATA wants this P1; unknown without. */
  readonly changeP1?: number;
}

/** A CAC that holds what it was given, and computes with its keys. T=1, so that each command is one exchange. */
export class AppletCard implements InProcessCard {
  readonly atr = fromHex("3b800181");
  readonly commands: string[] = [];
  /** Applets by identifier, hexadecimal. */
  readonly applets: Map<string, Applet>;
  tries = 3;
  pin: Uint8Array = PIN;
  readonly #quirks: Quirks;
  #selected: { readonly aid: string; readonly applet: Applet } | undefined;
  #object = "";
  #verified = false;
  #block: Uint8Array = new Uint8Array();
  #offset = 0;

  constructor(applets: Readonly<Record<string, Applet>>, quirks: Quirks = {}) {
    this.applets = new Map(Object.entries(applets));
    this.#quirks = quirks;
  }

  reset(): void {
    this.#selected = undefined;
    this.#verified = false;
    this.#block = new Uint8Array();
  }

  /** Another application is selected, without a notice. */
  loseSelection(): void {
    this.#selected = undefined;
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    this.commands.push(toHex(command));
    return Promise.resolve(this.#answer(command));
  }

  #answer(bytes: Uint8Array): Uint8Array {
    const { cla, ins, p1, p2, data = new Uint8Array(), ne = 256 } = decodeCommand(bytes);
    if (cla === 0x80) return this.#proprietary(ins, (p1 << 8) | p2, data, ne);
    if (ins === 0xa4) return this.#select(p1, data);
    if (ins === 0x20) return this.#verify(data);
    return ins === 0x24 ? this.#change(p1, data) : fromHex("6d00");
  }

  #proprietary(ins: number, p1p2: number, data: Uint8Array, ne: number): Uint8Array {
    const applet = this.#selected?.applet;
    if (!applet) return fromHex("6900");
    if (ins === 0x52) return this.#readBuffer(applet, p1p2, data);
    if (ins === 0x56) return p1p2 === 0x0100 && applet.properties ? success(applet.properties) : fromHex("6a88");
    if (ins === 0x4c && p1p2 === 0x2100 && applet.serviceTable) return success(applet.serviceTable);
    if (ins === 0x36 && applet.certificate) return this.#getCertificate(applet.certificate, ne);
    return ins === 0x42 && applet.key ? this.#sign(applet.key, p1p2 === 0, data) : fromHex("6d00");
  }

  #select(p1: number, name: Uint8Array): Uint8Array {
    this.#offset = 0;
    const id = toHex(name);
    if (p1 === 0x02) {
      if (!this.#selected?.applet.objects?.[id]) return fromHex("6a82");
      this.#object = id;
      return fromHex("9000");
    }
    // libcacard drops the parts of a block, too (cac.c, cac_applet_pki_reset).
    this.#block = new Uint8Array();
    const applet = this.applets.get(id);
    // As GSC-IS 2.1 has it, nothing is selected then.
    this.#selected = applet && { aid: id, applet };
    this.#object = "";
    return fromHex(applet ? "9000" : "6a82");
  }

  #verify(padded: Uint8Array): Uint8Array {
    const { pinApplet } = this.#quirks;
    if (!this.#selected || (pinApplet !== undefined && this.#selected.aid !== pinApplet)) return fromHex("6d00");
    if (padded.length === 0) return this.#verified ? fromHex("9000") : triesLeft(this.tries);
    if (this.tries === 0) return fromHex("6983");
    this.#verified = equalBytes(padded, pad(this.pin));
    this.tries = this.#verified ? 3 : this.tries - 1;
    return this.#verified ? fromHex("9000") : triesLeft(this.tries);
  }

  #change(p1: number, pins: Uint8Array): Uint8Array {
    if (p1 !== this.#quirks.changeP1) return fromHex("6d00");
    const right = equalBytes(pins.subarray(0, 8), pad(this.pin));
    if (right) this.pin = pins.slice(8, 16).filter((octet) => octet !== 0xff);
    this.tries = right ? 3 : this.tries - 1;
    return right ? fromHex("9000") : triesLeft(this.tries);
  }

  #readBuffer(applet: Applet, offset: number, data: Uint8Array): Uint8Array {
    const buffers = applet.objects?.[this.#object] ?? Object.values(applet.objects ?? {})[0];
    if (!buffers) return fromHex("6a82");
    if (buffers.guarded === true && !this.#verified) return fromHex("6982");
    const [kind, wanted = 0] = data;
    const contents = kind === 1 ? buffers.tags : buffers.values;
    const claimed = kind === 2 ? (buffers.claimedLength ?? contents.length) : contents.length;
    const file = concat(Uint8Array.of(claimed & 0xff, claimed >> 8), contents);
    const isBeyond = offset > file.length || (this.#quirks.exact === true && offset + wanted > file.length);
    if (isBeyond) return fromHex("6a86");
    return success(file.subarray(offset, offset + Math.min(wanted, this.#quirks.maxRead ?? 255)));
  }

  #getCertificate(certificate: Uint8Array, wanted: number): Uint8Array {
    const part = certificate.subarray(this.#offset, this.#offset + wanted);
    this.#offset += part.length;
    const left = Math.min(certificate.length - this.#offset, 0xff);
    return encodeResponse({ data: part, sw: left === 0 ? 0x9000 : 0x6300 | left });
  }

  #sign(key: KeyObject, last: boolean, part: Uint8Array): Uint8Array {
    if (!this.#verified) return fromHex("6982");
    this.#block = concat(this.#block, part);
    if (!last) return fromHex("9000");
    const block = this.#block;
    this.#block = new Uint8Array();
    return success(privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, block));
  }
}

const success = (data: Uint8Array): Uint8Array => encodeResponse({ data, sw: 0x9000 });
const triesLeft = (tries: number): Uint8Array => fromHex(tries === 0 ? "6983" : `63c${tries}`);
const pad = (pin: Uint8Array): Uint8Array => concat(pin, new Uint8Array(8 - pin.length).fill(0xff));
