import type { NamedCurve } from "../crypto/index.ts";

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
  /** A hash of at most the curve's length in; r || s, each as long as the order, out. */
  | "ecdsa"
  /** The other party's uncompressed point in; the x coordinate of the shared point out. */
  | "ecdh";

export type KeyType =
  { readonly type: "rsa"; readonly modulusBits: number } | { readonly type: "ec"; readonly curve: NamedCurve };

/** What a key may be used for, as CKA_SIGN, CKA_DECRYPT, CKA_DERIVE ... say it. */
export interface KeyUsage {
  readonly sign: boolean;
  readonly decrypt: boolean;
  readonly derive: boolean;
}

interface CardObjectBase {
  /** The same string for the same object as long as the card is in: "9a", "9a.certificate". */
  readonly reference: string;
  readonly label: string;
  /** CKA_ID: equal for a private key, its public key and its certificates. */
  readonly id: Uint8Array;
  /** CKA_PRIVATE: seen only after login. */
  readonly private: boolean;
  /**
   * Whether the object is on the card. Cheap attributes (class, id, label) are there before anyone has looked; this
   * looks, at most once until the card changes.
   * @param named Whether the search names this object: by CKA_ID, CKA_LABEL, CKA_OBJECT_ID or CKA_APPLICATION, or by
   *   CKA_CLASS = CKO_DATA. A search over everything passes false, and gets false for what no directory lists and only
   *   an exchange for each candidate would find (PIV data objects; retired PIV keys without a key history object).
   */
  exists(named: boolean): Promise<boolean>;
}

export interface CardCertificate extends CardObjectBase {
  readonly class: "certificate";
  /** The X.509 certificate, DER, uncompressed. */
  value(): Promise<Uint8Array>;
}

export interface CardPublicKey extends CardObjectBase {
  readonly class: "public-key";
  readonly usage: KeyUsage;
  /** SubjectPublicKeyInfo, DER (RFC 5280 section 4.1). */
  publicKey(): Promise<Uint8Array>;
}

export interface CardPrivateKey extends CardObjectBase {
  readonly class: "private-key";
  readonly usage: KeyUsage;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is verified before each use. */
  readonly alwaysAuthenticate: boolean;
  /** Whether a login is needed to use it at all. */
  readonly needsLogin: boolean;
  /** The primitives that the card has for keys of this type. */
  readonly primitives: readonly KeyPrimitive[];
  /** CKA_LOCAL, where the card tells: the key was made on it. */
  readonly local?: boolean;
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

/** What a PIN looks like and how it stands. */
export interface PinInfo {
  readonly label: string;
  /** Bounds in bytes. */
  readonly minLength: number;
  readonly maxLength: number;
}

/** Whose PIN: the token's user, or the security officer (the PUK or the management key, as the profile has it). */
export type PinUser = "user" | "so";

export interface PinStatus {
  /** Tries left before the PIN blocks; undefined if the card does not tell without spending one. */
  readonly triesLeft: number | undefined;
  /** The most tries that the counter was seen to hold, or the profile's usual number. */
  readonly maxTries: number;
  /** The card holds this PIN as verified. Never a reason to treat anybody as logged in. */
  readonly verified: boolean;
}

export interface CardTokenInfo {
  /** In full; the facade cuts it to 32 bytes. */
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  /** In full; the facade cuts it to 16 bytes. */
  readonly serialNumber: string;
  readonly pin: PinInfo;
}

/** A range of key sizes that the card works with, for C_GetMechanismInfo. */
export interface CardMechanism {
  readonly primitive: KeyPrimitive;
  /** RSA: modulus bits; EC: bits of the curve. */
  readonly minBits: number;
  readonly maxBits: number;
}

export interface GeneratedKeyPair {
  readonly privateKey: CardPrivateKey;
  readonly publicKey: CardPublicKey;
}

/** A token: what one PIN of a card application guards. */
export interface CardToken {
  info(): Promise<CardTokenInfo>;
  readonly mechanisms: readonly CardMechanism[];
  /** Whose login the card wants before its contents are changed; "so" unless told. */
  readonly changedBy?: PinUser;
  /** Objects of this token that may exist, cheap attributes only; nothing is read from the card. */
  objects(): Promise<readonly CardObject[]>;
  /** Costs no try. */
  pinStatus(user: PinUser): Promise<PinStatus>;
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
   * Makes a key pair on the card, in the place that `id` (CKA_ID) names, in place of what is there. Needs the login that the
   * profile says, "so" for PIV.
   * @throws {LoginRequiredError}; {UnsupportedError} for a type or place that the card does not have.
   */
  generateKeyPair?(type: KeyType, id: Uint8Array, signal?: AbortSignal): Promise<GeneratedKeyPair>;
}

/** A card application that was recognised on an inserted card. */
export interface CardApplication {
  readonly profile: "piv" | "pkcs15" | "cac";
  /** One for each user PIN, at least one. */
  readonly tokens: readonly CardToken[];
}
