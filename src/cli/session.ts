import type { Command } from "commander";
import { memoizeAsync } from "../async/index.ts";
import { copySecret, tryParse, wipe } from "../bytes/index.ts";
import { decodeEcParameters, type NamedCurve, type PublicKey } from "../crypto/index.ts";
import {
  type CK_MECHANISM,
  CKA,
  CKF_TOKEN,
  CKO,
  CKR,
  CKU,
  CryptokiError,
  type CryptokiFunctions,
  publicHalfOf,
  type Template,
} from "../cryptoki/index.ts";
import {
  type Certificates,
  Key,
  openTokens,
  Token as OpenToken,
  type TokenAccess,
  TokenError,
} from "../tokens/index.ts";
import type { TokenCrypto } from "../webcrypto/index.ts";
import type { CommandContext } from "./context.ts";
import {
  KEY_PASSWORD,
  NEW_PIN,
  NEW_PUK,
  parsePinSource,
  PIN,
  PUK,
  readPin,
  secret,
  SHARE_PASSWORD,
} from "./input/pin.ts";
import { describeToken, onCardToken, readUri, type Token, type TokenSlot } from "./input/token.ts";
import { NotFoundError, PinMissingError } from "./output/failures.ts";
import { type Environment, visible } from "./output/printer.ts";

/** An object as lists and choices show it. */
export interface ObjectEntry {
  readonly handle: number;
  readonly class: number;
  readonly label: string;
  readonly id: Uint8Array;
}

/**
 * Whether the command line or the environment gives the PIN: the user is not asked, and every token gets the same PIN.
 */
export function isPinGiven({ options, environment }: CommandContext, uri?: string): boolean {
  const named = options.pinSource ?? (uri === undefined ? undefined : readUri(uri).pinSource);
  return named !== undefined || environment.env[PIN.variable] !== undefined;
}

/** A session with any token, also with one of which only the slot is known. */
export type AnySession = TokenSession<TokenSlot>;

/** A session with a token, and its PIN when needed. */
export class TokenSession<Known extends TokenSlot = Token> {
  readonly context: CommandContext;
  readonly cryptoki: CryptokiFunctions;
  /** What is known of the token: its slot, or what it says of itself too. */
  readonly token: Known;
  /** What the token says of itself: asked for once, where it is not known. */
  readonly tokenInfo = memoizeAsync(async () => (isDescribed(this.token) ? this.token : await this.#ask()));
  readonly #opened: OpenToken;
  readonly #access: TokenAccess;
  readonly #pinSource: string | undefined;
  #pin: Promise<Uint8Array> | undefined;

  private constructor(
    context: CommandContext,
    cryptoki: CryptokiFunctions,
    token: Known,
    opened: OpenToken,
    pinSource?: string,
  ) {
    this.context = context;
    this.cryptoki = cryptoki;
    this.token = token;
    this.#opened = opened;
    this.#access = OpenToken.accessOf(opened);
    this.#pinSource = context.options.pinSource ?? pinSource;
  }

  /** @param uri The URI that named the token; it may name the PIN's source. --pin-source takes precedence. */
  static async open<Known extends TokenSlot>(
    context: CommandContext,
    token: Known,
    uri?: string,
  ): Promise<TokenSession<Known>> {
    const cryptoki = await context.cryptoki();
    const { pinSource } = uri === undefined ? {} : readUri(uri);
    const source = await openTokens({ cryptoki, pin: async () => copySecret(await session.pin()) });
    const opened = await asCryptokiErrors(source.token({ slot: token.slotID }));
    const session = new TokenSession<Known>(context, cryptoki, token, opened, pinSource);
    context.owns({ [Symbol.asyncDispose]: () => session.#forgetPin() });
    return session;
  }

  #ask(): Promise<Token> {
    return describeToken(this.cryptoki, this.token);
  }

  /** A session with the token, for reading and writing where the token allows it; C_Finalize ends it. */
  get handle(): number {
    return this.#access.pool.keeper;
  }

  /** Logs the user in, if not done yet. @throws {CryptokiError} for a wrong PIN, which is not tried again. */
  async login(): Promise<void> {
    const pin = await this.#advised(this.#access.login.ensure(undefined));
    if (pin) wipe(pin);
  }

  /** Adds to the error of a blocked PIN what unblocks it. A PIN that was given is not known to be blocked before it is used. */
  async #advised<T>(work: Promise<T>): Promise<T> {
    try {
      return await asCryptokiErrors(work);
    } catch (error) {
      if (error instanceof CryptokiError && error.rv === CKR.PIN_LOCKED)
        throw blockedPin(await this.tokenInfo(), error);
      throw error;
    }
  }

  /** The user's PIN, asked for once; the session wipes it when it ends. */
  pin(): Promise<Uint8Array> {
    return this.#askForPin();
  }

  #askForPin(): Promise<Uint8Array> {
    this.#pin ??= this.#readPin();
    return this.#pin;
  }

  async #readPin(): Promise<Uint8Array> {
    const { context } = this;
    const source = this.#pinSource === undefined ? undefined : parsePinSource(this.#pinSource);
    const isGiven = source !== undefined || context.environment.env[PIN.variable] !== undefined;
    // Whose PIN it is is for people only: a PIN that is given costs no question to the card.
    const question = isGiven ? "PIN" : await this.#question();
    return readPin({ ...PIN, question, source }, context.environment);
  }

