import { equalBytes, wipe } from "../../bytes/index.ts";
import type { KeyPrimitive } from "../../card/index.ts";
import {
  decodeEcPoint,
  decodePoint25519,
  encodeEcPoint,
  encodePublicKey,
  type HashName,
  HostPrivateKey,
  type PublicKey,
  type RsaPrivateNumbers,
  rsaPublicKey,
} from "../../crypto/index.ts";
import { inconsistent, invalid } from "../attributes/errors.ts";
import { bytesOf, isTrue, numberOf, type Values } from "../attributes/new-object.ts";
import { sameValue } from "../attributes/template.ts";
import { CKK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, asCallerErrorAsync, CryptokiError } from "../errors.ts";
import { curveOf, curveParameters } from "./card-keys.ts";
import type { MessageSigner } from "../mechanisms/family.ts";
import type { KeyMaterial, PrivateKey } from "./object-copy.ts";

/** A public key with its numbers in the standard's form: without leading zeros, the point uncompressed. */
export function completePublicKey(values: Values): KeyMaterial {
  const key = asCallerError(CKR.ATTRIBUTE_VALUE_INVALID, () => readPublicKey(values));
  setPublicKey(values, key);
  requireOwnInfo(values, key);
  return { class: "public", publicKey: () => Promise.resolve(key) };
}

function readPublicKey(values: Values): PublicKey {
  const keyType = numberOf(values, CKA.KEY_TYPE) ?? CKK.RSA;
  if (keyType === CKK.RSA) return rsaPublicKey(bytesOf(values, CKA.MODULUS), bytesOf(values, CKA.PUBLIC_EXPONENT));
  const curve = asCallerError(CKR.CURVE_NOT_SUPPORTED, () => curveOf(keyType, bytesOf(values, CKA.EC_PARAMS)));
  const point = bytesOf(values, CKA.EC_POINT);
  if (curve === "Ed25519") return { type: "edwards", curve, point: decodePoint25519(point) };
  if (curve === "X25519") return { type: "montgomery", curve, point: decodePoint25519(point) };
  return { type: "ec", curve, point: decodeEcPoint(curve, point) };
}

/** Writes a public key into the attributes of its object. */
export function setPublicKey(values: Values, key: PublicKey): void {
  if (key.type !== "rsa") {
    values.set(CKA.EC_POINT, key.type === "ec" ? encodeEcPoint(key.point) : key.point);
    return;
  }
  values.set(CKA.MODULUS, key.modulus);
  values.set(CKA.MODULUS_BITS, key.modulusBits);
  values.set(CKA.PUBLIC_EXPONENT, key.publicExponent);
}

/**
 * Sets CKA_PUBLIC_KEY_INFO of either half of a pair.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID if the template gave another key's (PKCS#11 3.1 section 4.9).
 */
function requireOwnInfo(values: Values, key: PublicKey): void {
  const info = encodePublicKey(key);
  const given = bytesOf(values, CKA.PUBLIC_KEY_INFO);
  if (given.length > 0 && !sameValue(given, info)) throw invalid(CKA.PUBLIC_KEY_INFO, "belongs to another key");
  values.set(CKA.PUBLIC_KEY_INFO, info);
}

/** The error for wrong input. Signature input was checked when its block was made. */
const BLAMED = {
  "rsa-raw": CKR.ENCRYPTED_DATA_INVALID,
  // A point of small order, with which every key agrees on the same secret (RFC 7748 section 6.1).
  ecdh: CKR.MECHANISM_PARAM_INVALID,
  ecdsa: CKR.FUNCTION_FAILED,
  eddsa: CKR.FUNCTION_FAILED,
} as const;

/** A private key of this process, with the interface of a card's keys. */
class SoftwarePrivateKey implements PrivateKey {
  readonly needsLogin: boolean;
  readonly alwaysAuthenticate: boolean;
  #key: HostPrivateKey | undefined;
  readonly #publicKey: PublicKey;
  readonly #primitives: HostPrivateKey["primitives"];

  constructor(key: HostPrivateKey, needsLogin: boolean, alwaysAuthenticate: boolean) {
    this.#key = key;
    this.#publicKey = key.publicKey;
    this.#primitives = key.primitives;
    this.needsLogin = needsLogin;
    this.alwaysAuthenticate = alwaysAuthenticate;
  }

  get primitives(): readonly KeyPrimitive[] {
    return this.#primitives;
  }

  shape(): Promise<PublicKey> {
    return this.publicKey();
  }

  publicKey(): Promise<PublicKey> {
    return Promise.resolve(this.#publicKey);
  }

  /** @throws {CryptokiError} CKR_KEY_HANDLE_INVALID after {@link wipe}; CKR_ENCRYPTED_DATA_INVALID for a number not below the modulus. */
  async use(primitive: KeyPrimitive, input: Uint8Array): Promise<Uint8Array> {
    const key = this.#required();
    const own = this.#primitives.find((each) => each === primitive);
    if (!own) throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED);
    return asCallerErrorAsync(BLAMED[own], () => key.compute(own, input));
  }

