import { DIGESTING, type DigestFunctions } from "./chapters/digesting.ts";
import { DUAL, type DualFunctions } from "./chapters/dual.ts";
import { DECRYPTION, type DecryptionFunctions, ENCRYPTION, type EncryptionFunctions } from "./chapters/encryption.ts";
import { type ExtensionFunctions, EXTENSIONS } from "./chapters/extensions.ts";
import { GENERAL, type GeneralFunctions } from "./chapters/general.ts";
import { type KeyFunctions, KEYS } from "./chapters/key-management.ts";
import { MESSAGE_SIGNATURES, type MessageSignatureFunctions } from "./chapters/message-signatures.ts";
import { type MessageFunctions, MESSAGES } from "./chapters/messages.ts";
import { type ObjectFunctions, OBJECTS } from "./chapters/objects.ts";
import { PARALLEL, type ParallelFunctions, RANDOM, type RandomFunctions } from "./chapters/random.ts";
import { type SessionFunctions, SESSIONS } from "./chapters/sessions.ts";
import { SIGNING, type SigningFunctions } from "./chapters/signing.ts";
import { type SlotFunctions, SLOTS } from "./chapters/slots.ts";
import { VERIFICATION, type VerificationFunctions } from "./chapters/verification.ts";
import type { AnyChapter } from "./chapter.ts";
import type { FunctionEntry } from "./function-entry.ts";
import { type CryptokiOptions, Gate } from "./gate.ts";

/**
 * Every function, by the chapters of the standard. The methods, traces, the table in the documentation and the tests
 * over all functions are made from this description.
 */
export const CHAPTERS: readonly AnyChapter[] = [
  GENERAL,
  SLOTS,
  SESSIONS,
  OBJECTS,
  ENCRYPTION,
  DECRYPTION,
  DIGESTING,
  SIGNING,
  VERIFICATION,
  DUAL,
  MESSAGES,
  MESSAGE_SIGNATURES,
  KEYS,
  RANDOM,
  PARALLEL,
  EXTENSIONS,
];

/** All functions by their names, with their parameters. */
export const FUNCTIONS: ReadonlyMap<string, FunctionEntry> = new Map(
  CHAPTERS.flatMap(({ functions }) => Object.entries(functions)),
);

/** The functions alone, which a module other than this driver offers too. */
export interface CryptokiFunctions
  extends
    GeneralFunctions,
    SlotFunctions,
    SessionFunctions,
    ObjectFunctions,
    EncryptionFunctions,
    DecryptionFunctions,
    DigestFunctions,
    SigningFunctions,
    VerificationFunctions,
    DualFunctions,
    MessageFunctions,
    MessageSignatureFunctions,
    KeyFunctions,
    RandomFunctions,
    ParallelFunctions,
    ExtensionFunctions {}

/**
 * The functions of PKCS#11 3.1 for smart cards. Each has the standard's name, takes the standard's inputs in the standard's order,
 * and returns what the standard puts out; what is not CKR_OK is thrown, as {@link CryptokiError} and as nothing else.
 *
 *     const cryptoki = new Cryptoki({ pcsc: new Pcscd(), profiles: [piv] });
 *     await cryptoki.C_Initialize();
 *     const [slot] = await cryptoki.C_GetSlotList(true);
 *     const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
 *     await cryptoki.C_Login(session, CKU.USER, "123456");
 *     await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
 *     const [key] = await cryptoki.C_FindObjects(session);
 *     await cryptoki.C_FindObjectsFinal(session);
 *     await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
 *     const signature = await cryptoki.C_Sign(session, data);
 *     await cryptoki.C_Finalize();
 *
 * One Cryptoki is one application of the standard: sessions, logins and session objects are its own. Several may share
 * {@link slots}, and with them the connections to the cards and all that was read from them. The `pcsc` stays its owner's to close.
 *
 * Each takes options as its last argument: `await cryptoki.C_Sign(session, data, { signal })`.
 *
 * Any number of calls may be made at a time. Those on one session run one after the other, in the order in which they were made;
 * those on several sessions, tokens and cards at the same time, as far as one card can. A `signal` ends the wait for a turn, for
 * another program's transaction, and the exchange with the card: CKR_FUNCTION_CANCELED. What is read once for all goes on for the others.
 */
// Its methods come from the interface of the same name, and are bound from the chapters.
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class Cryptoki extends Gate implements AsyncDisposable {
  static {
    this.bind(this.prototype, CHAPTERS);
  }

  /** @throws {CryptokiError} CKR_ARGUMENTS_BAD for a version that is not offered. */
  constructor(options: CryptokiOptions) {
    super(options, CHAPTERS);
  }

  /** Calls {@link C_Finalize} if necessary. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isInitialized) await this.C_Finalize();
  }
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- declares the methods of the class
export interface Cryptoki extends CryptokiFunctions {}
