import { memoizeAsync } from "../../async/index.ts";
import { DataError } from "../../bytes/index.ts";
import type { CardObject, CardPrivateKey, CardPublicKey, KeyType, KeyUsage } from "../../card/index.ts";
import {
  type Curve25519,
  decodeEcParameters,
  encodeEcParameters,
  encodeEcPoint,
  encodeParameters25519,
  encodePublicKey,
  type KeyShape,
  type NamedCurve,
  namesCurve25519,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
} from "../../crypto/index.ts";
import { type AttributeSources, SENSITIVE } from "../attributes/attribute-set.ts";
import { CK, CKK, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import type { KeyKind } from "../mechanisms/availability.ts";
import type { ObjectContents, PrivateKey } from "./object-copy.ts";

/** The curves of keys that are not RSA. */
export type Curve = NamedCurve | Curve25519;

const CURVES_25519: ReadonlyMap<number, Curve25519> = new Map([
  [CKK.EC_EDWARDS, "Ed25519"],
  [CKK.EC_MONTGOMERY, "X25519"],
]);

/**
 * The curve in CKA_EC_PARAMS of a key.
 * @throws {DataError} if keys of this type cannot have it.
 */
export function curveOf(keyType: number, parameters: Uint8Array): Curve {
  const curve = CURVES_25519.get(keyType);
  if (!curve) return decodeEcParameters(parameters);
  if (!namesCurve25519(parameters, curve)) throw new DataError(`EC parameters: not those of ${curve}`);
  return curve;
}

/** CKA_EC_PARAMS for a curve: its object identifier. */
export function curveParameters(curve: Curve): Uint8Array {
  return curve === "Ed25519" || curve === "X25519" ? encodeParameters25519(curve) : encodeEcParameters(curve);
}

/** CKK of a key type. */
export function keyTypeOf({ type }: Pick<PublicKey, "type">): number {
  return KEY_TYPES[type];
}

const KEY_TYPES: Readonly<Record<PublicKey["type"], number>> = {
  rsa: CKK.RSA,
  ec: CKK.EC,
  edwards: CKK.EC_EDWARDS,
  montgomery: CKK.EC_MONTGOMERY,
};

/** Attributes that the standard does not have, by their numbers; read on request. */
export type VendorSources = Readonly<Record<string, () => Promise<number | Uint8Array | undefined>>>;

/** The attributes common to all objects on a card. */
export function storageAttributes(object: CardObject): AttributeSources {
  return {
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: object.private,
    [CKA.LABEL]: object.label,
    [CKA.UNIQUE_ID]: object.reference,
    [CKA.MODIFIABLE]: object.modifiable ?? false,
    [CKA.COPYABLE]: COPYABLE.has(object.class),
    [CKA.DESTROYABLE]: object.destroyable ?? false,
  };
}

/** An object that can be read completely can be copied: a private key cannot. */
const COPYABLE: ReadonlySet<CardObject["class"]> = new Set(["certificate", "public-key", "data"]);

/**
 * A public key (PKCS#11 3.1, public key objects; RSA and elliptic curve public key objects).
 * @param about Attributes that the standard does not have.
 */
export function publicKeyObject(
  object: CardPublicKey,
  allowedMechanisms: AllowedMechanisms,
  about: VendorSources,
): Pick<ObjectContents, "attributes" | "key"> {
  const info = memoizeAsync(() => object.publicKey());
  const key = memoizeAsync(async () => parsePublicKey(await info()));
  const usage = new UsageSources(object, key);
  return {
    key: { class: "public", publicKey: key },
    attributes: {
      ...about,
      ...storageAttributes(object),
      ...keyAttributes(object, info, key),
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.ALLOWED_MECHANISMS]: allowedFor(object, key, allowedMechanisms),
      [CKA.LOCAL]: false,
      [CKA.DERIVE]: usage.of("derive", ["ec", "montgomery"]),
      [CKA.ENCRYPT]: usage.of("decrypt", ["rsa"]),
      [CKA.VERIFY]: usage.of("sign"),
      [CKA.VERIFY_RECOVER]: usage.of("sign", ["rsa"]),
      [CKA.WRAP]: usage.of("decrypt", ["rsa"]),
      [CKA.TRUSTED]: false,
      [CKA.WRAP_TEMPLATE]: {},
      [CKA.MODULUS_BITS]: () => modulusBits(object.type, key),
      [CKA.EC_POINT]: async () => {
        const ec = await elliptic(key);
        return ec && (ec.type === "ec" ? encodeEcPoint(ec.point) : ec.point);
      },
    },
  };
}

