import { CKM } from "../cryptoki/index.ts";
import type { HashName } from "../crypto/index.ts";
import { UsageError } from "./failure.ts";
import type { SigningKey } from "./signing-key.ts";

/** The name of a mechanism without its prefix: "SHA256_RSA_PKCS". */
type MechanismName = keyof typeof CKM;

/** A way to sign: what is done with the data before the key is used, and how. */
export interface SignatureScheme {
  readonly name: MechanismName;
  readonly family: "rsa-pkcs1" | "rsa-pss" | "rsa-raw" | "ecdsa" | "eddsa";
  /** Undefined: what is given is signed as it is. */
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

/** As mechanism names write it: SHA256, SHA3_256. */
const word = (hash: HashName): string => hash.toUpperCase().replace("-", "_");

const isMechanism = (name: string): name is MechanismName => Object.hasOwn(CKM, name);

/** All that the names promise; what a token can do of it, the token says. */
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

/** "sha256-rsa-pkcs", "CKM_SHA256_RSA_PKCS" and "SHA256_RSA_PKCS" are one name. */
export function canonicalName(text: string): string {
  return text.toUpperCase().replaceAll("-", "_").replace(/^CKM_/u, "");
}

export interface SchemeOptions {
  readonly mechanism?: string;
  readonly hash?: HashName;
}

/**
 * The way to sign with `key` that the options name: `--hash` makes the bare mechanism the one that hashes first. Unless
 * told, RSA keys sign with PKCS #1 v1.5 and SHA-256, those for RSASSA-PSS only with that, EC keys with the hash of their own length,
 * Ed25519 keys the whole message; on a card that does not do that, with the first mechanism that it offers for such keys.
 * @param offered The token's mechanisms; any if left out.
 * @throws {UsageError} for a name that is none, or does not fit the hash, the key or the card.
 */
export function signatureScheme(key: SigningKey, options: SchemeOptions, offered?: readonly number[]): SignatureScheme {
  const scheme = namedScheme(key, options);
  const isOffered = ({ name }: SignatureScheme): boolean => offered?.includes(CKM[name]) ?? true;
  if (isOffered(scheme)) return scheme;
  const possible = SCHEMES.filter((one) => keyTypeOf(one.family) === key.type && isOffered(one));
  const [own] = possible.filter((one) => one.hash !== undefined);
  if (own && options.mechanism === undefined && options.hash === undefined) return own;
  const names = possible.map(({ name }) => name).join(", ");
  throw new UsageError(
    `the card does not sign with ${scheme.name}; with this key it does ${names === "" ? "nothing of the kind" : names}`,
  );
}

function namedScheme(key: SigningKey, { mechanism, hash }: SchemeOptions): SignatureScheme {
  const named =
    mechanism === undefined ? { family: defaultFamily(key), hash: hash ?? defaultHash(key) } : lookUp(mechanism);
  if (keyTypeOf(named.family) !== key.type) {
    throw new UsageError(`${mechanism ?? ""} does not fit the key, which is ${KEY_NAMES[key.type]}`);
  }
  if (hash !== undefined && named.hash !== undefined && named.hash !== hash) {
    throw new UsageError(`${mechanism ?? ""} has a hash of its own; leave out --hash ${hash}`);
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
  if (!scheme) throw new UsageError(`--mechanism ${mechanism}: no way to sign; try ${FREQUENT.join(", ")}`);
  return scheme;
}

const FREQUENT: readonly MechanismName[] = ["SHA256_RSA_PKCS", "SHA256_RSA_PKCS_PSS", "ECDSA_SHA256"];

function defaultFamily(key: SigningKey): SignatureScheme["family"] {
  if (key.type !== "rsa") return DEFAULT_FAMILY[key.type];
  return key.pss === undefined ? "rsa-pkcs1" : "rsa-pss";
}

/** Undefined for Ed25519, which signs the whole message. */
function defaultHash(key: SigningKey): HashName | undefined {
  if (key.type === "rsa") return key.pss === undefined || key.pss === "none" ? "sha256" : key.pss.hash;
  if (key.type === "edwards") return undefined;
  return ({ "P-256": "sha256", "P-384": "sha384", "P-521": "sha512" } as const)[key.curve];
}
