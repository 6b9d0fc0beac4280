import { Application } from "./application.ts";
import type { Template } from "./attributes/kinds.ts";
import { CKR } from "./constants/ckr.ts";
import { CryptokiError } from "./error.ts";
import { toCryptokiError } from "./error-map.ts";
import * as decrypting from "./functions/decrypt.ts";
import * as digesting from "./functions/digest.ts";
import * as encrypting from "./functions/encrypt.ts";
import * as generating from "./functions/key-pair.ts";
import * as general from "./functions/general.ts";
import * as keys from "./functions/key.ts";
import * as objects from "./functions/object.ts";
import * as random from "./functions/random.ts";
import * as sessions from "./functions/session.ts";
import * as signing from "./functions/sign.ts";
import * as slots from "./functions/slot.ts";
import * as verifying from "./functions/verify.ts";
import type { CardAccess } from "./slots/inserted-card.ts";
import { SlotTable } from "./slots/slot-table.ts";
import type {
  CK_FLAGS,
  CK_INFO,
  CK_MECHANISM,
  CK_MECHANISM_INFO,
  CK_MECHANISM_TYPE,
  CK_OBJECT_HANDLE,
  CK_SESSION_HANDLE,
  CK_SESSION_INFO,
  CK_SLOT_ID,
  CK_SLOT_INFO,
  CK_TOKEN_INFO,
  CK_VERSION,
} from "./structures.ts";

/** The way to the cards, or the slots of another Cryptoki to share. */
export type CryptokiOptions = (CardAccess | { readonly slots: SlotTable }) & {
  /** What C_GetInfo says of the standard; 3.1 unless told. */
  readonly version?: CK_VERSION;
};

const VERSION_3_1: CK_VERSION = { major: 3, minor: 1 };

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
 * Any number of calls may be made at a time. Those on one session run one after the other, in the order in which they were made;
 * those on several sessions, tokens and cards at the same time, as far as one card can. A `signal` ends the wait for a turn, for
 * another program's transaction, and the exchange with the card: CKR_FUNCTION_CANCELED.
 */
export class Cryptoki implements AsyncDisposable {
  /** The readers, cards and slot IDs, to be shared with others: `new Cryptoki({ slots: first.slots })`. */
  readonly slots: SlotTable;
  readonly #version: CK_VERSION;
  #application: Application | undefined;

  constructor(options: CryptokiOptions) {
    this.slots = "slots" in options ? options.slots : new SlotTable(options);
    this.#version = options.version ?? VERSION_3_1;
  }

  // General purpose functions (PKCS#11 3.1 section 5.4)

