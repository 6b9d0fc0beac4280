import { encodeEcParameters, encodeParameters25519, type NamedCurve } from "../crypto/index.ts";
import { CKA, CKM, CKO, type Template, mechanismOf } from "../cryptoki/index.ts";
import { copyOf, type CryptoKey, host, type KeyUsage, memberOf, refusal } from "./platform.ts";
import { algorithmNamed, keyAlgorithm, type TokenAlgorithmName, usagesOf } from "./algorithms.ts";
import { hostPublicKey, publicHalf, StoredKey } from "./stored-key.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";
import type { TokenSession } from "./token-session.ts";

/** Attributes of a key pair that the token generates. */
export interface KeyPlace {
  /** CKA_ID; on a PIV card it selects the key's slot. Default: random. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
}

/** A key pair of the token: the private key stays there, the public key is the host's. */
export interface TokenKeyPair {
  privateKey: TokenCryptoKey;
  publicKey: CryptoKey;
}

interface Recipe {
  readonly mechanism: number;
  /** Parameters of the public key. */
  readonly kind: Template;
}

/**
 * Generates a key pair on the token.
 * @throws {DOMException} NotSupportedError if the token cannot; SyntaxError for usages that the algorithm does not
 *   have; OperationError if the token refuses: most tokens require a read/write session.
 */
export async function generateOnToken(
  session: TokenSession,
  algorithm: unknown,
  usages: readonly KeyUsage[],
  place: KeyPlace,
): Promise<TokenKeyPair> {
  const name = algorithmNamed(algorithm);
  if (!name) throw refusal("NotSupportedError", "the token generates key pairs only, no secret keys");
  const { mechanism, kind } = recipeFor(name, algorithm);
  const own = usagesOf(name, "privateUsages");
  const wanted = own.filter((usage) => usages.includes(usage));
  const others = usages.filter((usage) => !own.includes(usage) && !usagesOf(name, "publicUsages").includes(usage));
  if (others.length > 0) throw refusal("SyntaxError", `${name} has no "${others.join(`", "`)}"`);
  if (wanted.length === 0) throw refusal("SyntaxError", `name the usages of the private key: "${own.join(`", "`)}"`);

  const id = place.id ? copyOf(place.id, "the id") : host.getRandomValues(new Uint8Array(8));
  const shared: Template = {
    [CKA.TOKEN]: true,
    [CKA.ID]: id,
    ...(place.label !== undefined && { [CKA.LABEL]: place.label }),
  };
  const abilities = {
    sign: wanted.includes("sign"),
    decrypt: wanted.includes("decrypt") || wanted.includes("unwrapKey"),
    derive: wanted.includes("deriveKey") || wanted.includes("deriveBits"),
  };
  const privateTemplate: Template = {
    ...shared,
    [CKA.PRIVATE]: true,
    [CKA.SENSITIVE]: true,
    [CKA.EXTRACTABLE]: false,
    ...(abilities.sign && { [CKA.SIGN]: true }),
    ...(abilities.decrypt && { [CKA.DECRYPT]: true }),
    ...(abilities.derive && { [CKA.DERIVE]: true }),
  };
  const publicTemplate: Template = {
    ...shared,
    ...kind,
    ...(abilities.sign && { [CKA.VERIFY]: true }),
    ...(abilities.decrypt && { [CKA.ENCRYPT]: true }),
  };
  const { cryptoki, handle } = session;
  if (session.pins.canAsk) await session.pins.login();
  const made = await session.exclusively(() =>
    cryptoki.C_GenerateKeyPair(handle, mechanismOf(mechanism), publicTemplate, privateTemplate),
  );
  const publicKey = await publicHalf(session, made.publicKey, id);
  const described = keyAlgorithm(publicKey, abilities, algorithm);
  const stored = new StoredKey(session, made.privateKey, {
    label: place.label ?? "",
    template: { [CKA.CLASS]: CKO.PRIVATE_KEY, ...shared },
    private: true,
  });
  return {
    privateKey: new TokenCryptoKey(stored, described, wanted),
    publicKey: await hostPublicKey(publicKey, described),
  };
}

function recipeFor(name: TokenAlgorithmName, parameters: unknown): Recipe {
  switch (name) {
    case "RSASSA-PKCS1-v1_5":
    case "RSA-PSS":
    case "RSA-OAEP": {
      const bits = memberOf(parameters, "modulusLength");
      if (typeof bits !== "number") throw new TypeError(`${name} needs modulusLength, in bits`);
      const exponent = copyOf(memberOf(parameters, "publicExponent"), "publicExponent");
      return {
        mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN,
        kind: { [CKA.MODULUS_BITS]: bits, [CKA.PUBLIC_EXPONENT]: exponent },
      };
    }
    case "ECDSA":
    case "ECDH": {
      const curve = CURVES.find((one) => one === memberOf(parameters, "namedCurve"));
      if (!curve) throw refusal("NotSupportedError", `${name} needs a namedCurve: ${CURVES.join(", ")}`);
      return { mechanism: CKM.EC_KEY_PAIR_GEN, kind: { [CKA.EC_PARAMS]: encodeEcParameters(curve) } };
    }
    case "Ed25519":
      return {
        mechanism: CKM.EC_EDWARDS_KEY_PAIR_GEN,
        kind: { [CKA.EC_PARAMS]: encodeParameters25519(name) },
      };
    case "X25519":
      return {
        mechanism: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
        kind: { [CKA.EC_PARAMS]: encodeParameters25519(name) },
      };
  }
}

const CURVES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];