/** The mechanisms of the token that work with keys of a kind and with these uses. */
type AllowedMechanisms = (kind: KeyKind, usage: KeyUsage) => readonly number[];

/** CKA_ALLOWED_MECHANISMS. */
function allowedFor(
  object: CardPublicKey | CardPrivateKey,
  key: () => Promise<PublicKey>,
  allowed: AllowedMechanisms,
): readonly number[] | (() => Promise<readonly number[]>) {
  const family = familyOf(object);
  const { usage } = object;
  const of = (kind: KeyKind): readonly number[] =>
    allowed(kind, typeof usage === "function" ? usage(kind.type) : usage);
  return family ? of({ type: family }) : async (): Promise<readonly number[]> => of(await key());
}

/** As far as the card's directory says. */
function familyOf({ type, family }: Pick<CardPublicKey, "type" | "family">): PublicKey["type"] | undefined {
  return type?.type ?? family;
}

/** The common attributes of a public key and its private half. */
function keyAttributes(
  { id, ...object }: CardPublicKey | CardPrivateKey,
  info: () => Promise<Uint8Array>,
  key: () => Promise<PublicKey>,
): AttributeSources {
  const family = familyOf(object);
  return {
    [CKA.KEY_TYPE]: family ? keyTypeOf({ type: family }) : async (): Promise<number> => keyTypeOf(await key()),
    [CKA.ID]: id,
    [CKA.START_DATE]: null,
    [CKA.END_DATE]: null,
    [CKA.KEY_GEN_MECHANISM]: CK.UNAVAILABLE_INFORMATION,
    // Empty is the standard's default; the certificate of the same CKA_ID contains the subject.
    [CKA.SUBJECT]: new Uint8Array(),
    [CKA.PUBLIC_KEY_INFO]: async () => inDer(await info()),
    [CKA.MODULUS]: async () => (mayBeRsa(family) ? (await rsa(key))?.modulus : undefined),
    [CKA.PUBLIC_EXPONENT]: async () => (mayBeRsa(family) ? (await rsa(key))?.publicExponent : undefined),
    [CKA.EC_PARAMS]: () => parametersOf(object.type, family, key),
  };
}

const mayBeRsa = (family: PublicKey["type"] | undefined): boolean => family === undefined || family === "rsa";

/** CKA_EC_PARAMS, from the card's directory if that has it. */
async function parametersOf(
  type: KeyType | undefined,
  family: PublicKey["type"] | undefined,
  key: () => Promise<PublicKey>,
): Promise<Uint8Array | undefined> {
  if (family === "rsa") return undefined;
  const ec = type && type.type !== "rsa" ? type : await elliptic(key);
  return ec && curveParameters(ec.curve);
}

/** The uses of a key as attributes: known at once if nothing must be read, else read on request. */
class UsageSources {
  readonly #object: CardPublicKey | CardPrivateKey;
  readonly #key: () => Promise<PublicKey>;

  constructor(object: CardPublicKey | CardPrivateKey, key: () => Promise<PublicKey>) {
    this.#object = object;
    this.#key = key;
  }