  /**
   * Begins to follow the readers. A machine without readers, or without a smart-card service, is one without slots.
   * @throws {CryptokiError} CKR_CRYPTOKI_ALREADY_INITIALIZED.
   */
  async C_Initialize(): Promise<void> {
    if (this.#application) throw new CryptokiError(CKR.CRYPTOKI_ALREADY_INITIALIZED);
    const application = new Application(this.slots, this.#version);
    this.#application = application;
    try {
      await application.start();
    } catch (error) {
      if (this.#application === application) this.#application = undefined;
      throw toCryptokiError(error);
    }
  }

  /** Closes all sessions, after the calls under way, and the connections to the cards that nobody shares. */
  C_Finalize(): Promise<void> {
    return this.#call((application) => {
      this.#application = undefined;
      return application.end();
    });
  }

  C_GetInfo(): Promise<CK_INFO> {
    return this.#call(general.getInfo);
  }

  // Slot and token management functions (section 5.5)

  /**
   * The slots of the readers that are plugged in: one a reader, or one a PIN where the card has several. A card that nobody
   * has looked at is looked at.
   * @param tokenPresent Only slots with a token.
   */
  C_GetSlotList(tokenPresent: boolean): Promise<CK_SLOT_ID[]> {
    return this.#call(slots.getSlotList, tokenPresent);
  }

  /** Never touches a card. A slot whose reader is unplugged keeps its ID, and has no token. */
  C_GetSlotInfo(slotID: CK_SLOT_ID): Promise<CK_SLOT_INFO> {
    return this.#call(slots.getSlotInfo, slotID);
  }

  /** Tells by its flags, without spending one, how many tries the PIN has left: CKF_USER_PIN_COUNT_LOW, FINAL_TRY, LOCKED. */
  C_GetTokenInfo(slotID: CK_SLOT_ID): Promise<CK_TOKEN_INFO> {
    return this.#call(slots.getTokenInfo, slotID);
  }

  /**
   * The slot of the first event that this application has not heard of: a card or a reader came or went.
   * @param flags CKF.DONT_BLOCK: throw CKR_NO_EVENT if there is none, instead of waiting.
   */
  C_WaitForSlotEvent(flags: CK_FLAGS, signal?: AbortSignal): Promise<CK_SLOT_ID> {
    return this.#call(slots.waitForSlotEvent, flags, signal);
  }

  C_GetMechanismList(slotID: CK_SLOT_ID): Promise<CK_MECHANISM_TYPE[]> {
    return this.#call(slots.getMechanismList, slotID);
  }

  /** CKF_HW stands with mechanisms whose private-key operation is the card's; the rest is done by the host. */
  C_GetMechanismInfo(slotID: CK_SLOT_ID, type: CK_MECHANISM_TYPE): Promise<CK_MECHANISM_INFO> {
    return this.#call(slots.getMechanismInfo, slotID, type);
  }

  // Session management functions (section 5.6)

  /** @param flags CKF.SERIAL_SESSION always, and CKF.RW_SESSION for a read/write session. */
  C_OpenSession(slotID: CK_SLOT_ID, flags: CK_FLAGS): Promise<CK_SESSION_HANDLE> {
    return this.#call(sessions.openSession, slotID, flags);
  }

  /** With the last session of a token, its login ends. */
  C_CloseSession(session: CK_SESSION_HANDLE): Promise<void> {
    return this.#call(sessions.closeSession, session);
  }

  C_CloseAllSessions(slotID: CK_SLOT_ID): Promise<void> {
    return this.#call(sessions.closeAllSessions, slotID);
  }

  /** Never touches a card. */
  C_GetSessionInfo(session: CK_SESSION_HANDLE): Promise<CK_SESSION_INFO> {
    return this.#call(sessions.getSessionInfo, session);
  }

  /**
   * Verifies a PIN, once. The driver's own copies of it are wiped.
   * @param userType CKU.USER; CKU.SO; CKU.CONTEXT_SPECIFIC after the ...Init of an operation whose key has
   *   CKA_ALWAYS_AUTHENTICATE.
   * @param pin Text is sent as UTF-8.
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED, with the tries left in the cause ({@link PinError});
   *   CKR_PIN_LEN_RANGE before the card sees it.
   */
  C_Login(session: CK_SESSION_HANDLE, userType: number, pin: string | Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#call(sessions.login, session, userType, pin, signal);
  }

  /** Handles of private objects name nothing any more, and private session objects end. */
  C_Logout(session: CK_SESSION_HANDLE): Promise<void> {
    return this.#call(sessions.logout, session);
  }

  // Object management functions (section 5.7)

  C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE): Promise<void> {
    return this.#call(objects.destroyObject, session, object);
  }

  /** The length of CKA_VALUE in bytes, or CK.UNAVAILABLE_INFORMATION. */
  C_GetObjectSize(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE): Promise<number> {
    return this.#call(objects.getObjectSize, session, object);
  }

  /**
   * Values of attributes: `{ [CKA.LABEL]: "...", [CKA.ID]: Uint8Array }` for `[CKA.LABEL, CKA.ID]`.
   * @throws {AttributeError} CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID if there is one without a value to show;
   *   it holds the values of the others.
   */
  C_GetAttributeValue<const Type extends number>(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    types: readonly Type[],
  ): Promise<objects.AttributeValues<Type>> {
    return this.#call(objects.getAttributeValue<Type>, session, object, types);
  }

  C_FindObjectsInit(session: CK_SESSION_HANDLE, template: Template): Promise<void> {
    return this.#call(objects.findObjectsInit, session, template);
  }

  /** The next objects found, at most `max`; all of them unless told. What nobody asks for is not read from the card. */
  C_FindObjects(session: CK_SESSION_HANDLE, max = Infinity): Promise<CK_OBJECT_HANDLE[]> {
    return this.#call(objects.findObjects, session, max);
  }

  C_FindObjectsFinal(session: CK_SESSION_HANDLE): Promise<void> {
    return this.#call(objects.findObjectsFinal, session);
  }

  // Encryption functions (section 5.8): with public keys, by the host. A mechanism of null ends what is active, here and below.

