import type { CommandApdu, ResponseApdu } from "../apdu/index.ts";
import type { NamedCurve } from "../crypto/index.ts";

/** The way to a card for work that has it to itself ({@link ExclusiveAccess.exclusively}). */
export interface CardExchange {
  /**
   * One logical command: however long it and its answer are ({@link CardChannel.send}).
   * @param enough Stop collecting the answer once there are this many bytes.
   * @returns The answer, whatever its status word.
   * @throws {CardCancelledError} before the command is sent, if the caller has left; {CardAccessError}; {MalformedAnswerError}.
   */
  readonly send: (command: CommandApdu, enough?: number) => Promise<ResponseApdu>;
}

/** The way to a card for one sequence of commands at a time: the card itself, or a hold of it. */
export interface ExclusiveAccess {
  exclusively<T>(work: (card: CardExchange) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/**
 * What the Cryptoki facade asks of a card application, and all that it knows of one. A profile (PIV, PKCS#15, CAC)
 * implements these; nothing here names a profile's files, references or commands.
 */

/** What the card itself computes with a key. Paddings, hashes and encodings are the host's, once for every profile. */
export type KeyPrimitive =
  /** input^d mod n: a block as long as the modulus in, the same length out. */
  | "rsa-raw"
  /** EMSA-PKCS1-v1_5 (signature) or EME-PKCS1-v1_5 (decryption) done by the card: DigestInfo in, signature out. */
  | "rsa-pkcs1"
  /** EMSA-PSS done by the card, with MGF1 over the same hash and a salt as long as it: a hash of SHA-1 or SHA-2 in, signature out. */
  | "rsa-pss"
  /** A hash of at most the curve's length in; r || s, each as long as the order, out. */
  | "ecdsa"
  /** The whole message in, which the card hashes with SHA-1 itself; r || s out. */
  | "ecdsa-sha1"
  /** The other party's uncompressed point (X25519: its public value) in; the x coordinate of the shared point out. */
  | "ecdh"
  /** Ed25519: the whole message in; R || S out (RFC 8032). */
  | "eddsa";

export type KeyType =
  | { readonly type: "rsa"; readonly modulusBits: number }
  | { readonly type: "ec"; readonly curve: NamedCurve }
  | { readonly type: "edwards"; readonly curve: "Ed25519" }
  | { readonly type: "montgomery"; readonly curve: "X25519" };

/** The kind of a key without its size. */
export type KeyFamily = KeyType["type"];

/** What a key may be used for, as CKA_SIGN, CKA_DECRYPT, CKA_DERIVE ... say it. */
export interface KeyUsage {
  readonly sign: boolean;
  readonly decrypt: boolean;
  readonly derive: boolean;
}

/** What keys may be used for where that depends on their type, as it does for keys in a place with one purpose (PIV). */
export type KeyUsageByFamily = (family: KeyFamily) => KeyUsage;

/** An attribute that no standard names, by its number: CKA_VENDOR_DEFINED or more. Undefined for a key that has none. */
export type VendorAttributes = ReadonlyMap<number, () => Promise<number | undefined>>;

/** Attributes of vendors that a template gives a new key, by their numbers. */
export type NewVendorAttributes = ReadonlyMap<number, number>;

/** What {@link CardObject.isPresent} is asked for. */
export interface PresenceSearch {
  /**
   * The search names this object: by CKA_ID, CKA_LABEL, CKA_OBJECT_ID or CKA_APPLICATION, or by CKA_CLASS = CKO_DATA. A search over
   * everything passes false, and gets false for what no directory lists and only an exchange for each candidate would find (PIV data
   * objects; retired PIV keys without a key history object).
   */
  readonly explicitlyRequested: boolean;
}

interface CardObjectBase {
  /** The same string for the same object as long as the card is in: "9a", "9a.certificate". */
  readonly reference: string;
  readonly label: string;
  /** CKA_ID: equal for a private key, its public key and its certificates. */
  readonly id: Uint8Array;
  /** CKA_PRIVATE: seen only after login. */
  readonly private: boolean;
  /** CKA_MODIFIABLE: {@link CardToken.setAttributes} may change its label, CKA_ID or value; default: false. */
  readonly modifiable?: boolean;
  /** CKA_DESTROYABLE: {@link CardToken.destroyObject} takes it off the card; default: false. */
  readonly destroyable?: boolean;
  /**
   * Whether the object is on the card. Cheap attributes (class, id, label) are there before anyone has looked; this
   * looks, at most once until the card changes.
   */
  isPresent(search: PresenceSearch): Promise<boolean>;
}

export interface CardCertificate extends CardObjectBase {
  readonly class: "certificate";
  /** Where it is, if the card has no more of it. */
  readonly url?: string;
  /** The X.509 certificate, DER, uncompressed. */
  value(): Promise<Uint8Array>;
}

export interface CardPublicKey extends CardObjectBase {
  readonly class: "public-key";
  /** Where a directory tells it: nothing needs to be read. */
  readonly type?: KeyType;
  /** Where a directory tells no more of it than this. */
  readonly family?: KeyFamily;
  readonly usage: KeyUsage | KeyUsageByFamily;
  /** SubjectPublicKeyInfo, DER (RFC 5280 section 4.1). */
  publicKey(): Promise<Uint8Array>;
}

export interface CardPrivateKey extends CardObjectBase {
  readonly class: "private-key";
  /** Where a directory tells it: nothing needs to be read. */
  readonly type?: KeyType;
  /** Where a directory tells no more of it than this. */
  readonly family?: KeyFamily;
  readonly usage: KeyUsage | KeyUsageByFamily;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is verified before each use. Final once {@link isPresent} has found the key. */
  readonly alwaysAuthenticate: boolean;
  /** Whether a login is needed to use it at all. Final once {@link isPresent} has found the key. */
  readonly needsLogin: boolean;
  /** The primitives that the card has for keys of this type. */
  readonly primitives: readonly KeyPrimitive[];
  /** CKA_LOCAL, where the card tells: the key was made on it. */
  readonly local?: boolean | (() => Promise<boolean>);
  /** CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE; where the card does not tell, so are keys that were made on it. */
  readonly alwaysSensitive?: boolean;
  readonly neverExtractable?: boolean;
  readonly vendorAttributes?: VendorAttributes;
  /** SubjectPublicKeyInfo of its public half, DER. */
  publicKey(): Promise<Uint8Array>;
}

export interface CardData extends CardObjectBase {
  readonly class: "data";
  /** CKA_APPLICATION. */
  readonly application: string;
  /** CKA_OBJECT_ID, dotted: "2.16.840.1.101.3.7.2.48.0". */
  readonly objectId?: string;
  value(): Promise<Uint8Array>;
}

export type CardObject = CardCertificate | CardPublicKey | CardPrivateKey | CardData;

interface NewObjectBase {
  readonly label: string;
  readonly private: boolean;
}

interface NewKeyedObjectBase extends NewObjectBase {
  /** CKA_ID; empty if the caller left it to the card. */
  readonly id: Uint8Array;
}

/** An object to be written on a card. All that is not named here is the card's to choose. */
export type NewCardObject =
  | (NewKeyedObjectBase & { readonly class: "certificate"; /** X.509, DER. */ readonly value: Uint8Array })
  | (NewKeyedObjectBase & {
      readonly class: "public-key";
      readonly usage: KeyUsage;
      /** SubjectPublicKeyInfo, DER. */
      readonly publicKey: Uint8Array;
    })
  | (NewKeyedObjectBase & {
      readonly class: "private-key";
      readonly usage: KeyUsage;
      readonly alwaysAuthenticate: boolean;
      /** Some of {@link CardToken.newKeyAttributes}. */
      readonly vendorAttributes?: NewVendorAttributes;
      /** PKCS #8 PrivateKeyInfo, DER, unencrypted; the caller's to wipe. */
      readonly privateKey: Uint8Array;
    })
  | (NewObjectBase & {
      readonly class: "data";
      readonly application: string;
      readonly objectId?: string;
      readonly value: Uint8Array;
    });

/** What {@link CardToken.setAttributes} changes; what is left out stays. */
export interface CardObjectChanges {
  readonly label?: string;
  readonly id?: Uint8Array;
  /** Of a certificate or data object. */
  readonly value?: Uint8Array;
}

/** What a PIN looks like and how it stands. */
export interface PinInfo {
  readonly label: string;
  /** Bounds in bytes. */
  readonly minLength: number;
  readonly maxLength: number;
}

/** Who logs in: the token's user, or the security officer (with an SO PIN or the management key, as the profile has it). */
export type PinUser = "user" | "so";

/** A PIN of a token. The PUK logs nobody in: it unblocks the user's PIN ({@link CardToken.unlockPin}). */
export type PinRole = PinUser | "puk";

export interface PinStatus {
  /** Tries left before the PIN blocks; undefined if the card does not tell without spending one. */
  readonly triesLeft: number | undefined;
  /** Tries after a right PIN, where the card tells; a PIN without a counter has 0. */
  readonly maxTries: number | undefined;
  /** A wrong PIN was given since the last right one, as far as the card and this process can tell. */
  readonly countLow?: boolean;
  /** The card holds this PIN as verified. Never a reason to treat anybody as logged in, and some cards never say so. */
  readonly verified: boolean;
  /** False if this PIN has not been set yet. Default: true. */
  readonly isSet?: boolean;
}

export interface CardTokenInfo {
  /** In full; the facade cuts it to 32 bytes. */
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  /** In full; CK_TOKEN_INFO has its last 16 bytes. */
  readonly serialNumber: string;
  readonly pin: PinInfo;
  /** The PUK's bounds, where the token has one. */
  readonly puk?: PinInfo;
  /** The specification that the card application follows: "NIST SP 800-73 [PIV]", "PKCS #15". */
  readonly application: string;
  /** Nothing on the token can be changed (CKF_WRITE_PROTECTED); default: false. */
  readonly writeProtected?: boolean;
}

/** A range of key sizes that the card works with, for C_GetMechanismInfo. */
export interface CardMechanism {
  readonly primitive: KeyPrimitive;
  /** The keys that it works with, where the primitive does not say: the default for "ecdh" is a curve over a prime field ("ec"). */
  readonly family?: KeyFamily;
  /** RSA: modulus bits; EC: bits of the curve. */
  readonly minBits: number;
  readonly maxBits: number;
}

/** A key pair to be made on a card. */
export interface KeyPairRequest {
  readonly type: KeyType;
  /** CKA_ID: names the place on cards that have places for keys (PIV). Undefined leaves it to the card. */
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
 * One use of a key that wants its PIN before each use. The PIN is verified, and the card is kept for this use: nobody else reaches
 * it before the use, the disposal, or some seconds without either.
 */
export interface AuthenticatedUse extends AsyncDisposable {
  /** The card is not kept any more: the use wants the PIN once more. */
  readonly ended: boolean;
  /** Uses the key, once, and gives the card back. Errors as of {@link CardToken.use}. */
  use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Gives the card back without a use. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** PINs that are typed on the reader, so that no program sees them. Errors as of the token's own methods. */
export interface PinPad {
  /** @param hold The hold of the card to work in, if there is one. */
  login(user: PinUser, signal?: AbortSignal, hold?: ExclusiveAccess): Promise<void>;
  changePin?(pin: PinRole, signal?: AbortSignal): Promise<void>;
  unlockPin?(signal?: AbortSignal): Promise<void>;
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
}

/** What proves that a key was made on a card: certificates in DER. */
export interface KeyAttestation {
  readonly certificate: Uint8Array;
  /** That of the key that signed it, and further ones towards the maker's root. */
  readonly chain: readonly Uint8Array[];
}

/** A token: what one PIN of a card application guards. */
export interface CardToken {
  info(): Promise<CardTokenInfo>;
  /** Serial numbers under which other modules or earlier releases show the same token, 16 bytes at most: a URI may have one of them. */
  otherSerialNumbers?(): Promise<readonly string[]>;
  /** What cards of this kind compute, for whatever has to be decided without a look at the card. */
  readonly mechanisms: readonly CardMechanism[];
  /** What this card computes, where that may be less: by its keys, and what it says of itself. */
  supportedMechanisms?(): Promise<readonly CardMechanism[]>;
  /** Whose login the card wants before its contents are changed; null for nobody's. Default: "so". */
  readonly changedBy?: PinUser | null;
  /** Why the label cannot be changed, where the card has no place for one: what {@link CardTokenInfo.label} is made of. */
  readonly fixedLabel?: string;
  /**
   * Objects of this token that may exist, cheap attributes only; of a card with directories, those are read and nothing else.
   * @param classes Only these are wanted: others may be missing, whose directory then need not be read.
   */
  objects(classes?: readonly CardObject["class"][]): Promise<readonly CardObject[]>;
  /**
   * A value that differs as soon as the token's contents do, for other processes that keep what they read. Undefined where
   * the card has nothing of the kind.
   */
  updateCount?(): Promise<Uint8Array | undefined>;
  /**
   * Costs no try.
   * @param thorough Also asks for the maximum of the tries, where that takes a command of its own.
   */
  pinStatus(pin: PinRole, thorough?: boolean): Promise<PinStatus>;
  /**
   * Whether the card has forgotten the user's PIN, asked after it refused an object. A profile without this method is asked by
   * {@link pinStatus}.
   */
  hasForgottenPin?(): Promise<boolean>;
  /**
   * VERIFY, once. Length and character set are checked first.
   * @throws {PinError} and nothing else when the PIN is the reason.
   */
  login(user: PinUser, pin: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** The card forgets that the PIN was verified, where it can. */
  logout(): Promise<void>;
  /**
   * Uses a private key on the card: `primitive` says how, `input` is what it works on. Needs {@link login} before if
   * the key says so.
   * @throws {LoginRequiredError} if the card wants the PIN (again).
   */
  use(key: CardPrivateKey, primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;

  /**
   * Verifies the user's PIN for one use of `key`, and keeps the card for that use. A token without this method has keys that
   * nothing comes between: {@link login} and {@link use} will do.
   * @param pin Null where the reader's keys take it ({@link pinPad}).
   * @throws {PinError} as {@link login}.
   */
  authenticate?(key: CardPrivateKey, pin: Uint8Array | null, signal?: AbortSignal): Promise<AuthenticatedUse>;

  // What not every card can do. A token without a method cannot do it; one that has it throws UnsupportedError for what its
  // card turns out not to do, and LoginRequiredError for whom the card wants logged in first.

  /** Attributes of vendors that a new private key may be given, by their numbers; any other is refused. Default: none. */
  readonly newKeyAttributes?: ReadonlySet<number>;
  /** Makes a key pair on the card. In the place that its id names there is nothing else afterwards. */
  generateKeyPair?(request: KeyPairRequest, signal?: AbortSignal): Promise<GeneratedKeyPair>;
  /** Writes an object on the card, whole or not at all. */
  createObject?(object: NewCardObject, signal?: AbortSignal): Promise<CardObject>;
  /** @returns The object as it is now. */
  setAttributes?(object: CardObject, changes: CardObjectChanges, signal?: AbortSignal): Promise<CardObject>;
  destroyObject?(object: CardObject, signal?: AbortSignal): Promise<void>;
  /** Changes {@link CardTokenInfo.label}, which all tokens of the card application share. */
  setLabel?(label: string, signal?: AbortSignal): Promise<void>;
  /**
   * CHANGE REFERENCE DATA. Both PINs are checked for length and character set before the card sees either.
   * @throws {PinError} for the old one, with the tries left.
   */
  changePin?(pin: PinRole, oldPin: Uint8Array, newPin: Uint8Array, signal?: AbortSignal): Promise<void>;
  /**
   * RESET RETRY COUNTER with the PUK: a new user PIN, and all its tries.
   * @throws {PinError} for the PUK, with its tries left.
   */
  unlockPin?(puk: Uint8Array, newPin: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** The reader's own keys (CKF_PROTECTED_AUTHENTICATION_PATH), where it has some. */
  readonly pinPad?: PinPad;
  /** Sets the user's PIN, with all its tries, on the authority of the security officer who is logged in (C_InitPIN). */
  initPin?(newPin: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** The first half of unlocking by challenge and response: what the card wants an answer to. */
  unlockChallenge?(signal?: AbortSignal): Promise<Uint8Array>;
  /** The second half: a new user PIN, if the response is right. @throws {PinError} for the response. */
  unlockWithResponse?(response: Uint8Array, newPin: Uint8Array, signal?: AbortSignal): Promise<void>;
  /**
   * Makes the token new: its objects go (C_InitToken).
   * @param variables What the caller said by C_SetVariable, for what the profile wants to know besides.
   */
  initToken?(
    soPin: Uint8Array,
    label: string,
    variables: ReadonlyMap<string, string>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** The device beneath the token. */
  deviceInfo?(): Promise<CardDeviceInfo>;
  /**
   * Sets how many tries PIN and PUK have. Both have the values afterwards that the factory sets. Wants the user and the security officer
   * logged in.
   */
  setPinTries?(tries: { readonly pin: number; readonly puk: number }, signal?: AbortSignal): Promise<void>;
  /**
   * Makes the card application as the factory made it, without any login: PINs are blocked for it first. The card must be recognised anew
   * afterwards.
   */
  erase?(signal?: AbortSignal): Promise<void>;
  /** Proves that a key was made on the card. @throws {UnsupportedError} for a key that was not. */
  attestKey?(key: CardPrivateKey, signal?: AbortSignal): Promise<KeyAttestation>;
  /** Moves a key to the place that another CKA_ID names; the certificate stays. Wants the security officer logged in. */
  moveKey?(key: CardPrivateKey, id: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** The user's own way to a new token (C_ResetToken). */
  resetToken?(pin: Uint8Array, variables: ReadonlyMap<string, string>, signal?: AbortSignal): Promise<void>;
}

/** Something on a card that is not as it should be. */
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
  /** What was found wrong on the card until now, and left out; a profile without files of its own has none. */
  findings?(): readonly CardFinding[];
}
