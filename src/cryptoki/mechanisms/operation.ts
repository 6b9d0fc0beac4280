import { nextTurn } from "../../async/index.ts";
import { concatSecret, copySecret, secretBytes, wipe } from "../../bytes/index.ts";
import { Hasher, type HashName, type HostVerifier, sameSecret } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, notBytes } from "../errors.ts";
import type {
  Cipher,
  CipherScheme,
  Digester,
  KeyUser,
  MessageSigner,
  SignatureScheme,
  Signer,
  Operation,
  Verifier,
} from "./family.ts";

/** Bytes that are processed before the event loop turns: the slowest algorithm here, 3DES, takes about 10 ms for them. */
const TURN = 256 * 1024;
/** Bytes that a cipher may put out in addition to its input: a block that it held back, padding, a tag. */
const SURPLUS = 64;

/** The pieces of `data` between which the event loop turns. */
async function* inTurns(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += TURN) {
    if (at > 0) await nextTurn();
    yield data.subarray(at, at + TURN);
  }
}

/**
 * Gives a message, or a part of one, to an operation; a long one piece by piece, and the event loop turns in between.
 * @returns Undefined if all was taken at once.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD unless it is a Uint8Array; the operation's errors.
 */
export function feed(
  operation: { update(part: Uint8Array): void },
  data: Uint8Array,
  what: string,
): Promise<void> | undefined {
  if (!((data as unknown) instanceof Uint8Array)) throw notBytes(what);
  if (data.length > TURN) return feedInTurns(operation, data);
  operation.update(data);
  return undefined;
}

async function feedInTurns(operation: { update(part: Uint8Array): void }, data: Uint8Array): Promise<void> {
  for await (const piece of inTurns(data)) operation.update(piece);
}

/** Gives a part to a cipher, as {@link feed}. @returns Its output. */
export function transformPart(cipher: Cipher, part: Uint8Array): Uint8Array | Promise<Uint8Array> {
  return part.length > TURN ? transformInTurns(cipher, part, false) : cipher.update(part);
}

/** Gives a whole message to a cipher, as {@link feed}. @returns Its output; parts of it are wiped. */
export async function transformWhole(cipher: Cipher, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  if (data.length > TURN) return transformInTurns(cipher, data, true, signal);
  const first = cipher.update(data);
  try {
    const last = await cipher.final(signal);
    if (first.length === 0) return last;
    const all = concatSecret(first, last);
    wipe(last);
    return all;
  } finally {
    wipe(first);
  }
}

/** Writes all output to one place: to join it afterwards would take as long as the cipher. */
async function transformInTurns(
  cipher: Cipher,
  data: Uint8Array,
  finishes: boolean,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const output = secretBytes(data.length + SURPLUS);
  let length = 0;
  const add = (bytes: Uint8Array): void => {
    output.set(bytes, length);
    length += bytes.length;
    wipe(bytes);
  };
  try {
    for await (const piece of inTurns(data)) add(cipher.update(piece));
    if (finishes) {
      const last = await cipher.final(signal);
      if (length === 0) return last;
      add(last);
    }
    return output.subarray(0, length);
  } catch (error) {
    wipe(output.subarray(0, length));
    throw error;
  }
}

/** Collects input up to a length; copies it, because the caller owns its bytes. */
export class Collector {
  readonly #max: number;
  readonly #tooLong: number;
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** @param tooLong The error for more than `max` bytes: CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE. */
  constructor(max: number, tooLong: number) {
    this.#max = max;
    this.#tooLong = tooLong;
  }

  /** Copies a part. @throws {CryptokiError} and keeps nothing of a part that is too long. */
  update(part: Uint8Array): void {
    this.#requireRoom(part);
    this.add(copySecret(part));
  }

  /** Takes over a part. @throws {CryptokiError} as {@link update}. */
  add(part: Uint8Array): void {
    this.#requireRoom(part);
    this.#length += part.length;
    this.#parts.push(part);
  }

  #requireRoom(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length <= this.#max) return;
    throw new CryptokiError(this.#tooLong, `${length} bytes; the limit for this key and mechanism is ${this.#max}`);
  }

  /** All input; the caller wipes it, and nothing is kept here. Long input is joined while the event loop turns. */
  take(): Uint8Array | Promise<Uint8Array> {
    const parts = this.#parts.splice(0);
    const length = this.#length;
    this.#length = 0;
    if (length > TURN) return joined(parts, length);
    const all = concatSecret(...parts);
    wipe(...parts);
    return all;
  }

  wipe(): void {
    wipe(...this.#parts.splice(0));
    this.#length = 0;
  }
}

/** Joins parts, and wipes them. */
async function joined(parts: readonly Uint8Array[], length: number): Promise<Uint8Array> {
  const all = secretBytes(length);
  let at = 0;
  let turned = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
    wipe(part);
    if (at - turned < TURN) continue;
    turned = at;
    await nextTurn();
  }
  return all;
}