  async #question(): Promise<string> {
    const token = await this.tokenInfo();
    refuseBlockedPin(token);
    return pinQuestion(this.context, token, false);
  }

  async #forgetPin(): Promise<void> {
    const pin = await this.#pin?.catch(() => undefined);
    if (pin) wipe(pin);
  }

  /** All visible objects that match the template. */
  async find(template: Template): Promise<ObjectEntry[]> {
    const found = await this.#access.find(this.handle, template);
    return Promise.all(found.map((object) => this.describe(object)));
  }

  /** The properties of an object that a list shows. */
  async describe(object: number): Promise<ObjectEntry> {
    const attributes = await this.#attributes(object, CKA.CLASS, CKA.LABEL, CKA.ID);
    return {
      handle: object,
      class: attributes[CKA.CLASS] ?? 0,
      label: attributes[CKA.LABEL] ?? "",
      id: attributes[CKA.ID] ?? new Uint8Array(),
    };
  }

  /** The requested attributes, without those that the object does not have. */
  #attributes(object: number, ...types: readonly number[]): Promise<Template> {
    return this.#access.known(this.handle, object, types);
  }

  /**
   * The public half of a key, wherever the token stores it.
   * @throws {DataError} if its type is not supported, or there is none.
   */
  async publicKey({ handle, id }: Pick<ObjectEntry, "handle" | "id">): Promise<PublicKey> {
    const source = {
      find: (template: Template) => this.#access.find(this.handle, template),
      known: (object: number, types: readonly number[]) => this.#attributes(object, ...types),
    };
    const found = await publicHalfOf(source, handle, id);
    if (!found) throw new NotFoundError("the token does not provide the public key of this key");
    return found;
  }

  /** CKA_KEY_TYPE, which is undefined if the token does not tell it, and CKA_ALLOWED_MECHANISMS. */
  async keyKind(handle: number): Promise<{ readonly type: number | undefined; readonly allowed: readonly number[] }> {
    const known = await this.#attributes(handle, CKA.KEY_TYPE, CKA.ALLOWED_MECHANISMS);
    const { [CKA.KEY_TYPE]: type, [CKA.ALLOWED_MECHANISMS]: allowed = [] } = known;
    return { type, allowed };
  }

  /** The curve of an EC key, by CKA_EC_PARAMS; undefined if the token does not tell it, or it is not supported. */
  async curve(handle: number): Promise<NamedCurve | undefined> {
    const { [CKA.EC_PARAMS]: parameters } = await this.#attributes(handle, CKA.EC_PARAMS);
    return parameters && tryParse(() => decodeEcParameters(parameters));
  }

  /** CKA_MODULUS_BITS of an RSA key, from its public half; undefined if there is none on the token. */
  async modulusBits(key: ObjectEntry): Promise<number | undefined> {
    const isPublic = key.class === CKO.PUBLIC_KEY;
    if (!isPublic && key.id.length === 0) return undefined;
    const template = { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: key.id };
    const halves: readonly number[] = isPublic ? [key.handle] : await this.#access.find(this.handle, template);
    const [half] = halves;
    return half === undefined ? undefined : (await this.#attributes(half, CKA.MODULUS_BITS))[CKA.MODULUS_BITS];
  }

  /** CKA_PUBLIC_KEY_INFO, for any algorithm; undefined if the object has none, or an empty one. */
  async publicKeyInfo(object: number): Promise<Uint8Array | undefined> {
    const { [CKA.PUBLIC_KEY_INFO]: info } = await this.#attributes(object, CKA.PUBLIC_KEY_INFO);
    return info && info.length > 0 ? info : undefined;
  }

  /** The mechanisms that the token supports. */
  mechanisms(): Promise<readonly number[]> {
    return this.cryptoki.C_GetMechanismList(this.token.slotID);
  }

  /** CKA_VALUE. */
  async value(object: number): Promise<Uint8Array> {
    return (await this.cryptoki.C_GetAttributeValue(this.handle, object, [CKA.VALUE]))[CKA.VALUE];
  }

  /** A boolean attribute; false if the object does not have it. */
  async flag(object: number, type: CKA): Promise<boolean> {
    const { [type]: value } = await this.#attributes(object, type);
    return value === true;
  }

  sign(key: ObjectEntry, mechanism: CK_MECHANISM, data: Uint8Array): Promise<Uint8Array> {
    return this.#advised(this.#keyOf(key).operate("sign", mechanism, data, INSISTING));
  }

  decrypt(key: ObjectEntry, mechanism: CK_MECHANISM, data: Uint8Array): Promise<Uint8Array> {
    return this.#advised(this.#keyOf(key).operate("decrypt", mechanism, data, INSISTING));
  }

  /** The secret that `mechanism` derives; the caller wipes it. */
  derive(key: ObjectEntry, mechanism: CK_MECHANISM): Promise<Uint8Array> {
    return this.#advised(this.#keyOf(key).derive(mechanism));
  }

  /** The Web Cryptography API with the token's keys, and the same login. */
  webCrypto(): Promise<TokenCrypto> {
    return asCryptokiErrors(this.#opened.webCrypto());
  }

  /** The certificates of the token. */
  get certificates(): Certificates {
    return this.#opened.certificates;
  }

  /** The key, as the layer of tokens has it: for work that makes its own errors. */
  key(entry: ObjectEntry): Key {
    return this.#keyOf(entry);
  }

  #keyOf({ handle, id, label }: ObjectEntry): Key {
    return new Key(this.#access, id, label, undefined, handle);
  }
}

/**
 * Some PIV keys need the PIN before each use, and some cards do not report that: if a key is refused after a login, the PIN is given once
 * more just before its use.
 */
const INSISTING = { insists: true } as const;

/** The layer's errors, as the C_ functions threw them: the command tells those. */
async function asCryptokiErrors<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof TokenError && error.cause instanceof CryptokiError) throw error.cause;
    throw error;
  }
}