  C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null, key: CK_OBJECT_HANDLE): Promise<void> {
    return this.#call(encrypting.encryptInit, session, mechanism, key);
  }

  C_Encrypt(session: CK_SESSION_HANDLE, data: Uint8Array): Promise<Uint8Array> {
    return this.#call(encrypting.encrypt, session, data);
  }

  C_EncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<Uint8Array> {
    return this.#call(encrypting.encryptUpdate, session, part);
  }

  C_EncryptFinal(session: CK_SESSION_HANDLE): Promise<Uint8Array> {
    return this.#call(encrypting.encryptFinal, session);
  }

  // Decryption functions (section 5.10)

  C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null, key: CK_OBJECT_HANDLE): Promise<void> {
    return this.#call(decrypting.decryptInit, session, mechanism, key);
  }

  /** With CKM_RSA_PKCS, padding that is wrong gives other bytes and no error: there is no oracle to ask. */
  C_Decrypt(session: CK_SESSION_HANDLE, encryptedData: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#call(decrypting.decrypt, session, encryptedData, signal);
  }

  C_DecryptUpdate(session: CK_SESSION_HANDLE, encryptedPart: Uint8Array): Promise<Uint8Array> {
    return this.#call(decrypting.decryptUpdate, session, encryptedPart);
  }

  C_DecryptFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#call(decrypting.decryptFinal, session, signal);
  }

  // Message digesting functions (section 5.12)

  C_DigestInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null): Promise<void> {
    return this.#call(digesting.digestInit, session, mechanism);
  }

  C_Digest(session: CK_SESSION_HANDLE, data: Uint8Array): Promise<Uint8Array> {
    return this.#call(digesting.digest, session, data);
  }

  C_DigestUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<void> {
    return this.#call(digesting.digestUpdate, session, part);
  }

  C_DigestFinal(session: CK_SESSION_HANDLE): Promise<Uint8Array> {
    return this.#call(digesting.digestFinal, session);
  }

  // Signing functions (section 5.13)

  C_SignInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null, key: CK_OBJECT_HANDLE): Promise<void> {
    return this.#call(signing.signInit, session, mechanism, key);
  }

  /** @returns RSA: as long as the modulus. ECDSA: r || s, each as long as the curve's order. */
  C_Sign(session: CK_SESSION_HANDLE, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#call(signing.sign, session, data, signal);
  }

  C_SignUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<void> {
    return this.#call(signing.signUpdate, session, part);
  }

  C_SignFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#call(signing.signFinal, session, signal);
  }

  // Functions for verifying signatures (section 5.15): with public keys, by the host

  C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null, key: CK_OBJECT_HANDLE): Promise<void> {
    return this.#call(verifying.verifyInit, session, mechanism, key);
  }

  /** @throws {CryptokiError} CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE. */
  C_Verify(session: CK_SESSION_HANDLE, data: Uint8Array, signature: Uint8Array): Promise<void> {
    return this.#call(verifying.verify, session, data, signature);
  }

  C_VerifyUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<void> {
    return this.#call(verifying.verifyUpdate, session, part);
  }

  C_VerifyFinal(session: CK_SESSION_HANDLE, signature: Uint8Array): Promise<void> {
    return this.#call(verifying.verifyFinal, session, signature);
  }

  // Key management functions (section 5.18)

  /**
   * Makes a key pair on the card, in the place that CKA_ID names, in place of the one that is there.
   * @param publicKeyTemplate CKA_MODULUS_BITS or CKA_EC_PARAMS, and CKA_ID.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN: a PIV card wants its management key first, C_Login with CKU.SO.
   */
  C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    publicKeyTemplate: Template,
    privateKeyTemplate: Template,
    signal?: AbortSignal,
  ): Promise<{ readonly publicKey: CK_OBJECT_HANDLE; readonly privateKey: CK_OBJECT_HANDLE }> {
    return this.#call(generating.generateKeyPair, session, mechanism, publicKeyTemplate, privateKeyTemplate, signal);
  }

  /** CKM_ECDH1_DERIVE with a card's key makes a secret key that ends with the session. */
  C_DeriveKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    baseKey: CK_OBJECT_HANDLE,
    template: Template,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.#call(keys.deriveKey, session, mechanism, baseKey, template, signal);
  }

  // Random number generation functions (section 5.19)

  /** @throws {CryptokiError} CKR_RANDOM_SEED_NOT_SUPPORTED: the host's generator needs no seed. */
  C_SeedRandom(session: CK_SESSION_HANDLE, seed: Uint8Array): Promise<void> {
    return this.#call(random.seedRandom, session, seed);
  }

  /** From the host's generator. */
  C_GenerateRandom(session: CK_SESSION_HANDLE, length: number): Promise<Uint8Array> {
    return this.#call(random.generateRandom, session, length);
  }

  /** {@link C_Finalize}, unless it was called already. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#application) await this.C_Finalize();
  }

  /** Every function goes through here: whatever is thrown below is a CryptokiError above. */
  async #call<Arguments extends readonly unknown[], Result>(
    work: (application: Application, ...values: Arguments) => Result | Promise<Result>,
    ...values: Arguments
  ): Promise<Result> {
    try {
      if (!this.#application) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
      return await work(this.#application, ...values);
    } catch (error) {
      throw toCryptokiError(error);
    }
  }
}
