import { DataError } from "../../bytes/index.ts";
import {
  digestInfo,
  ecdsaFromDer,
  ecdsaToDer,
  type EcPublicKey,
  type EdwardsPublicKey,
  hashLength,
  type HashName,
  type PublicKey,
  type RsaPublicKey,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
  verifyPss,
  verifyRsaRaw,
} from "../../crypto/index.ts";
import { type CK_MECHANISM, CKD, CKG_MGF, CKK, CKM, CKZ_OAEP, mechanismOf } from "../../cryptoki/index.ts";
import { UsageError } from "../output/failures.ts";
import type { AnySession, ObjectEntry } from "../session.ts";

/** Key types that sign and verify. */
export type SigningKey = RsaPublicKey | EcPublicKey | EdwardsPublicKey;

/** @throws {UsageError} for a key that only agrees on secrets. */
export function requireSigningKey(key: PublicKey): SigningKey {
  if (key.type !== "montgomery") return key;
  throw new UsageError(`this is a key on ${key.curve}; the command needs an RSA, EC or Ed25519 key`);
}

/** What a signature needs to know of its key: a card's directory often tells it. */
export type SigningShape =
  Pick<RsaPublicKey, "type" | "pss"> | Pick<EcPublicKey, "type" | "curve"> | Pick<EdwardsPublicKey, "type" | "curve">;

/**
 * What a signature needs to know of a key on a token. Its public half is read only if the token does not tell the type, or the curve, and
 * for an RSA key that signs by PSS alone.
 * @throws {UsageError} for a key that only agrees on secrets.
 */
export async function signingKeyOf(session: AnySession, object: ObjectEntry): Promise<SigningShape> {
  const { type, allowed } = await session.keyKind(object.handle);
  const curve = type === CKK.EC ? await session.curve(object.handle) : undefined;
  if (curve !== undefined) return { type: "ec", curve };
  if (type === CKK.RSA && allowed.includes(CKM.RSA_PKCS)) return { type: "rsa" };
  return requireSigningKey(await session.publicKey(object));
}

/** The name of a mechanism without its prefix: "SHA256_RSA_PKCS". */
type MechanismName = keyof typeof CKM;

/** A signature scheme: the key's algorithm and the hash, if there is one. */
export interface SignatureScheme {
  readonly name: MechanismName;
  readonly family: "rsa-pkcs1" | "rsa-pss" | "rsa-raw" | "ecdsa" | "eddsa";
  /** Undefined: the input is signed without hashing. */
  readonly hash: HashName | undefined;
}

/** Hashes that --hash takes. */
export const HASHES = [
  "sha1",
  "sha224",
  "sha256",
  "sha384",
  "sha512",
  "sha3-224",
  "sha3-256",
  "sha3-384",
  "sha3-512",
] as const satisfies readonly HashName[];

/** As in mechanism names: SHA256, SHA3_256. */
const word = (hash: HashName): string => hash.toUpperCase().replace("-", "_");

const isMechanism = (name: string): name is MechanismName => Object.hasOwn(CKM, name);

/** All schemes of this program; the token lists which of them it supports. */
const SCHEMES: readonly SignatureScheme[] = [
  ...family("rsa-pkcs1", "RSA_PKCS", (hash) => `${word(hash)}_RSA_PKCS`),
  ...family("rsa-pss", "RSA_PKCS_PSS", (hash) => `${word(hash)}_RSA_PKCS_PSS`),
  { name: "RSA_X_509", family: "rsa-raw", hash: undefined },
  ...family("ecdsa", "ECDSA", (hash) => `ECDSA_${word(hash)}`),
  { name: "EDDSA", family: "eddsa", hash: undefined },
];

function family(
  name: SignatureScheme["family"],
  bare: MechanismName,
  hashed: (hash: HashName) => string,
): SignatureScheme[] {
  return [undefined, ...HASHES].flatMap((hash) => {
    const mechanism = hash === undefined ? bare : hashed(hash);
    return isMechanism(mechanism) ? [{ name: mechanism, family: name, hash }] : [];
  });
}

/** Accepts "sha256-rsa-pkcs", "CKM_SHA256_RSA_PKCS" and "SHA256_RSA_PKCS" as one name. */
export function canonicalName(text: string): string {
  return text.toUpperCase().replaceAll("-", "_").replace(/^CKM_/u, "");
}

export interface SchemeOptions {
  readonly mechanism?: string;
  readonly hash?: HashName;
}

/**
 * Returns the scheme for `key` that the options name: `--hash` turns a bare mechanism into the one with that hash.
 * Defaults: RSA keys use PKCS #1 v1.5 with SHA-256, RSASSA-PSS keys PSS with SHA-256, EC keys ECDSA with the hash of
 * the curve's length, Ed25519 keys sign the whole message. If the card does not support the default, the first
 * mechanism that it offers for such keys is used.
 * @param offered The token's mechanisms; any if left out.
 * @throws {UsageError} for an unknown name, or one that does not fit the hash, the key or the card.
 */
