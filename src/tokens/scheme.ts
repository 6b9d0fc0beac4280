import {
  digestInfo,
  hashLength,
  type HashName,
  type NamedCurve,
  type PssParameters,
  truncateDigest,
} from "../crypto/index.ts";
import {
  type CK_MECHANISM,
  type CK_RSA_PKCS_OAEP_PARAMS,
  type CK_RSA_PKCS_PSS_PARAMS,
  CKG_MGF,
  CKM,
  CKZ_OAEP,
} from "../cryptoki/index.ts";
import { TokenError } from "./error.ts";

/** What kind of key it is. */
export type KeyAlgorithm =
  | { readonly type: "rsa"; readonly bits: number }
  | { readonly type: "ec"; readonly curve: NamedCurve }
  | { readonly type: "ed25519" }
  | { readonly type: "x25519" };

export type SignatureHash = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512" | "SHA3-256" | "SHA3-384" | "SHA3-512";

/** How data is signed; what is left out follows from the key. */
export interface SignatureScheme {
  /** Default: SHA-256; for keys on P-384 and P-521 the hash of the curve's length. Ed25519 takes none. */
  readonly hash?: SignatureHash;
  /** RSA only; default: "pkcs1" (RFC 8017 section 8.2). */
  readonly padding?: "pkcs1" | "pss";
  /** PSS only, in bytes; default: as long as the hash. */
  readonly saltLength?: number;
  /** ECDSA only; default: "ieee-p1363", which is r || s. */
  readonly encoding?: "ieee-p1363" | "der";
}

/** How a short message is encrypted for an RSA key. */
export interface Encryption {
  /** Default: "oaep" (RFC 8017 section 7.1). */
  readonly padding?: "oaep" | "pkcs1";
  /** OAEP only, also of its MGF1; default: SHA-256. */
  readonly hash?: SignatureHash;
  /** OAEP only; default: empty. */
  readonly label?: Uint8Array;
}

interface HashRow {
  readonly name: HashName;
  readonly mechanism: number;
  readonly mgf: number;
}

const HASHES: Readonly<Record<SignatureHash, HashRow>> = {
  "SHA-1": { name: "sha1", mechanism: CKM.SHA_1, mgf: CKG_MGF.MGF1_SHA1 },
  "SHA-256": { name: "sha256", mechanism: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 },
  "SHA-384": { name: "sha384", mechanism: CKM.SHA384, mgf: CKG_MGF.MGF1_SHA384 },
  "SHA-512": { name: "sha512", mechanism: CKM.SHA512, mgf: CKG_MGF.MGF1_SHA512 },
  "SHA3-256": { name: "sha3-256", mechanism: CKM.SHA3_256, mgf: CKG_MGF.MGF1_SHA3_256 },
  "SHA3-384": { name: "sha3-384", mechanism: CKM.SHA3_384, mgf: CKG_MGF.MGF1_SHA3_384 },
  "SHA3-512": { name: "sha3-512", mechanism: CKM.SHA3_512, mgf: CKG_MGF.MGF1_SHA3_512 },
};

function rowOf(hash: SignatureHash): HashRow {
  if (Object.hasOwn(HASHES, hash)) return HASHES[hash];
  throw new TokenError("BAD_INPUT", `no hash "${hash}"; there are ${Object.keys(HASHES).join(", ")}`);
}

/** A scheme with all that was left out. */
export interface WholeScheme {
  /** What the host hashes with; undefined for Ed25519, which takes the message itself. */
  readonly hash: HashName | undefined;
  /** Of RSA with PSS. */
  readonly pss: PssParameters | undefined;
  readonly encoding: "ieee-p1363" | "der";
  /** The token's bare mechanism: every module has it, whatever hashes it knows. */
  readonly mechanism: CK_MECHANISM;
  /** What the mechanism takes, made of the hash of the message, or of the message for Ed25519. */
  readonly input: (hashed: Uint8Array) => Uint8Array;
}

/**
 * The scheme for a key, whole.
 * @throws {TokenError} KEY_CANNOT for a key that does not sign; BAD_INPUT for an option that its type does not have.
 */
