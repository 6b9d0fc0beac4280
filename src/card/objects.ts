import type { CallOptions } from "../async/index.ts";
import type { NamedCurve } from "../crypto/index.ts";

/** What a card holds, as a profile gives it to the facade: keys, certificates and data objects, and new ones to be written. */

/** The card's own operations with a key. The host adds paddings, hashes and encodings, once for every profile. */
export type KeyPrimitive =
  /** input^d mod n: a block as long as the modulus in, the same length out. */
  | "rsa-raw"
  /** EMSA-PKCS1-v1_5 (signature) or EME-PKCS1-v1_5 (decryption) done by the card: DigestInfo in, signature out. */
  | "rsa-pkcs1"
  /**
   * EMSA-PSS done by the card, with MGF1 with the same hash and a salt of its length: a hash of SHA-1 or SHA-2 in,
   * signature out.
   */
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

/** The uses of a key, as in CKA_SIGN, CKA_DECRYPT, CKA_DERIVE ... */
export interface KeyUsage {
  readonly sign: boolean;
  readonly decrypt: boolean;
  readonly derive: boolean;
}

/** Uses that depend on the key's type, as for keys in a slot with one purpose (PIV). */
export type KeyUsageByFamily = (family: KeyFamily) => KeyUsage;

/** A vendor attribute, by its number: CKA_VENDOR_DEFINED or more. Undefined for a key without it. */
export type VendorAttributes = ReadonlyMap<number, (options?: CallOptions) => Promise<number | undefined>>;

/** Attributes of vendors that a template gives a new key, by their numbers. */
export type NewVendorAttributes = ReadonlyMap<number, number>;

/** The context of {@link CardObject.isPresent}. */
export interface PresenceSearch {
  /**
   * Whether the search names this object: by CKA_ID, CKA_LABEL, CKA_OBJECT_ID or CKA_APPLICATION, or by CKA_CLASS =
   * CKO_DATA. A search over everything passes false, and gets false for objects that no directory lists and that would
   * cost an exchange for each candidate (PIV data objects; retired PIV keys without a key history object).
   */
  readonly explicitlyRequested: boolean;
  /**
   * Whether it gives a CKA_LABEL, which then is this object's. For objects that the card makes on request, and that a search by CKA_ID must
   * not mistake for others (attestations of PIV keys); default: false.
   */
  readonly byLabel?: boolean;
}

/** What all objects of a card have. */
export interface CardObjectBase {
  /** The same string for the same object as long as the card is in: "9a", "9a.certificate". */
  readonly reference: string;
  readonly label: string;
  /** CKA_ID: equal for a private key, its public key and its certificates. */
  readonly id: Uint8Array;
  /** CKA_PRIVATE: visible only after login. */
  readonly private: boolean;
  /** CKA_MODIFIABLE: {@link CardToken.setAttributes} may change its label, CKA_ID or value; default: false. */
  readonly modifiable?: boolean;
  /** CKA_DESTROYABLE: {@link CardToken.destroyObject} deletes it from the card; default: false. */
  readonly destroyable?: boolean;
  /**
   * Whether the object is on the card. Cheap attributes (class, id, label) are known without reading; this reads, at
   * most once until the card changes.
   */
  isPresent(search: PresenceSearch, options?: CallOptions): Promise<boolean>;
}

export interface CardCertificate extends CardObjectBase {
  readonly class: "certificate";
  /** Its URL, if the card does not hold the value. */
  readonly url?: string;
  /** The X.509 certificate, DER, uncompressed. */
  value(options?: CallOptions): Promise<Uint8Array>;
}

export interface CardPublicKey extends CardObjectBase {
  readonly class: "public-key";
  /** If a directory contains it: nothing needs to be read. */
  readonly type?: KeyType | undefined;
  /** If a directory contains only this part. */
  readonly family?: KeyFamily;
  readonly usage: KeyUsage | KeyUsageByFamily;
  /** SubjectPublicKeyInfo, DER (RFC 5280 section 4.1). */
  publicKey(options?: CallOptions): Promise<Uint8Array>;
}

export interface CardPrivateKey extends CardObjectBase {
  readonly class: "private-key";
  /** If a directory contains it: nothing needs to be read. */
  readonly type?: KeyType | undefined;
  /** If a directory contains only this part. */
  readonly family?: KeyFamily;
  readonly usage: KeyUsage | KeyUsageByFamily;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is verified before each use. Final once {@link isPresent} has found the key. */
  readonly alwaysAuthenticate: boolean;
  /** Whether using it needs a login. Final once {@link isPresent} has found the key. */
  readonly needsLogin: boolean;
  /** The primitives that the card supports for keys of this type. */
  readonly primitives: readonly KeyPrimitive[];
  /**
   * Whether {@link CardToken.use} takes a digest of any length for "ecdsa", and finds out the curve if it has to truncate one: then
   * the public half is not read for a signature. For keys of the family "ec" without a {@link type}. Default: false.
   */
  readonly findsCurve?: boolean;
  /** CKA_LOCAL, if the card reports it: the key was generated on it. */
  readonly local?: boolean | ((options?: CallOptions) => Promise<boolean>);
  /** CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE; default: true for keys that were generated on the card. */
  readonly alwaysSensitive?: boolean;
  readonly neverExtractable?: boolean;
  readonly vendorAttributes?: VendorAttributes;
  /** SubjectPublicKeyInfo of its public half, DER. */
  publicKey(options?: CallOptions): Promise<Uint8Array>;
}

export interface CardData extends CardObjectBase {
  readonly class: "data";
  /** CKA_APPLICATION. */
  readonly application: string;
  /** CKA_OBJECT_ID, dotted: "2.16.840.1.101.3.7.2.48.0". */
  readonly objectId?: string;
  value(options?: CallOptions): Promise<Uint8Array>;
}

export type CardObject = CardCertificate | CardPublicKey | CardPrivateKey | CardData;

/** What all objects to be written have. */
export interface NewObjectBase {
  readonly label: string;
  readonly private: boolean;
}

/** What new objects with a CKA_ID have. */
export interface NewKeyedObjectBase extends NewObjectBase {
  /** CKA_ID; empty if the caller left it to the card. */
  readonly id: Uint8Array;
}

/** An object to be written to a card. The card decides what is not named here. */
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
      /** PKCS #8 PrivateKeyInfo, DER, unencrypted; the caller wipes it. */
      readonly privateKey: Uint8Array;
    })
  | (NewObjectBase & {
      readonly class: "data";
      readonly application: string;
      readonly objectId?: string;
      readonly value: Uint8Array;
    });

/** The changes of {@link CardToken.setAttributes}; absent ones stay. */
export interface CardObjectChanges {
  readonly label?: string;
  readonly id?: Uint8Array;
  /** Of a certificate or data object. */
  readonly value?: Uint8Array;
}