/** Takes a message for a scheme: hashes it incrementally, or collects it up to the key's limit. */
const inputFor = (scheme: SignatureScheme): Hasher | Collector =>
  scheme.hash ? new Hasher(scheme.hash) : new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE);

/** The whole message, or its hash. */
const messageIn = (input: Hasher | Collector): Uint8Array | Promise<Uint8Array> =>
  input instanceof Hasher ? input.digest() : input.take();

/** Signs by a scheme. */
export class SchemeSigner implements Signer {
  readonly #scheme: SignatureScheme;
  readonly #key: KeyUser;
  readonly #input: Hasher | Collector | MessageSigner;

  constructor(scheme: SignatureScheme, key: KeyUser) {
    this.#scheme = scheme;
    this.#key = key;
    const { hash, isEcdsa } = scheme;
    const signer = hash && isEcdsa ? key.ecdsaSigner?.(hash) : undefined;
    this.#input = signer ?? inputFor(scheme);
  }

  update(part: Uint8Array): void {
    this.#input.update(part);
  }

  async final(signal?: AbortSignal): Promise<Uint8Array> {
    const input = this.#input;
    return "sign" in input ? input.sign(signal) : this.#scheme.sign(this.#key, await messageIn(input), signal);
  }

  wipe(): void {
    if (this.#input instanceof Collector) this.#input.wipe();
  }
}

/** Verifies by a scheme. */
export class SchemeVerifier implements Verifier {
  readonly #scheme: SignatureScheme;
  readonly #input: Hasher | Collector | HostVerifier;

  constructor(scheme: SignatureScheme) {
    this.#scheme = scheme;
    this.#input = scheme.verifier?.() ?? inputFor(scheme);
  }

  update(part: Uint8Array): void {
    this.#input.update(part);
  }

  async final(signature: Uint8Array): Promise<void> {
    const input = this.#input;
    if (signature.length !== this.#scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
    const isValid = await ("verify" in input
      ? input.verify(signature)
      : this.#scheme.verify(await messageIn(input), signature));
    if (!isValid) throw new CryptokiError(CKR.SIGNATURE_INVALID);
  }

  wipe(): void {
    if (this.#input instanceof Collector) this.#input.wipe();
  }
}

export function schemeEncrypter(scheme: CipherScheme): Cipher {
  return collecting(new Collector(scheme.maxMessage, CKR.DATA_LEN_RANGE), (message) => {
    try {
      return scheme.encrypt(message);
    } finally {
      wipe(message);
    }
  });
}

export function schemeDecrypter(scheme: CipherScheme, key: KeyUser): Cipher {
  const { ciphertextLength } = scheme;
  return collecting(new Collector(ciphertextLength, CKR.ENCRYPTED_DATA_LEN_RANGE), (ciphertext, signal) => {
    if (ciphertext.length !== ciphertextLength) throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE);
    return scheme.decrypt(key, ciphertext, signal);
  });
}

/** A cipher without output before the end. `finish` owns its argument. */
export function collecting(
  input: Collector,
  finish: (all: Uint8Array, signal?: AbortSignal) => Uint8Array | Promise<Uint8Array>,
): Cipher {
  return {
    update: (part) => {
      input.update(part);
      return new Uint8Array();
    },
    final: (signal) => {
      const all = input.take();
      return all instanceof Promise ? all.then((joint) => finish(joint, signal)) : finish(all, signal);
    },
    wipe: () => {
      input.wipe();
    },
  };
}

/** Verifies a MAC by computing it again. */
export function macVerifier(signer: Signer): Verifier {
  return {
    update: (part) => {
      signer.update(part);
    },
    final: async (given) => {
      const mac = await signer.final();
      try {
        if (given.length !== mac.length) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
        if (!sameSecret(given, mac)) throw new CryptokiError(CKR.SIGNATURE_INVALID);
      } finally {
        wipe(mac);
      }
    },
    wipe: () => {
      signer.wipe();
    },
  };
}

export function hashDigester(hash: HashName, hasher = new Hasher(hash)): Digester {
  return {
    update: (part) => {
      hasher.update(part);
    },
    final: () => hasher.digest(),
    copy: () => hashDigester(hash, hasher.copy()),
    // Node's crypto keeps the state to itself.
    wipe: () => undefined,
  };
}

/** Recovers the message from a signature that contains it. */
export interface Recoverer extends Operation {
  /** @throws {CryptokiError} CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID. */
  recover(signature: Uint8Array): Uint8Array;
}

/** @throws {CryptokiError} CKR_MECHANISM_INVALID if the scheme's signatures contain no message. */
export function schemeRecoverer(scheme: SignatureScheme): Recoverer {
  const recover = scheme.recover?.bind(scheme);
  if (!recover) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return {
    recover(signature) {
      if (signature.length !== scheme.signatureLength) throw new CryptokiError(CKR.SIGNATURE_LEN_RANGE);
      return recover(signature);
    },
    wipe: () => undefined,
  };
}