  ecdsaSigner(hash: HashName): MessageSigner | undefined {
    const signer = this.#key?.ecdsaSigner(hash);
    return (
      signer && {
        update: (part) => {
          signer.update(part);
        },
        sign: async () => {
          this.#required();
          return asCallerErrorAsync(BLAMED.ecdsa, async () => signer.sign());
        },
      }
    );
  }

  #required(): HostPrivateKey {
    if (this.#key) return this.#key;
    throw new CryptokiError(CKR.KEY_HANDLE_INVALID, "the key was destroyed meanwhile");
  }

  wipe(): void {
    this.#key?.wipe();
    this.#key = undefined;
  }
}

/** A private key from its numbers; missing ones are computed. */
export function completePrivateKey(values: Values): KeyMaterial {
  const needsLogin = isTrue(values, CKA.PRIVATE);
  const alwaysAuthenticate = isTrue(values, CKA.ALWAYS_AUTHENTICATE);
  if (alwaysAuthenticate && !needsLogin) throw inconsistent(CKA.ALWAYS_AUTHENTICATE, "requires CKA_PRIVATE to be true");
  const key = hostPrivateKey(values);
  setPrivateKey(values, key);
  requireOwnInfo(values, key.publicKey);
  return { class: "private", key: new SoftwarePrivateKey(key, needsLogin, alwaysAuthenticate) };
}

/** The numbers of an RSA private key and the attributes that hold them. */
const RSA_NUMBERS = {
  modulus: CKA.MODULUS,
  publicExponent: CKA.PUBLIC_EXPONENT,
  privateExponent: CKA.PRIVATE_EXPONENT,
  prime1: CKA.PRIME_1,
  prime2: CKA.PRIME_2,
  exponent1: CKA.EXPONENT_1,
  exponent2: CKA.EXPONENT_2,
  coefficient: CKA.COEFFICIENT,
} as const satisfies Record<keyof RsaPrivateNumbers, CKA>;
const RSA_NAMES = Object.keys(RSA_NUMBERS) as (keyof typeof RSA_NUMBERS)[];

/**
 * The private key in an object's values.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED.
 */
export function hostPrivateKey(values: Values): HostPrivateKey {
  const keyType = numberOf(values, CKA.KEY_TYPE) ?? CKK.RSA;
  return asCallerError(CKR.ATTRIBUTE_VALUE_INVALID, () => {
    if (keyType === CKK.RSA) return rsaPrivateKey(values);
    const curve = asCallerError(CKR.CURVE_NOT_SUPPORTED, () => curveOf(keyType, bytesOf(values, CKA.EC_PARAMS)));
    const value = bytesOf(values, CKA.VALUE);
    return curve === "Ed25519" || curve === "X25519"
      ? HostPrivateKey.fromSeed(curve, value)
      : HostPrivateKey.fromEcSecret(curve, value);
  });
}

function rsaPrivateKey(values: Values): HostPrivateKey {
  const given = (name: keyof typeof RSA_NUMBERS): Uint8Array => withoutZeros(bytesOf(values, RSA_NUMBERS[name]));
  const primes = given("prime1").length > 0 && given("prime2").length > 0;
  const some = (["prime1", "prime2", "exponent1", "exponent2", "coefficient"] as const).some(
    (name) => given(name).length > 0,
  );
  // Only the primes tell which of them the other numbers belong to.
  if (some && !primes)
    throw new CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_PRIME_1 and CKA_PRIME_2 must be given together");
  const key = HostPrivateKey.fromRsaNumbers({
    modulus: given("modulus"),
    publicExponent: given("publicExponent"),
    privateExponent: given("privateExponent"),
    prime1: given("prime1"),
    prime2: given("prime2"),
  });
  const numbers = key.rsaNumbers();
  // Computing with a wrong one of these would reveal the key.
  for (const name of ["exponent1", "exponent2", "coefficient"] as const) {
    const wrong = given(name).length > 0 && !equalBytes(given(name), withoutZeros(numbers[name]));
    if (wrong) throw invalid(RSA_NUMBERS[name], "does not match the other numbers of the key");
  }
  wipe(...RSA_NAMES.map((name) => numbers[name]));
  return key;
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  return start < 0 ? new Uint8Array() : number.subarray(start);
}

/** Writes a private key into the attributes of its object. */
export function setPrivateKey(values: Values, key: HostPrivateKey): void {
  const { publicKey } = key;
  if (publicKey.type !== "rsa") {
    if (!values.has(CKA.EC_PARAMS)) values.set(CKA.EC_PARAMS, curveParameters(publicKey.curve));
    replace(values, CKA.VALUE, key.secret());
    return;
  }
  const numbers = key.rsaNumbers();
  for (const name of RSA_NAMES) {
    replace(values, RSA_NUMBERS[name], numbers[name]);
  }
}

/** Wipes the old values, which are the object's own. */
function replace(values: Values, type: number, bytes: Uint8Array): void {
  const before = values.get(type);
  if (before instanceof Uint8Array) wipe(before);
  values.set(type, bytes);
}