export function signatureScheme(
  key: SigningShape,
  options: SchemeOptions,
  offered?: readonly number[],
): SignatureScheme {
  const scheme = namedScheme(key, options);
  const isOffered = ({ name }: SignatureScheme): boolean => offered?.includes(CKM[name]) ?? true;
  if (isOffered(scheme)) return scheme;
  const possible = SCHEMES.filter((one) => keyTypeOf(one.family) === key.type && isOffered(one));
  const [own] = possible.filter((one) => one.hash !== undefined);
  if (own && options.mechanism === undefined && options.hash === undefined) return own;
  const names = possible.map(({ name }) => name).join(", ");
  throw new UsageError(
    `the card does not sign with ${scheme.name}; with this key it supports ${names === "" ? "no mechanism of this program" : names}`,
  );
}

function namedScheme(key: SigningShape, { mechanism, hash }: SchemeOptions): SignatureScheme {
  const named =
    mechanism === undefined ? { family: defaultFamily(key), hash: hash ?? defaultHash(key) } : lookUp(mechanism);
  if (keyTypeOf(named.family) !== key.type) {
    throw new UsageError(`${mechanism ?? ""} does not fit this key, which is ${KEY_NAMES[key.type]}`);
  }
  if (hash !== undefined && named.hash !== undefined && named.hash !== hash) {
    throw new UsageError(`${mechanism ?? ""} already includes a hash; leave out --hash ${hash}`);
  }
  const scheme = SCHEMES.find((one) => one.family === named.family && one.hash === (named.hash ?? hash));
  if (!scheme) throw new UsageError(`there is no ${mechanism ?? "mechanism"} with ${hash ?? "no hash"}`);
  return scheme;
}

const DEFAULT_FAMILY = { ec: "ecdsa", edwards: "eddsa" } as const;
const KEY_NAMES: Readonly<Record<SigningKey["type"], string>> = { rsa: "RSA", ec: "EC", edwards: "Ed25519" };

function keyTypeOf(family: SignatureScheme["family"]): SigningKey["type"] {
  if (family === "ecdsa") return "ec";
  return family === "eddsa" ? "edwards" : "rsa";
}

function lookUp(mechanism: string): SignatureScheme {
  const name = canonicalName(mechanism);
  const scheme = SCHEMES.find((one) => one.name === name);
  if (!scheme) throw new UsageError(`--mechanism ${mechanism}: not a signature mechanism; try ${FREQUENT.join(", ")}`);
  return scheme;
}

const FREQUENT: readonly MechanismName[] = ["SHA256_RSA_PKCS", "SHA256_RSA_PKCS_PSS", "ECDSA_SHA256"];

function defaultFamily(key: SigningShape): SignatureScheme["family"] {
  if (key.type !== "rsa") return DEFAULT_FAMILY[key.type];
  return key.pss === undefined ? "rsa-pkcs1" : "rsa-pss";
}

/** Undefined for Ed25519, which signs the whole message. */
function defaultHash(key: SigningShape): HashName | undefined {
  if (key.type === "rsa") return key.pss === undefined || key.pss === "none" ? "sha256" : key.pss.hash;
  if (key.type === "edwards") return undefined;
  return ({ "P-256": "sha256", "P-384": "sha384", "P-521": "sha512" } as const)[key.curve];
}

/** Formats of an ECDSA signature: r and s concatenated, as in PKCS #11, or DER, as in most other standards. */
export type SignatureFormat = "raw" | "der";

/** Converts a signature from PKCS #11's format. RSA signatures have only one format. */
export function formatSignature(signature: Uint8Array, key: SigningShape, format: SignatureFormat): Uint8Array {
  return key.type === "ec" && format === "der" ? ecdsaToDer(signature) : signature;
}

/**
 * Converts a signature to PKCS #11's format. Without `format`, one of twice the curve's length is taken as r and s.
 * Undefined if it has neither format.
 */
