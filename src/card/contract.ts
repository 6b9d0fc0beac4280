import type { CallOptions } from "../async/index.ts";
import type { CommandApdu, ResponseApdu } from "../apdu/index.ts";
import type {
  CardObject,
  CardObjectChanges,
  CardPrivateKey,
  CardPublicKey,
  KeyFamily,
  KeyPrimitive,
  KeyType,
  KeyUsage,
  NewCardObject,
  NewVendorAttributes,
} from "./objects.ts";

/**
 * The interface between the Cryptoki facade and a card application. A profile (PIV, PKCS#15, CAC) implements it;
 * nothing here names a profile's files, references or commands. What a card holds is in `objects.ts`.
 *
 * Every method that returns a promise takes `{ signal }` last. A value that is read once and kept is read for all callers: an abort ends
 * the wait of its own caller only ({@link untilCancelled}).
 */

/** Access to a card for work that runs exclusively ({@link ExclusiveAccess.exclusively}). */
export interface CardExchange {
  /**
   * One logical command: however long it and its answer are (`CardChannel.send`).
   * @param enough Stop collecting the answer once there are this many bytes.
   * @returns The answer, whatever its status word.
   * @throws {CardCancelledError} before the command is sent, if the caller has left; {CardAccessError}; {MalformedAnswerError}.
   */
  readonly send: (command: CommandApdu, enough?: number) => Promise<ResponseApdu>;
}

/** Access to a card for one sequence of commands at a time: the card itself, or a hold of it. */
export interface ExclusiveAccess {
  exclusively<T>(work: (card: CardExchange) => Promise<T>, options?: CallOptions): Promise<T>;
}

/** Options of a call that may work within a hold of the card, if its caller has one. */
export interface HoldOptions extends CallOptions {
  /** Default: the call waits for its turn at the card. */
  readonly hold?: ExclusiveAccess | undefined;
}

/** The properties and state of a PIN. */
export interface PinInfo {
  readonly label: string;
  /** Bounds in bytes. */
  readonly minLength: number;
  readonly maxLength: number;
}

/**
 * Who logs in: the token's user, or the security officer (with an SO PIN or the management key, depending on the
 * profile).
 */
export type PinUser = "user" | "so";

/** A PIN of a token. The PUK is not for logins: it unblocks the user's PIN ({@link CardToken.unlockPin}). */
export type PinRole = PinUser | "puk";

export interface PinStatus {
  /** Tries left before the PIN blocks; undefined if the card does not report it without spending one. */
  readonly triesLeft: number | undefined;
  /** Tries after a right PIN, if the card reports it; a PIN without a counter has 0. */
  readonly maxTries: number | undefined;
  /** Whether a wrong PIN was given since the last right one, as far as the card and this process know. */
  readonly countLow?: boolean;
  /** Whether the card holds this PIN as verified. This is not a login, and some cards never report it. */
  readonly verified: boolean;
  /** False if this PIN has not been set yet. Default: true. */
  readonly isSet?: boolean;
}

export interface CardTokenInfo {
  /** In full; the facade truncates it to 32 bytes. */
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  /** In full; CK_TOKEN_INFO has its last 16 bytes. */
  readonly serialNumber: string;
  readonly pin: PinInfo;
  /** The PUK's bounds, if the token has one. */
  readonly puk?: PinInfo;
  /** The specification that the card application follows: "NIST SP 800-73 [PIV]", "PKCS #15". */
  readonly application: string;
  /** Whether the token cannot be changed at all (CKF_WRITE_PROTECTED); default: false. */
  readonly writeProtected?: boolean;
  /** Whether the token was initialised (CKF_TOKEN_INITIALIZED). Default: it was, unless it waits for its user's first PIN. */
  readonly initialised?: boolean;
  /** Whether its keys need the user's login (CKF_LOGIN_REQUIRED). Default: true. */
  readonly needsLogin?: boolean;
}

/** A range of key sizes that the card supports, for C_GetMechanismInfo. */
export interface CardMechanism {
  readonly primitive: KeyPrimitive;
  /** Its key type, unless the primitive determines it: the default for "ecdh" is a curve over a prime field ("ec"). */
  readonly family?: KeyFamily;
  /** RSA: modulus bits; EC: bits of the curve. */
  readonly minBits: number;
  readonly maxBits: number;
}

