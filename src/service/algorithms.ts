import { type PublicKey, type SignatureScheme, TokenError } from "../tokens/index.ts";
import type { SIGNATURE_ALGORITHMS } from "./schemas.ts";

export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

const HASHES = { "256": "SHA-256", "384": "SHA-384", "512": "SHA-512" } as const;
const CURVES: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };

/**
 * The scheme that JOSE means by a name, if the key can have it.
 * @throws {TokenError} KEY_CANNOT.
 */
export function schemeOf(alg: SignatureAlgorithm, { algorithm }: PublicKey): SignatureScheme {
  const fits =
    alg === "EdDSA"
      ? algorithm.type === "ed25519"
      : alg.startsWith("ES")
        ? algorithm.type === "ec" && algorithm.curve === CURVES[alg]
        : algorithm.type === "rsa";
  if (!fits) throw new TokenError("KEY_CANNOT", `the key is of type ${nameOf(algorithm)}: it does not sign as ${alg}`);
  if (alg === "EdDSA") return {};
  const hash = HASHES[alg.slice(2) as keyof typeof HASHES];
  if (alg.startsWith("ES")) return { hash };
  return { hash, padding: alg.startsWith("PS") ? "pss" : "pkcs1" };
}

const nameOf = (algorithm: PublicKey["algorithm"]): string =>
  algorithm.type === "ec" ? `ec, ${algorithm.curve}` : algorithm.type;