/**
 * Refuses to ask for a PIN that is blocked. Costs no exchange: the flags came with the token.
 * @throws {CryptokiError} CKR_PIN_LOCKED, with the command that unblocks it.
 */
export function refuseBlockedPin(token: Pick<Token, "flags" | "label">): void {
  if ((token.flags & CKF_TOKEN.USER_PIN_LOCKED) !== 0) throw blockedPin(token);
}

function blockedPin({ label }: Pick<Token, "label">, cause?: Error): CryptokiError {
  const advice = "unblock it with its PUK: cryptoki pin unlock";
  return new CryptokiError(CKR.PIN_LOCKED, `the PIN of ${label} is blocked; ${advice}`, cause && { cause });
}

const isDescribed = (token: TokenSlot | Token): token is Token => "flags" in token;

/**
 * The prompt for a token's PIN. After a wrong one it says how many tries are left, which costs some exchanges.
 * @param isGiven Whether the PIN is given beforehand: the question is not shown then.
 */
export async function pinQuestion(context: CommandContext, token: Token, isGiven: boolean): Promise<string> {
  const question = `PIN of ${visible(token.label)}`;
  const isLow = (token.flags & (CKF_TOKEN.USER_PIN_FINAL_TRY | CKF_TOKEN.USER_PIN_COUNT_LOW)) !== 0;
  if (isGiven || !isLow) return question;
  if (context.options.server === undefined) {
    const { triesLeft, maxTries } = await onCardToken(context, token, [token], (one) => one.pinStatus("user", true));
    if (triesLeft !== undefined) {
      const left =
        maxTries === undefined
          ? triesLeft === 1
            ? "1 try"
            : `${triesLeft} tries`
          : `${triesLeft} of ${maxTries} tries`;
      return `${question} (${left} left)`;
    }
  }
  const isLast = (token.flags & CKF_TOKEN.USER_PIN_FINAL_TRY) !== 0;
  return `${question} (${isLast ? "the last try before it is blocked" : "the last PIN was wrong"})`;
}

