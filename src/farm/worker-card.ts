import { SerialQueue } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import {
  type Card,
  type CardApplication,
  type CardObject,
  type CardPrivateKey,
  type CardToken,
  type CardTokenInfo,
  type KeyPrimitive,
  LoginRequiredError,
  PinError,
  unlessRefused,
} from "../card/index.ts";
import { keyTypeOf } from "../crypto/index.ts";
import { type FarmKey, fingerprintOf } from "./key.ts";

/** A token at a worker for which a PIN is wanted. */
export interface FarmPinRequest {
  readonly token: CardTokenInfo;
  readonly reader: string;
  /** Tokens of this worker whose keys need a PIN, now: a source that knows one PIN gives it only if this is 1. */
  readonly tokens: number;
}

/**
 * Gives the user's PIN of a token at a worker, each time it is wanted; the worker wipes it. Undefined: the worker does not use the keys of
 * this token that need it. It is not asked again for a token whose card refused its PIN.
 */
export type FarmPinSource = (request: FarmPinRequest) => Promise<Uint8Array | undefined>;

/** Where a card has the PINs of its tokens from. */
export type CardPinSource = (token: CardTokenInfo, reader: string) => Promise<Uint8Array | undefined>;

/** A key on a card of this machine. */
export interface WorkerKey extends FarmKey {
  readonly card: WorkerCard;
  readonly token: CardToken;
  readonly info: CardTokenInfo;
  readonly privateKey: CardPrivateKey;
}

interface FoundToken {
  readonly token: CardToken;
  readonly info: CardTokenInfo;
  readonly keys: readonly WorkerKey[];
  readonly needsLogin: boolean;
}

/** A card in a reader of this machine, with its keys. It does one thing at a time. */
export class WorkerCard implements AsyncDisposable {
  readonly #card: Card;
  readonly #pin: CardPinSource;
  /** Work on it, one after the other. */
  readonly turns = new SerialQueue();
  /** The keys that it may use. */
  keys: readonly WorkerKey[] = [];
  #found: readonly FoundToken[] = [];
  /** The card was taken out, or does not answer any more. */
  gone = false;

  constructor(card: Card, pin: CardPinSource) {
    this.#card = card;
    this.#pin = pin;
  }

  get reader(): string {
    return this.#card.reader;
  }

  /** Reads what tokens and keys the card has. @throws {CardAccessError}; {CardError}. */
  async read({ tokens }: CardApplication): Promise<void> {
    const found: FoundToken[] = [];
    for (const token of tokens) {
      const info = await token.info();
      const keys = await this.#keysOf(token, info);
      found.push({ token, info, keys, needsLogin: keys.some(({ privateKey }) => privateKey.needsLogin) });
    }
    this.#found = found;
  }

  /** Its tokens with keys that need a PIN. */
  get tokensWithPin(): number {
    return this.#found.filter(({ needsLogin }) => needsLogin).length;
  }

  /**
   * Logs in where keys need it, after {@link read}.
   * @param refuse Receives a token whose PIN was refused: none of its keys that need the PIN are used.
   * @throws {CardAccessError}; {CardError}; what the source of PINs throws.
   */
  async open(refuse: (info: CardTokenInfo, error: PinError) => void): Promise<void> {
    const keys: WorkerKey[] = [];
    for (const { token, info, keys: found, needsLogin } of this.#found) {
      let isOpen = false;
      if (needsLogin) {
        try {
          isOpen = await this.#logIn(token, info);
        } catch (error) {
          if (!(error instanceof PinError)) throw error;
          refuse(info, error);
        }
      }
      keys.push(...found.filter(({ privateKey }) => isOpen || !privateKey.needsLogin));
    }
    this.keys = keys;
  }

  async #keysOf(token: CardToken, info: CardTokenInfo): Promise<readonly WorkerKey[]> {
    const objects = await token.objects(["private-key", "certificate"]);
    const search = { explicitlyRequested: false };
    const keys: WorkerKey[] = [];
    for (const privateKey of objects) {
      if (privateKey.class !== "private-key" || !(await privateKey.isPresent(search))) continue;
      const publicKey = await unlessRefused(() => privateKey.publicKey());
      const type = publicKey && (await unlessRefused(() => Promise.resolve(keyTypeOf(publicKey))));
      if (!publicKey || !type) continue;
      const { label, id, usage, primitives } = privateKey;
      keys.push({
        ...{ card: this, token, info, privateKey, label, id, primitives, publicKey },
        usage: typeof usage === "function" ? usage(type.type) : usage,
        fingerprint: fingerprintOf(publicKey),
        certificate: await certificateOf(objects, id),
      });
    }
    return keys;
  }

  /** @throws {PinError} if the card refuses the PIN; without a try if the next wrong one would block it. */
  async #logIn(token: CardToken, info: CardTokenInfo): Promise<boolean> {
    const { triesLeft, maxTries } = await token.pinStatus("user", true);
    if (triesLeft !== undefined && triesLeft <= 1 && maxTries !== triesLeft) {
      throw new PinError("incorrect", "the PIN has one try left, which a worker does not spend", triesLeft);
    }
    const pin = await this.#pin(info, this.reader);
    if (!pin) return false;
    try {
      await token.login("user", pin);
      return true;
    } finally {
      wipe(pin);
    }
  }

  /**
   * Uses a key. A card that forgot its PIN, because another program reset it, gets it once more.
   * @throws {PinError} if the PIN is refused; {CardAccessError}; {CardError}; {DataError}.
   */
  async use(key: WorkerKey, primitive: KeyPrimitive, input: Uint8Array): Promise<Uint8Array> {
    const { token, privateKey, info } = key;
    if (privateKey.alwaysAuthenticate && token.authenticate) {
      const pin = await this.#pin(info, this.reader);
      if (!pin) throw new PinError("not-set", "the worker has no PIN for this token");
      try {
        await using held = await token.authenticate(privateKey, pin);
        return await held.use(primitive, input);
      } finally {
        wipe(pin);
      }
    }
    try {
      return await token.use(privateKey, primitive, input);
    } catch (error) {
      if (!(error instanceof LoginRequiredError) || !(await this.#logIn(token, info))) throw error;
      return token.use(privateKey, primitive, input);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gone = true;
    await this.#card[Symbol.asyncDispose]();
  }
}

async function certificateOf(objects: readonly CardObject[], id: Uint8Array): Promise<Uint8Array | undefined> {
  for (const one of objects) {
    if (
      one.class !== "certificate" ||
      one.id.length !== id.length ||
      !one.id.every((byte, index) => byte === id[index])
    )
      continue;
    if (!(await one.isPresent({ explicitlyRequested: false }))) continue;
    return unlessRefused(() => one.value());
  }
  return undefined;
}
