import { equalBytes } from "../bytes/index.ts";
import type { NamedCurve } from "../crypto/index.ts";
import type { NewKeyType, Token } from "../tokens/parts.ts";
import { copyOf, type CryptoKey, type KeyUsage, memberOf, refusal } from "./platform.ts";
import { algorithmNamed, keyAlgorithm, type TokenAlgorithmName, usagesOf } from "./algorithms.ts";
import { hostPublicKey } from "./found-key.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";

/** Attributes of a key pair that the token generates. */
export interface KeyPlace {
  /** CKA_ID; on a PIV card it selects the key's slot. Default: random. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  /** Whether a key with the same CKA_ID may be overwritten; default: false. */
  readonly replace?: boolean;
}

/** A key pair of the token: the private key stays there, the public key is the host's. */
export interface TokenKeyPair {
  privateKey: TokenCryptoKey;
  publicKey: CryptoKey;
}

/**
 * Generates a key pair on the token.
 * @throws {DOMException} NotSupportedError if the token cannot; SyntaxError for usages that the algorithm does not
 *   have; OperationError if the token refuses: most tokens require a read/write session.
 */
export async function generateOnToken(
  token: Token,
  algorithm: unknown,
  usages: readonly KeyUsage[],
  place: KeyPlace,
): Promise<TokenKeyPair> {
  const name = algorithmNamed(algorithm);
  if (!name) throw refusal("NotSupportedError", "the token generates key pairs only, no secret keys");
  const type = newKeyType(name, algorithm);
  const own = usagesOf(name, "privateUsages");
  const wanted = own.filter((usage) => usages.includes(usage));
  const others = usages.filter((usage) => !own.includes(usage) && !usagesOf(name, "publicUsages").includes(usage));
  if (others.length > 0) throw refusal("SyntaxError", `${name} has no "${others.join(`", "`)}"`);
  if (wanted.length === 0) throw refusal("SyntaxError", `name the usages of the private key: "${own.join(`", "`)}"`);

  const abilities = {
    sign: wanted.includes("sign"),
    decrypt: wanted.includes("decrypt") || wanted.includes("unwrapKey"),
    derive: wanted.includes("deriveKey") || wanted.includes("deriveBits"),
  };
  const { id, label, replace } = place;
  const key = await token.keys.generate({
    ...type,
    uses: (["sign", "decrypt", "derive"] as const).filter((use) => abilities[use]),
    ...(id && { id: copyOf(id, "the id") }),
    ...(label !== undefined && { label }),
    ...(replace !== undefined && { replace }),
  });
  const { parsed } = await key.publicKey();
  const described = keyAlgorithm(parsed, abilities, algorithm);
  return {
    privateKey: new TokenCryptoKey(key, described, wanted),
    publicKey: await hostPublicKey(parsed, described),
  };
}

function newKeyType(name: TokenAlgorithmName, parameters: unknown): NewKeyType {
  switch (name) {
    case "RSASSA-PKCS1-v1_5":
    case "RSA-PSS":
    case "RSA-OAEP": {
      const length = memberOf(parameters, "modulusLength");
      if (typeof length !== "number") throw new TypeError(`${name} needs modulusLength, in bits`);
      const exponent = copyOf(memberOf(parameters, "publicExponent"), "publicExponent");
      const bits = MODULUS_BITS.find((one) => one === length);
      if (bits === undefined || !equalBytes(exponent, EXPONENT)) {
        throw refusal("NotSupportedError", `${name} on a token: ${MODULUS_BITS.join(", ")} bits, exponent 65537`);
      }
      return { type: "rsa", bits };
    }
    case "ECDSA":
    case "ECDH": {
      const curve = CURVES.find((one) => one === memberOf(parameters, "namedCurve"));
      if (!curve) throw refusal("NotSupportedError", `${name} needs a namedCurve: ${CURVES.join(", ")}`);
      return { type: "ec", curve };
    }
    case "Ed25519":
      return { type: "ed25519" };
    case "X25519":
      return { type: "x25519" };
  }
}

const EXPONENT = Uint8Array.of(1, 0, 1);
const MODULUS_BITS = [2048, 3072, 4096] as const;
const CURVES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];