export function readSignature(bytes: Uint8Array, key: SigningKey, format?: SignatureFormat): Uint8Array | undefined {
  if (key.type !== "ec") return bytes;
  const rawLength = key.point.length - 1;
  if (format === "raw" || (format === undefined && bytes.length === rawLength)) return bytes;
  try {
    return ecdsaFromDer(bytes, key.curve);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/**
 * Whether `signature`, in PKCS #11's format, is the key's; computed on the host.
 * @param hashed The digest of the data; for a scheme without a hash the data itself.
 */
export async function verifySignature(
  { family, hash }: SignatureScheme,
  key: SigningKey,
  hashed: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (key.type === "ec") return verifyEcdsa(key, hashed, signature);
  if (key.type === "edwards") return verifyEddsa(key, hashed, signature);
  switch (family) {
    case "rsa-raw":
      return verifyRsaRaw(key, hashed, signature);
    case "rsa-pss":
      return verifyPss(key, hashed, pssParameters(hash ?? hashOfLength(hashed.length)), signature);
    case "rsa-pkcs1":
    case "ecdsa":
    case "eddsa":
      return verifyPkcs1(key, hash === undefined ? hashed : digestInfo(hash, hashed), signature);
  }
}

/** What a scheme with a hash signs of a message that was hashed before, and the mechanism for it. */
export interface HashedInput {
  readonly mechanism: CK_MECHANISM;
  readonly data: Uint8Array;
}

/** The mechanisms that sign a digest: PKCS #1 v1.5 signs it as a DigestInfo (RFC 8017 section 9.2). */
const OF_DIGESTS = { "rsa-pkcs1": CKM.RSA_PKCS, "rsa-pss": CKM.RSA_PKCS_PSS, ecdsa: CKM.ECDSA } as const;

/**
 * The hash with which this program hashes the message itself, so that it need not be in memory; undefined if the scheme
 * has none, or the card signs no digests.
 */
export function hostHash({ family, hash }: SignatureScheme, offered: readonly number[]): HashName | undefined {
  if (family === "rsa-raw" || family === "eddsa") return undefined;
  return offered.includes(OF_DIGESTS[family]) ? hash : undefined;
}

/** The input for a message with this digest, made with {@link hostHash}. */
export function hashedInput(scheme: SignatureScheme, hash: HashName, digest: Uint8Array): HashedInput {
  const { family } = scheme;
  if (family === "rsa-raw" || family === "eddsa") throw new TypeError(`${family} signs no digest`);
  const { parameter } = signatureMechanism(scheme, digest.length);
  return {
    mechanism: mechanismOf(OF_DIGESTS[family], parameter ?? undefined),
    data: family === "rsa-pkcs1" ? digestInfo(hash, digest) : digest,
  };
}

/** Uses the same hash for MGF1, and a salt of the hash's length, which is the usual choice. */
function pssParameters(hash: HashName): { hash: HashName; mgfHash: HashName; saltLength: number } {
  return { hash, mgfHash: hash, saltLength: hashLength(hash) };
}

/**
 * The SHA-1 or SHA-2 hash with a result of this length, for data that is a hash already.
 * @throws {UsageError} if there is none.
 */
function hashOfLength(length: number): HashName {
  const hash = HASHES.find((name) => hashLength(name) === length);
  if (!hash)
    throw new UsageError(`RSA_PKCS_PSS signs a hash, and no hash has ${length} bytes; name the hash with --hash`);
  return hash;
}

/** A hash as a mechanism, and as the mask generation function over it. */
const HASH_CONSTANTS: Readonly<Record<HashName, { readonly hashAlg: number; readonly mgf: number } | undefined>> = {
  md5: undefined,
  sha1: { hashAlg: CKM.SHA_1, mgf: CKG_MGF.MGF1_SHA1 },
  sha224: { hashAlg: CKM.SHA224, mgf: CKG_MGF.MGF1_SHA224 },
  sha256: { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 },
  sha384: { hashAlg: CKM.SHA384, mgf: CKG_MGF.MGF1_SHA384 },
  sha512: { hashAlg: CKM.SHA512, mgf: CKG_MGF.MGF1_SHA512 },
  "sha512-224": undefined,
  "sha512-256": undefined,
  "sha3-224": { hashAlg: CKM.SHA3_224, mgf: CKG_MGF.MGF1_SHA3_224 },
  "sha3-256": { hashAlg: CKM.SHA3_256, mgf: CKG_MGF.MGF1_SHA3_256 },
  "sha3-384": { hashAlg: CKM.SHA3_384, mgf: CKG_MGF.MGF1_SHA3_384 },
  "sha3-512": { hashAlg: CKM.SHA3_512, mgf: CKG_MGF.MGF1_SHA3_512 },
};

/**
 * The mechanism of a scheme with its parameter.
 * @param length Of the data in bytes; it determines the hash of a bare PSS.
 */
export function signatureMechanism({ name, family, hash }: SignatureScheme, length: number): CK_MECHANISM {
  const mechanism = CKM[name];
  if (family !== "rsa-pss") return mechanismOf(mechanism);
  const used = hash ?? hashOfLength(length);
  const constants = HASH_CONSTANTS[used];
  return mechanismOf(mechanism, constants && { ...constants, sLen: hashLength(used) });
}

/** RSA decryption: OAEP with `hash` and MGF1 over the same, or PKCS #1 v1.5. */
export function decryptionMechanism(hash: HashName | undefined, label?: Uint8Array): CK_MECHANISM {
  const constants = hash === undefined ? undefined : HASH_CONSTANTS[hash];
  if (!constants) return { mechanism: CKM.RSA_PKCS };
  const source = CKZ_OAEP.DATA_SPECIFIED;
  const parameter = { ...constants, source, ...(label && { pSourceData: label }) };
  return { mechanism: CKM.RSA_PKCS_OAEP, parameter };
}

/** ECDH with the other party's point, without a key derivation function. */
export function agreementMechanism(point: Uint8Array): CK_MECHANISM {
  return { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: point } };
}