export function schemeFor(key: KeyAlgorithm, scheme: SignatureScheme): WholeScheme {
  if (key.type === "x25519") {
    throw new TokenError("KEY_CANNOT", "an X25519 key agrees on secrets; it does not sign");
  }
  requireOneOf("padding", scheme.padding, ["pkcs1", "pss"]);
  requireOneOf("encoding", scheme.encoding, ["ieee-p1363", "der"]);
  if (key.type !== "rsa") refuse(key, scheme, "padding", "saltLength");
  if (key.type !== "ec") refuse(key, scheme, "encoding");
  const encoding = scheme.encoding ?? "ieee-p1363";
  if (key.type === "ed25519") {
    refuse(key, scheme, "hash");
    return {
      hash: undefined,
      pss: undefined,
      encoding,
      mechanism: { mechanism: CKM.EDDSA },
      input: (message) => message,
    };
  }
  const row = rowOf(scheme.hash ?? (key.type === "ec" ? CURVE_HASH[key.curve] : undefined) ?? "SHA-256");
  const common = { hash: row.name, encoding };
  if (key.type === "ec") {
    const input = (hashed: Uint8Array): Uint8Array => truncateDigest(hashed, key.curve);
    return { ...common, pss: undefined, mechanism: { mechanism: CKM.ECDSA }, input };
  }
  if (scheme.padding !== "pss") {
    refuse(key, scheme, "saltLength");
    const input = (hashed: Uint8Array): Uint8Array => digestInfo(row.name, hashed);
    return { ...common, pss: undefined, mechanism: { mechanism: CKM.RSA_PKCS }, input };
  }
  const saltLength = scheme.saltLength ?? hashLength(row.name);
  const parameter: CK_RSA_PKCS_PSS_PARAMS = { hashAlg: row.mechanism, mgf: row.mgf, sLen: saltLength };
  return {
    ...common,
    pss: { hash: row.name, mgfHash: row.name, saltLength },
    mechanism: { mechanism: CKM.RSA_PKCS_PSS, parameter },
    input: (hashed) => hashed,
  };
}

/** The hash of a curve's length (FIPS 186-5 section 6.1.1). */
const CURVE_HASH: Readonly<Record<string, SignatureHash>> = { "P-384": "SHA-384", "P-521": "SHA-512" };

function refuse(key: KeyAlgorithm, scheme: SignatureScheme, ...options: readonly (keyof SignatureScheme)[]): void {
  for (const option of options) {
    if (scheme[option] === undefined) continue;
    throw new TokenError("BAD_INPUT", `${option} does not apply to signatures with a key of type ${key.type}`);
  }
}

/** @throws {TokenError} BAD_INPUT for a word that is misspelt: nothing else is done in its place. */
function requireOneOf(option: string, value: string | undefined, known: readonly string[]): void {
  if (value === undefined || known.includes(value)) return;
  throw new TokenError("BAD_INPUT", `no ${option} "${value}"; there are ${known.join(", ")}`);
}

/** What the host needs of an encryption. `hash` is undefined for PKCS #1 v1.5. */
export function encryptionOf(options: Encryption): { readonly hash: HashName | undefined; readonly label: Uint8Array } {
  requireOneOf("padding", options.padding, ["oaep", "pkcs1"]);
  const label = options.label ?? new Uint8Array();
  if (options.padding === "pkcs1") return { hash: undefined, label };
  return { hash: rowOf(options.hash ?? "SHA-256").name, label };
}

/** The mechanism that takes an encryption off again. */
export function decryptionMechanism(options: Encryption): CK_MECHANISM {
  requireOneOf("padding", options.padding, ["oaep", "pkcs1"]);
  if (options.padding === "pkcs1") return { mechanism: CKM.RSA_PKCS };
  const row = rowOf(options.hash ?? "SHA-256");
  const parameter: CK_RSA_PKCS_OAEP_PARAMS = {
    hashAlg: row.mechanism,
    mgf: row.mgf,
    source: CKZ_OAEP.DATA_SPECIFIED,
    ...(options.label && { pSourceData: options.label }),
  };
  return { mechanism: CKM.RSA_PKCS_OAEP, parameter };
}
