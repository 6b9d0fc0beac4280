import { DataError, fromBase64Url, wipe } from "../bytes/index.ts";
import {
  encodeEcParameters,
  encodeEcPoint,
  encodeParameters25519,
  HostPrivateKey,
  type NamedCurve,
  type PublicKey as ParsedKey,
} from "../crypto/index.ts";
import { CKA, CKK, CKO, type Template } from "../cryptoki/index.ts";
import { TokenError } from "./error.ts";

/** A private key as RFC 7517 writes it. */
export type PrivateJwk = Readonly<Record<string, unknown>>;

/**
 * Reads a private key.
 * @param key PKCS #8, DER, not encrypted; or a JSON Web Key.
 * @returns The key; the caller wipes it.
 * @throws {TokenError} BAD_INPUT. Messages never show parts of the key.
 */
export function readPrivateKey(key: Uint8Array | PrivateJwk): HostPrivateKey {
  try {
    if (key instanceof Uint8Array) return HostPrivateKey.fromPkcs8(key);
    const given: unknown = key;
    if (typeof given === "object" && given !== null) return fromJwk(key);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", `not a private key: ${cause.message}`, { cause });
  }
  throw new TokenError("BAD_INPUT", "a private key is PKCS #8 in DER, as a Uint8Array, or a JSON Web Key");
}

function fromJwk(jwk: PrivateJwk): HostPrivateKey {
  const parts: Uint8Array[] = [];
  const part = (name: string): Uint8Array => {
    const text = jwk[name];
    if (typeof text !== "string") throw new DataError(`JSON Web Key: no ${name}`);
    const bytes = fromBase64Url(text);
    parts.push(bytes);
    return bytes;
  };
  try {
    switch (jwk["kty"]) {
      case "RSA":
        return HostPrivateKey.fromRsaNumbers({
          modulus: part("n"),
          publicExponent: part("e"),
          privateExponent: part("d"),
          ...(jwk["p"] !== undefined && { prime1: part("p"), prime2: part("q") }),
        });
      case "EC": {
        const curve = (["P-256", "P-384", "P-521"] as const).find((name) => name === jwk["crv"]);
        if (curve) return HostPrivateKey.fromEcSecret(curve, part("d"));
        break;
      }
      case "OKP": {
        const curve = (["Ed25519", "X25519"] as const).find((name) => name === jwk["crv"]);
        if (curve) return HostPrivateKey.fromSeed(curve, part("d"));
        break;
      }
      default:
    }
    throw new DataError("JSON Web Key: its kty and crv are of no type that is known here");
  } finally {
    wipe(...parts);
  }
}

/** The numbers of a private key, for C_CreateObject; the caller wipes those in `secrets`. */
export function privateKeyAttributes(key: HostPrivateKey): {
  readonly template: Template;
  readonly secrets: Uint8Array[];
} {
  const { publicKey } = key;
  const kind = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.KEY_TYPE]: keyTypeOf(publicKey) };
  if (publicKey.type === "rsa") {
    const { privateExponent, prime1, prime2, exponent1, exponent2, coefficient } = key.rsaNumbers();
    return {
      template: {
        ...kind,
        [CKA.MODULUS]: publicKey.modulus,
        [CKA.PUBLIC_EXPONENT]: publicKey.publicExponent,
        [CKA.PRIVATE_EXPONENT]: privateExponent,
        [CKA.PRIME_1]: prime1,
        [CKA.PRIME_2]: prime2,
        [CKA.EXPONENT_1]: exponent1,
        [CKA.EXPONENT_2]: exponent2,
        [CKA.COEFFICIENT]: coefficient,
      },
      secrets: [privateExponent, prime1, prime2, exponent1, exponent2, coefficient],
    };
  }
  const value = key.secret();
  return {
    template: { ...kind, [CKA.EC_PARAMS]: parametersOf(publicKey.curve), [CKA.VALUE]: value },
    secrets: [value],
  };
}

/** The numbers of a public key, for C_CreateObject. */
export function publicKeyAttributes(key: ParsedKey): Template {
  const kind = { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.KEY_TYPE]: keyTypeOf(key) };
  if (key.type === "rsa") return { ...kind, [CKA.MODULUS]: key.modulus, [CKA.PUBLIC_EXPONENT]: key.publicExponent };
  const point = key.type === "ec" ? encodeEcPoint(key.point) : key.point;
  return { ...kind, [CKA.EC_PARAMS]: parametersOf(key.curve), [CKA.EC_POINT]: point };
}

const KEY_TYPES = { rsa: CKK.RSA, ec: CKK.EC, edwards: CKK.EC_EDWARDS, montgomery: CKK.EC_MONTGOMERY } as const;

const keyTypeOf = ({ type }: ParsedKey): number => KEY_TYPES[type];

const parametersOf = (curve: NamedCurve | "Ed25519" | "X25519"): Uint8Array =>
  curve === "Ed25519" || curve === "X25519" ? encodeParameters25519(curve) : encodeEcParameters(curve);