  /**
   * @param use The use to look for.
   * @param types The types of keys that can have this use. Default: every type.
   */
  of(use: keyof KeyUsage, types?: readonly PublicKey["type"][]): boolean | (() => Promise<boolean>) {
    const { usage } = this.#object;
    const allowed = (type: PublicKey["type"]): boolean =>
      (types?.includes(type) ?? true) && (typeof usage === "function" ? usage(type) : usage)[use];
    const family = familyOf(this.#object);
    if (family) return allowed(family);
    if (typeof usage !== "function" && (!usage[use] || !types)) return usage[use];
    return async () => {
      const key = await this.#key();
      // An RSASSA-PSS key has none of the uses that only other RSA keys have.
      return allowed(key.type) && !(types && key.type === "rsa" && key.pss !== undefined);
    };
  }
}

/** The type and size of a private key that need no reading. */
function shapeOf({ type, family, findsCurve }: CardPrivateKey): Promise<KeyShape> | undefined {
  if (type) return Promise.resolve(type);
  return family === "ec" && findsCurve ? Promise.resolve({ type: "ec", curve: undefined }) : undefined;
}

/** Normalises a SubjectPublicKeyInfo. One of an unsupported key stays unchanged. */
function inDer(info: Uint8Array): Uint8Array {
  try {
    return encodePublicKey(parsePublicKey(info));
  } catch (error) {
    if (error instanceof DataError) return info;
    throw error;
  }
}

async function rsa(key: () => Promise<PublicKey>): Promise<RsaPublicKey | undefined> {
  const known = await key();
  return known.type === "rsa" ? known : undefined;
}

/** CKA_MODULUS_BITS, from the card's directory if that has it. */
async function modulusBits(type: KeyType | undefined, key: () => Promise<PublicKey>): Promise<number | undefined> {
  if (type) return type.type === "rsa" ? type.modulusBits : undefined;
  return (await rsa(key))?.modulusBits;
}

async function elliptic(key: () => Promise<PublicKey>): Promise<Exclude<PublicKey, RsaPublicKey> | undefined> {
  const known = await key();
  return known.type === "rsa" ? undefined : known;
}

/**
 * A private key of a card (PKCS#11 3.1, private key objects; RSA and elliptic curve private key objects).
 * @param about Attributes that the standard does not have.
 * @param card Computes with it.
 */
export function privateKeyObject(
  object: CardPrivateKey,
  allowedMechanisms: AllowedMechanisms,
  about: VendorSources,
  card: Pick<PrivateKey, "use" | "authenticate">,
): Pick<ObjectContents, "attributes" | "key"> {
  const info = memoizeAsync(() => object.publicKey());
  const key = memoizeAsync(async () => parsePublicKey(await info()));
  // A key generated on the card never left it; for any other this is unknown.
  const local = object.local ?? false;
  const usage = new UsageSources(object, key);
  const rsaSecret = secretOf(key, (type) => type === "rsa");
  return {
    key: {
      class: "private",
      key: {
        shape: () => shapeOf(object) ?? key(),
        publicKey: key,
        primitives: object.primitives,
        // Read each time: the card may report another policy later.
        get needsLogin() {
          return object.needsLogin;
        },
        get alwaysAuthenticate() {
          return object.alwaysAuthenticate;
        },
        ...card,
      },
    },
    attributes: {
      ...storageAttributes(object),
      ...keyAttributes(object, info, key),
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.ALLOWED_MECHANISMS]: allowedFor(object, key, allowedMechanisms),
      [CKA.LOCAL]: local,
      [CKA.DERIVE]: usage.of("derive", ["ec", "montgomery"]),
      // Not in the standard for a private key; other modules have it too, and a signature is as long.
      [CKA.MODULUS_BITS]: () => modulusBits(object.type, key),
      [CKA.SENSITIVE]: true,
      [CKA.DECRYPT]: usage.of("decrypt", ["rsa"]),
      [CKA.SIGN]: usage.of("sign"),
      [CKA.SIGN_RECOVER]: usage.of("sign", ["rsa"]),
      [CKA.UNWRAP]: usage.of("decrypt", ["rsa"]),
      [CKA.EXTRACTABLE]: false,
      [CKA.ALWAYS_SENSITIVE]: object.alwaysSensitive ?? local,
      [CKA.NEVER_EXTRACTABLE]: object.neverExtractable ?? local,
      [CKA.WRAP_WITH_TRUSTED]: false,
      [CKA.UNWRAP_TEMPLATE]: {},
      [CKA.DERIVE_TEMPLATE]: {},
      [CKA.ALWAYS_AUTHENTICATE]: () => Promise.resolve(object.alwaysAuthenticate),
      ...about,
      ...Object.fromEntries(object.vendorAttributes ?? []),
      [CKA.PRIVATE_EXPONENT]: rsaSecret,
      [CKA.PRIME_1]: rsaSecret,
      [CKA.PRIME_2]: rsaSecret,
      [CKA.EXPONENT_1]: rsaSecret,
      [CKA.EXPONENT_2]: rsaSecret,
      [CKA.COEFFICIENT]: rsaSecret,
      [CKA.VALUE]: secretOf(key, (type) => type !== "rsa"),
    },
  };
}

/**
 * The secrets that a key has depend on its type: they are never returned, and asking for another type's is
 * CKR_ATTRIBUTE_TYPE_INVALID.
 */
function secretOf(
  key: () => Promise<PublicKey>,
  has: (type: PublicKey["type"]) => boolean,
): () => Promise<typeof SENSITIVE | undefined> {
  return async () => (has((await key()).type) ? SENSITIVE : undefined);
}
