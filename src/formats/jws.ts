import type { CallOptions } from "../async/index.ts";
import { toBase64Url, utf8 } from "../bytes/index.ts";
import { type KeyAlgorithm, type SignatureScheme, TokenError } from "../tokens/index.ts";
import type { SigningKey } from "./signing-key.ts";

/** Names of JSON Web Algorithms (RFC 7518 section 3.1, RFC 8037). */
export type JwsAlgorithm = keyof typeof ALGORITHMS;

interface AlgorithmRow {
  /** The keys that it is for: their type, and the curve of an EC key. */
  readonly fits: (key: KeyAlgorithm) => boolean;
  readonly scheme: SignatureScheme;
}

const isRsa = ({ type }: KeyAlgorithm): boolean => type === "rsa";
const isOn =
  (curve: string) =>
  (key: KeyAlgorithm): boolean =>
    key.type === "ec" && key.curve === curve;

const ALGORITHMS = {
  RS256: { fits: isRsa, scheme: { hash: "SHA-256" } },
  RS384: { fits: isRsa, scheme: { hash: "SHA-384" } },
  RS512: { fits: isRsa, scheme: { hash: "SHA-512" } },
  PS256: { fits: isRsa, scheme: { hash: "SHA-256", padding: "pss" } },
  PS384: { fits: isRsa, scheme: { hash: "SHA-384", padding: "pss" } },
  PS512: { fits: isRsa, scheme: { hash: "SHA-512", padding: "pss" } },
  ES256: { fits: isOn("P-256"), scheme: { hash: "SHA-256" } },
  ES384: { fits: isOn("P-384"), scheme: { hash: "SHA-384" } },
  ES512: { fits: isOn("P-521"), scheme: { hash: "SHA-512" } },
  EdDSA: { fits: ({ type }: KeyAlgorithm): boolean => type === "ed25519", scheme: {} },
} as const satisfies Record<string, AlgorithmRow>;

/** Members of a JOSE header besides `alg` (RFC 7515 section 4.1). */
export type JoseHeader = Readonly<Record<string, unknown>>;

export interface JwsOptions extends CallOptions {
  /** Default: RS256 for RSA keys, else the algorithm of the key's curve. */
  readonly alg?: JwsAlgorithm;
  /** More members of the protected header: `kid`, `typ`, `x5c`. */
  readonly header?: JoseHeader;
}

/** A signature of the general form. */
export interface JwsSignature {
  readonly protected: string;
  readonly signature: string;
}

/** The general JSON form, which takes several signatures (RFC 7515 section 7.2.1). */
export interface GeneralJws {
  readonly payload: string;
  readonly signatures: readonly JwsSignature[];
}

/**
 * Signs a payload with a key of a token, in the compact form (RFC 7515 section 7.1).
 * @throws {TokenError} KEY_CANNOT for a key that has no algorithm of JOSE, or not the one that is wanted; BAD_INPUT for a header that
 *   has `alg`, or `b64`, or that JSON cannot hold; what the key throws.
 */
export async function signJws(key: SigningKey, payload: Uint8Array, options: JwsOptions = {}): Promise<string> {
  const encoded = toBase64Url(payload);
  const { protected: header, signature } = await signatureOver(key, encoded, options);
  return `${header}.${encoded}.${signature}`;
}

/**
 * Signs a payload with several keys, in the general JSON form. The keys sign one after the other.
 * @throws {TokenError} as {@link signJws}; BAD_INPUT without a signer.
 */
export async function signGeneralJws(
  payload: Uint8Array,
  signers: readonly (Omit<JwsOptions, "signal"> & { readonly key: SigningKey })[],
  { signal }: CallOptions = {},
): Promise<GeneralJws> {
  if (signers.length === 0) throw new TokenError("BAD_INPUT", "a JWS wants a signer at least");
  const encoded = toBase64Url(payload);
  const signatures: JwsSignature[] = [];
  for (const { key, ...options } of signers) signatures.push(await signatureOver(key, encoded, { ...options, signal }));
  return { payload: encoded, signatures };
}

/**
 * A JSON Web Token (RFC 7519): the claims, signed, with `typ` "JWT" unless the header says otherwise.
 * @throws {TokenError} as {@link signJws}.
 */
export function signJwt(
  key: SigningKey,
  claims: Readonly<Record<string, unknown>>,
  options: JwsOptions = {},
): Promise<string> {
  return signJws(key, utf8(JSON.stringify(claims)), { ...options, header: { typ: "JWT", ...options.header } });
}

async function signatureOver(
  key: SigningKey,
  payload: string,
  { alg, header = {}, signal }: JwsOptions,
): Promise<JwsSignature> {
  for (const name of ["alg", "b64"]) {
    if (name in header) throw new TokenError("BAD_INPUT", `the header must not have "${name}": give the option alg`);
  }
  const { algorithm } = await key.publicKey({ signal });
  const { alg: chosen, scheme } = algorithmFor(algorithm, alg);
  const encoded = toBase64Url(utf8(JSON.stringify({ alg: chosen, ...header })));
  const signature = await key.sign(utf8(`${encoded}.${payload}`), { ...scheme, signal });
  return { protected: encoded, signature: toBase64Url(signature) };
}

/**
 * The algorithm with which a key signs.
 * @param wanted Default: the usual one of the key.
 * @throws {TokenError} BAD_INPUT for a name that is none; KEY_CANNOT.
 */
export function algorithmFor(
  key: KeyAlgorithm,
  wanted: JwsAlgorithm | undefined,
): { readonly alg: JwsAlgorithm; readonly scheme: SignatureScheme } {
  const alg = wanted ?? usualAlgorithm(key);
  if (!Object.hasOwn(ALGORITHMS, alg)) {
    throw new TokenError("BAD_INPUT", `no algorithm "${alg}"; there are ${Object.keys(ALGORITHMS).join(", ")}`);
  }
  const { fits, scheme } = ALGORITHMS[alg];
  if (!fits(key)) throw new TokenError("KEY_CANNOT", `a key of type ${nameOf(key)} does not sign with ${alg}`);
  return { alg, scheme };
}

/** The algorithms of a key, the usual one first. */
export function algorithmsOf(key: KeyAlgorithm): readonly JwsAlgorithm[] {
  const names = Object.keys(ALGORITHMS) as JwsAlgorithm[];
  return names.filter((name) => ALGORITHMS[name].fits(key));
}

function usualAlgorithm(key: KeyAlgorithm): JwsAlgorithm {
  const [found] = algorithmsOf(key);
  if (!found) throw new TokenError("KEY_CANNOT", `JOSE has no signature with a key of type ${nameOf(key)}`);
  return found;
}

const nameOf = (key: KeyAlgorithm): string => (key.type === "ec" ? key.curve : key.type);
