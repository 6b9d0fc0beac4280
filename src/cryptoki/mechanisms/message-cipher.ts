import { copySecret, wipe } from "../../bytes/index.ts";
import {
  type AeadParameters,
  decryptCcm,
  decryptGcm,
  encryptCcm,
  encryptGcm,
  randomBytes,
} from "../../crypto/index.ts";
import { CKG_GENERATOR } from "../constants/ck.ts";
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, CryptokiError } from "../errors.ts";
import type { CK_CCM_MESSAGE_PARAMS, CK_GCM_MESSAGE_PARAMS } from "../structures.ts";
import { Collector } from "./operation.ts";
import { fieldsOf } from "./parameter-forms.ts";
import { invalid, readBytes } from "./parameters.ts";
import type { SecretKey, Operation } from "./family.ts";

export type MessageParameter = CK_GCM_MESSAGE_PARAMS | CK_CCM_MESSAGE_PARAMS;

/** The output of C_EncryptMessage: the ciphertext, and the parameter with the generated IV and the tag. */
export interface EncryptedMessage<Parameter extends MessageParameter = MessageParameter> {
  readonly ciphertext: Uint8Array;
  readonly parameter: Parameter;
}

const MAX_MESSAGE = 2 ** 28;
const MAX_IV = 256;
/**
 * Fewer random bits would repeat before the key is changed. "Modules may reject ulIvFixedBits values which are too
 * large."
 */
const MIN_RANDOM_BITS = 56n;

/** How one mechanism's parameter names nonce and tag. */
interface Form {
  readonly structure: "gcmMessage" | "ccmMessage";
  readonly iv: "pIv" | "pNonce";
  readonly tag: "pTag" | "pMAC";
  readonly lengths: (fields: Readonly<Record<string, unknown>>) => {
    readonly iv: unknown;
    readonly fixedBits: unknown;
    readonly generator: unknown;
    /** In bytes. */
    readonly tag: number;
  };
  /** The parameter with the generated values. */
  readonly made: (given: object, iv: Uint8Array, tag: Uint8Array) => MessageParameter;
  readonly ivLengths: readonly [min: number, max: number];
  readonly tags: readonly number[];
  readonly encrypt: typeof encryptGcm;
  readonly decrypt: typeof decryptGcm;
}

const FORMS: ReadonlyMap<number, Form> = new Map<number, Form>([
  [
    CKM.AES_GCM,
    {
      structure: "gcmMessage",
      iv: "pIv",
      tag: "pTag",
      lengths: ({ ulIvLen, ulIvFixedBits, ivGenerator, ulTagBits }) => ({
        iv: ulIvLen,
        fixedBits: ulIvFixedBits,
        generator: ivGenerator,
        tag: Number(ulTagBits) / 8,
      }),
      made: (given, iv, tag) => ({ ...given, pIv: iv, pTag: tag, ulTagBits: 8 * tag.length }),
      ivLengths: [1, MAX_IV],
      tags: [4, 8, 12, 13, 14, 15, 16],
      encrypt: encryptGcm,
      decrypt: decryptGcm,
    },
  ],
  [
    CKM.AES_CCM,
    {
      structure: "ccmMessage",
      iv: "pNonce",
      tag: "pMAC",
      lengths: ({ ulNonceLen, ulNonceFixedBits, nonceGenerator, ulMACLen }) => ({
        iv: ulNonceLen,
        fixedBits: ulNonceFixedBits,
        generator: nonceGenerator,
        tag: Number(ulMACLen),
      }),
      made: (given, iv, tag) => ({ ...given, pNonce: iv, pMAC: tag, ulMACLen: tag.length }),
      ivLengths: [7, 13],
      tags: [4, 6, 8, 10, 12, 14, 16],
      encrypt: encryptCcm,
      decrypt: decryptCcm,
    },
  ],
]);

/** One message with its parameter. */
interface Message {
  readonly iv: Uint8Array;
  readonly additional: Uint8Array;
  readonly tagLength: number;
  /** For decryption; empty until it is known. */
  readonly tag: Uint8Array;
  readonly given: object;
}

/** C_MessageEncryptInit and C_MessageDecryptInit: many messages with one AES key (PKCS#11 3.1 sections 5.9 and 5.11). */
export class MessageCipher implements Operation {
  readonly #key: SecretKey;
  readonly #form: Form;
  /** Number of messages, for nonces that count them. */
  #count = 0n;
  #open: { readonly message: Message; readonly parts: Collector } | undefined;

  /** @throws {CryptokiError} CKR_MECHANISM_INVALID for a mechanism without messages. */
  constructor(key: SecretKey, mechanism: number) {
    const form = FORMS.get(mechanism);
    if (!form) throw new CryptokiError(CKR.MECHANISM_INVALID, "the mechanism does not support messages");
    this.#key = key;
    this.#form = form;
  }

  /** Whether a message in parts is open. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  encrypt(parameter: unknown, additional: Uint8Array, plaintext: Uint8Array): EncryptedMessage {
    return this.#seal(this.#read(parameter, additional, true), plaintext);
  }

  /** @throws {CryptokiError} CKR_AEAD_DECRYPT_FAILED if the message was changed. */
  decrypt(parameter: unknown, additional: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    return this.#unseal(this.#read(parameter, additional, false), ciphertext);
  }