/**
 * Refuses a new PIN of a length that the token does not take.
 * @param name What it is: a PIV card's PUK has the lengths of its PIN (SP 800-73-4 part 2 section 2.4.3).
 * @throws {CryptokiError} CKR_PIN_LEN_RANGE.
 */
export function checkNewPin({ minPinLength, maxPinLength }: Token, pin: Uint8Array, name: "PIN" | "PUK" = "PIN"): void {
  if (pin.length >= minPinLength && pin.length <= maxPinLength) return;
  const rule = `a ${name} of this card has ${minPinLength} to ${maxPinLength} characters`;
  throw new CryptokiError(CKR.PIN_LEN_RANGE, `${rule}; nothing was changed`);
}

/** Sources of the security officer's PIN: the SO PIN, or the management key of a PIV card in hexadecimal. */
export const SO_PIN = { option: "--so-pin-source", variable: "CRYPTOKI_SO_PIN" } as const;

/** Sources of the new one. */
export const NEW_SO_PIN = { option: "--new-so-pin-source", variable: "CRYPTOKI_NEW_SO_PIN" } as const;

export interface OfficerOptions {
  readonly so?: true;
  readonly soPinSource?: string;
}

export function officerOption(command: Command): Command {
  return command
    .option("--so", "log in as security officer: with the SO PIN, or a PIV card's management key")
    .option(
      "--so-pin-source <source>",
      `where the SO PIN or key comes from, as --pin-source; default: ${SO_PIN.variable}, or a prompt`,
    );
}

/**
 * Returns what `write` returns.
 * @throws {PinMissingError} if only the security officer may write, and --so is not given.
 */
export async function asAllowed<T>({ so }: OfficerOptions, write: Promise<T>): Promise<T> {
  try {
    return await write;
  } catch (cause) {
    if (so || !(cause instanceof CryptokiError && cause.rv === CKR.USER_NOT_LOGGED_IN)) throw cause;
    const message =
      "only the security officer may write this to the card; use --so, which asks for the SO PIN or management key";
    throw new PinMissingError(message, { cause });
  }
}

/**
 * Logs in the user, or the security officer with --so.
 * @param onOfficer Gets the officer's PIN or key once it turned out to be right; it is wiped afterwards.
 */
export async function logIn(
  session: AnySession,
  options: OfficerOptions,
  onOfficer: (pin: Uint8Array) => void = () => undefined,
): Promise<void> {
  if (!options.so) return session.login();
  const question = `SO PIN or management key of ${visible((await session.tokenInfo()).label)}`;
  const pin = await readPin(secret(SO_PIN, question, options.soPinSource), session.context.environment);
  try {
    await session.cryptoki.C_Login(session.handle, CKU.SO, pin);
    onOfficer(pin);
  } finally {
    wipe(pin);
  }
}

const SECRETS: readonly string[] = [PIN, NEW_PIN, PUK, NEW_PUK, SO_PIN, NEW_SO_PIN, KEY_PASSWORD, SHARE_PASSWORD].map(
  ({ variable }) => variable,
);

/**
 * Copies the environment for this program, and removes PINs and PUKs from `env` itself, also those whose variables
 * `args` name (`--pin-source env:NAME`), so that programs started from here do not get them.
 */
export function takeSecrets(env: NodeJS.ProcessEnv, args: readonly string[]): Environment["env"] {
  const copy = { ...env };
  // As an option's value, after "=", or as pin-source of a URI.
  const named = args.flatMap((arg) => /(?:^|=)env(?::|%3a)(.+)$/iu.exec(arg)?.[1]?.split("&")[0] ?? []);
  for (const name of [...SECRETS, ...named]) Reflect.deleteProperty(env, name);
  return copy;
}