/** A key pair to be generated on a card. */
export interface KeyPairRequest {
  readonly type: KeyType;
  /** CKA_ID: names the slot on cards with key slots (PIV). Undefined leaves it to the card. */
  readonly id?: Uint8Array;
  readonly label?: string;
  readonly usage?: KeyUsage;
  readonly alwaysAuthenticate?: boolean;
  /** Some of {@link CardToken.newKeyAttributes}. */
  readonly vendorAttributes?: NewVendorAttributes;
}

export interface GeneratedKeyPair {
  readonly privateKey: CardPrivateKey;
  readonly publicKey: CardPublicKey;
}

/**
 * One use of a key that needs its PIN before each use. The PIN is verified, and the card is held for this use: no other
 * caller reaches it before the use, the disposal, or some seconds without either.
 */
export interface AuthenticatedUse extends AsyncDisposable {
  /** Whether the hold has ended: the use needs the PIN once more. */
  readonly ended: boolean;
  /** Uses the key, once, and gives the card back. Errors as of {@link CardToken.use}. */
  use(primitive: KeyPrimitive, input: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Gives the card back without a use. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** PINs typed on the reader, so that no program sees them. Errors as for the token's own methods. */
export interface PinPad {
  login(user: PinUser, options?: HoldOptions): Promise<void>;
  changePin?(pin: PinRole, options?: CallOptions): Promise<void>;
  unlockPin?(options?: CallOptions): Promise<void>;
}

/** The state of a card's key encryption key (DKEK). */
export interface KeyWrappingState {
  /** Number of its shares; 0 for a key of the card's own. */
  readonly shares: number;
  /** Those that the card has not got yet. */
  readonly outstanding: number;
  /** The same on all cards with the same key; zeros while shares are missing. */
  readonly checkValue: Uint8Array;
}

/** Private keys leave a card, and enter another one, encrypted with a key that both cards got in shares. */
export interface KeyWrapping {
  /** Undefined if the card was initialised so that no key can leave it. */
  state(options?: CallOptions): Promise<KeyWrappingState | undefined>;
  /**
   * Adds a share, 32 bytes. Needs no login. The caller wipes it.
   * @throws {UnsupportedError} if no share is missing.
   */
  importShare(share: Uint8Array, options?: CallOptions): Promise<KeyWrappingState>;
  /**
   * The encrypted key, with what describes it and its certificate, for {@link unwrap}. Needs the user's login.
   * @throws {UnsupportedError} if the key cannot leave the card.
   */
  wrap(key: CardPrivateKey, options?: CallOptions): Promise<Uint8Array>;
  /**
   * @returns The CKA_ID of the key. If the key is on the card and its certificate is missing, only that is written.
   * @throws {UnsupportedError} for a key of another DKEK, or one whose CKA_ID is on the card; {DataError}.
   */
  unwrap(wrapped: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
}

/** What a card tells of the device and of what is still as the factory set it; undefined where it does not tell. */
export interface CardDeviceInfo {
  readonly firmware: string | undefined;
  /** As it is printed on the device, decimal. */
  readonly serial: string | undefined;
  readonly hasDefaultPin: boolean | undefined;
  readonly hasDefaultPuk: boolean | undefined;
  readonly hasDefaultOfficerKey: boolean | undefined;
  readonly pukTriesLeft: number | undefined;
  readonly pukMaxTries: number | undefined;
  readonly officerKeyAlgorithm: OfficerKeyAlgorithm | undefined;
  readonly officerKeyStorage: OfficerKeyStorage | undefined;
}

/** The cipher of an officer's key (PIV: the management key). */
export type OfficerKeyAlgorithm = "3des" | "aes-128" | "aes-192" | "aes-256";

/**
 * Where the officer's key is, besides with the officer: nowhere ("apart"); on the card, where the user's PIN opens it ("protected"); or it
 * was derived from the user's PIN ("derived"), which only old programs did. With the last two the user's PIN serves as the officer's.
 */
export type OfficerKeyStorage = "apart" | "protected" | "derived";

/** A new officer's key ({@link CardToken.setOfficerKey}). */
export interface NewOfficerKey {
  /** 16, 24 or 32 bytes, or twice as many hexadecimal digits. The caller wipes it. */
  readonly key: Uint8Array;
  /** Default: the old key's, where the new one has its length; else AES. */
  readonly algorithm?: OfficerKeyAlgorithm;
  /** Keeps it on the card too, where the user's PIN opens it. Default: false. */
  readonly protectedByPin?: boolean;
}

/** What proves that a key was made on a card: certificates in DER. */
export interface KeyAttestation {
  readonly certificate: Uint8Array;
  /** That of the key that signed it, and further ones towards the maker's root. */
  readonly chain: readonly Uint8Array[];
}

/** Options of {@link CardToken.initPin}. */
export interface InitPinOptions extends CallOptions {
  /** The values of C_SetVariable, for a profile's additional inputs. */
  readonly variables?: ReadonlyMap<string, string>;
}

/** A token: the part of a card application that one PIN protects. */
export interface CardToken {
  info(options?: CallOptions): Promise<CardTokenInfo>;
  /**
   * Serial numbers under which other modules or earlier releases show the same token, at most 16 bytes: a URI may have
   * one of them.
   */
  otherSerialNumbers?(options?: CallOptions): Promise<readonly string[]>;
  /** The operations of cards of this kind, for decisions without access to the card. */
  readonly mechanisms: readonly CardMechanism[];
  /** The operations of this card, which may be fewer: by its keys, and by what it reports. */
  supportedMechanisms?(options?: CallOptions): Promise<readonly CardMechanism[]>;
  /** The login that the card requires for changes; null for none. Default: "so". */
  readonly changedBy?: PinUser | null;
  /** Why the label cannot be changed, if the card cannot store one: what {@link CardTokenInfo.label} is made from. */
  readonly fixedLabel?: string;
  /**
   * Objects of this token that may exist, with cheap attributes only; on a card with directories, only those are read.
   * @param classes Only these are needed: others may be missing, whose directory then need not be read.
   */
  objects(classes?: readonly CardObject["class"][], options?: CallOptions): Promise<readonly CardObject[]>;
  /**
   * A value that differs whenever the token's contents do, for other processes that cache them. Undefined if the card
   * has none.
   */
  updateCount?(options?: CallOptions): Promise<Uint8Array | undefined>;
  /**
   * Spends no try.
   * @param thorough Also reads the maximum of the tries, if that takes an additional command.
   */
  pinStatus(pin: PinRole, thorough?: boolean, options?: CallOptions): Promise<PinStatus>;
  /**
   * Whether the card has forgotten the user's PIN, called after it refused an object. For a profile without this method
   * {@link pinStatus} is used.
   */
  hasForgottenPin?(options?: CallOptions): Promise<boolean>;
  /**
   * VERIFY, once. Length and character set are checked first.
   * @throws {PinError} only, if the PIN is the reason.
   */
  login(user: PinUser, pin: Uint8Array, options?: CallOptions): Promise<void>;
  /** The card forgets that the PIN was verified, where it can. An abort ends the wait only: the card forgets all the same. */
  logout(options?: CallOptions): Promise<void>;
  /**
   * Uses a private key on the card: `primitive` is the operation, `input` its input. Needs {@link login} before if the
   * key requires it.
   * @throws {LoginRequiredError} if the card needs the PIN (again).
   */
  use(key: CardPrivateKey, primitive: KeyPrimitive, input: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  /**
   * Verifies the user's PIN for one use of `key`, and holds the card for that use. A token without this method has keys
   * that need no hold: {@link login} and {@link use} are sufficient.
   * @param pin Null if the user types it on the reader ({@link pinPad}).
   * @throws {PinError} as {@link login}.
   */
  authenticate?(key: CardPrivateKey, pin: Uint8Array | null, options?: CallOptions): Promise<AuthenticatedUse>;

  // Optional operations. A token without a method does not support it; one with it throws UnsupportedError for what its
  // card turns out not to support, and LoginRequiredError if a login is missing.

  /** Attributes of vendors that a new private key may be given, by their numbers; any other is refused. Default: none. */
  readonly newKeyAttributes?: ReadonlySet<number>;
  /** Makes a key pair on the card. In the place that its id names there is nothing else afterwards. */
  generateKeyPair?(request: KeyPairRequest, options?: CallOptions): Promise<GeneratedKeyPair>;
  /**
   * Tells the public half of a key that the card holds without showing it; until this object is gone, the key is shown and used as if the
   * card had made it here. What the key computes is checked with it.
   * @param id Of the key.
   * @param publicKey SubjectPublicKeyInfo, DER.
   */
  rememberKey?(id: Uint8Array, publicKey: Uint8Array): Promise<void>;
  /** Writes an object on the card, whole or not at all. */
  createObject?(object: NewCardObject, options?: CallOptions): Promise<CardObject>;
  /** @returns The object as it is now. */
  setAttributes?(object: CardObject, changes: CardObjectChanges, options?: CallOptions): Promise<CardObject>;
  destroyObject?(object: CardObject, options?: CallOptions): Promise<void>;
  /** Changes {@link CardTokenInfo.label}, which all tokens of the card application share. */
  setLabel?(label: string, options?: CallOptions): Promise<void>;
  /**
   * CHANGE REFERENCE DATA. Both PINs are checked for length and character set before anything is sent.
   * @throws {PinError} for the old one, with the tries left.
   */
  changePin?(pin: PinRole, oldPin: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void>;
  /**
   * RESET RETRY COUNTER with the PUK: a new user PIN, and all its tries.
   * @throws {PinError} for the PUK, with its tries left.
   */
  unlockPin?(puk: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void>;
  /** The reader's own keys (CKF_PROTECTED_AUTHENTICATION_PATH), where it has some. */
  readonly pinPad?: PinPad;
  /**
   * Whether the security officer has no PIN but the PUK: C_Login takes it for the officer's PIN, unverified, and
   * {@link unlockPin} gets it. Default: false.
   */
  readonly pukIsOfficer?: boolean;
  /** Sets the user's PIN, with all its tries, on the authority of the security officer who is logged in (C_InitPIN). */
  initPin?(newPin: Uint8Array, options?: InitPinOptions): Promise<void>;
  /** The first half of unlocking by challenge and response: what the card wants an answer to. */
  unlockChallenge?(options?: CallOptions): Promise<Uint8Array>;
  /** The second half: a new user PIN, if the response is right. @throws {PinError} for the response. */
  unlockWithResponse?(response: Uint8Array, newPin: Uint8Array, options?: CallOptions): Promise<void>;
  /**
   * Initialises the token: deletes its objects (C_InitToken).
   * @param variables The values of C_SetVariable, for a profile's additional inputs.
   */
  initToken?(
    soPin: Uint8Array,
    label: string,
    variables: ReadonlyMap<string, string>,
    options?: CallOptions,
  ): Promise<void>;
  /** The device beneath the token. */
  deviceInfo?(options?: CallOptions): Promise<CardDeviceInfo>;
  /**
   * Sets a new officer's key, and where it is kept. The security officer must be logged in. To protect it by the PIN where it was protected
   * before, the user must be logged in too. If it is interrupted, the PIN or the old key still opens the card.
   * @throws {PinError} for a key of another length than its algorithm's; {UnsupportedError}.
   */
  setOfficerKey?(key: NewOfficerKey, options?: CallOptions): Promise<void>;
  /**
   * Sets how many tries PIN and PUK have. Both have the values afterwards that the factory sets. Wants the user and the security officer
   * logged in.
   */
  setPinTries?(tries: { readonly pin: number; readonly puk: number }, options?: CallOptions): Promise<void>;
  /**
   * Makes the card application as the factory made it, without any login: PINs are blocked for it first. The card must be recognised anew
   * afterwards.
   */
  erase?(options?: CallOptions): Promise<void>;
  /** How private keys leave the card and enter it, if they can. */
  readonly keyWrapping?: KeyWrapping;
  /** Proves that a key was made on the card. @throws {UnsupportedError} for a key that was not. */
  attestKey?(key: CardPrivateKey, options?: CallOptions): Promise<KeyAttestation>;
  /** Moves a key to the place that another CKA_ID names; the certificate stays. Wants the security officer logged in. */
  moveKey?(key: CardPrivateKey, id: Uint8Array, options?: CallOptions): Promise<void>;
  /** The user's own way to a new token (C_ResetToken). */
  resetToken?(pin: Uint8Array, variables: ReadonlyMap<string, string>, options?: CallOptions): Promise<void>;
}

/** A finding: something malformed on a card. */
export interface CardFinding {
  /** The file or object, for people. */
  readonly where: string;
  readonly problem: string;
}

/** A card application that was recognised on an inserted card. */
export interface CardApplication {
  /** The name of the profile that recognised it: "piv". */
  readonly profile: string;
  /** One for each user PIN, at least one. */
  readonly tokens: readonly CardToken[];
  /** The findings on the card so far, which were skipped; a profile without files of its own has none. */
  findings?(): readonly CardFinding[];
}