  /** Whether the first part is still to come. */
  begin(parameter: unknown, additional: Uint8Array, encrypting: boolean): void {
    const message = this.#read(parameter, additional, encrypting);
    this.#open = {
      message,
      parts: new Collector(MAX_MESSAGE, encrypting ? CKR.DATA_LEN_RANGE : CKR.ENCRYPTED_DATA_LEN_RANGE),
    };
  }

  /** @param parameter The message's, or null. @returns The whole ciphertext, with the last part. */
  async encryptNext(parameter: unknown, part: Uint8Array, last: boolean): Promise<EncryptedMessage | undefined> {
    this.#readTag(parameter);
    return this.#next(part, last, (message, all) => this.#seal(message, all));
  }

  /**
   * @param parameter The message's, or null. With the last part it may have the tag.
   * @returns The whole plaintext, with the last part: nothing is returned before its tag is verified.
   */
  async decryptNext(parameter: unknown, part: Uint8Array, last: boolean): Promise<Uint8Array | undefined> {
    const tag = this.#readTag(parameter);
    return this.#next(part, last, (message, all) => this.#unseal(tag.length > 0 ? { ...message, tag } : message, all));
  }

  wipe(): void {
    this.#open?.parts.wipe();
    this.#open = undefined;
  }

  async #next<T>(
    part: Uint8Array,
    last: boolean,
    finish: (message: Message, all: Uint8Array) => T,
  ): Promise<T | undefined> {
    const open = this.#open;
    if (!open) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no message was begun");
    open.parts.update(part);
    if (!last) return undefined;
    this.#open = undefined;
    const all = await open.parts.take();
    try {
      return finish(open.message, all);
    } finally {
      wipe(all);
    }
  }

  #seal(message: Message, plaintext: Uint8Array): EncryptedMessage {
    const { ciphertext, tag } = asCallerError(CKR.DATA_LEN_RANGE, () =>
      this.#form.encrypt(this.#aead(message), plaintext),
    );
    return { ciphertext, parameter: this.#form.made(message.given, message.iv, tag) };
  }

  #unseal(message: Message, ciphertext: Uint8Array): Uint8Array {
    if (message.tag.length !== message.tagLength) {
      throw invalid(`${this.#form.tag} has as many bytes as the tag's length says`);
    }
    return asCallerError(CKR.AEAD_DECRYPT_FAILED, () =>
      this.#form.decrypt(this.#aead(message), ciphertext, message.tag),
    );
  }

  #aead({ iv, additional, tagLength }: Message): AeadParameters {
    return { key: this.#key.value, nonce: iv, additional, tagLength };
  }

  #read(parameter: unknown, additional: Uint8Array, encrypting: boolean): Message {
    const { iv: ivName, lengths, ivLengths, tags } = this.#form;
    const given = this.#fields(parameter);
    const { iv: length, fixedBits, generator, tag: tagLength } = lengths(given);
    const start = readBytes(given[ivName], ivName);
    const ivLength = typeof length === "number" && start.length === 0 ? length : start.length;
    if (!Number.isInteger(ivLength) || ivLength < ivLengths[0] || ivLength > ivLengths[1]) {
      throw invalid(`${ivName} has ${ivLengths[0]} to ${ivLengths[1]} bytes`);
    }
    if (!tags.includes(tagLength)) throw invalid(`a tag has ${tags.join(", ")} bytes`);
    const tag = encrypting ? new Uint8Array() : this.#readTag(given);
    const iv = encrypting
      ? this.#makeIv(start, ivLength, fixedBits ?? 0, generator ?? CKG_GENERATOR.NO_GENERATE)
      : start;
    return { iv, additional: copySecret(additional), tagLength, tag, given };
  }

  #fields(parameter: unknown): Readonly<Record<string, unknown>> {
    return fieldsOf(this.#form.structure, parameter);
  }

  /** The tag in a parameter; empty if it has none. */
  #readTag(parameter: unknown): Uint8Array {
    const { tag } = this.#form;
    return parameter === null ? new Uint8Array() : readBytes(this.#fields(parameter)[tag], tag);
  }

  /** The generated part, after the fixed bits (PKCS#11 3.1, CK_GENERATOR_FUNCTION). */
  #makeIv(start: Uint8Array, length: number, fixedBits: unknown, generator: unknown): Uint8Array {
    if (generator === CKG_GENERATOR.NO_GENERATE) {
      if (start.length === 0) throw invalid("the nonce is missing, and no generator is given");
      return start;
    }
    if (typeof fixedBits !== "number" || !Number.isInteger(fixedBits) || fixedBits < 0 || fixedBits >= 8 * length) {
      throw invalid("the fixed bits leave no room for generated ones");
    }
    const free = BigInt(8 * length - fixedBits);
    const whole = start.length === 0 ? new Uint8Array(length) : start;
    const number = toNumber(whole);
    const low = number % (1n << free);
    return toBytes(number - low + this.#lowBits(low, free, generator), length);
  }

  #lowBits(low: bigint, free: bigint, generator: unknown): bigint {
    const range = 1n << free;
    if (generator === CKG_GENERATOR.GENERATE || generator === CKG_GENERATOR.GENERATE_RANDOM) {
      if (free < MIN_RANDOM_BITS) throw invalid(`at least ${MIN_RANDOM_BITS} random bits are needed`);
      return toNumber(randomBytes(Math.ceil(Number(free) / 8))) % range;
    }
    if (this.#count >= range)
      throw new CryptokiError(CKR.DATA_LEN_RANGE, "the counter has no value left: use a new key");
    const count = this.#count++;
    if (generator === CKG_GENERATOR.GENERATE_COUNTER) return count;
    if (generator === CKG_GENERATOR.GENERATE_COUNTER_XOR) return low ^ count;
    throw invalid("the generator is one of CKG.NO_GENERATE to CKG.GENERATE_COUNTER_XOR");
  }
}

const toNumber = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

function toBytes(number: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Number((number >> BigInt(8 * (length - 1 - index))) & 0xffn));
}
