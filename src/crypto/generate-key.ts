import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { inThreadPool } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";
import { HostPrivateKey } from "./host-key.ts";

const generate = promisify(generateKeyPair);

/**
 * Makes an RSA key, off the main thread.
 * @param publicExponent Odd, 3 to 2^32 - 1.
 * @throws {DataError} for numbers that no key can have.
 */
export async function generateRsaKey(modulusBits: number, publicExponent: number): Promise<HostPrivateKey> {
  try {
    const { privateKey } = await inThreadPool(generate("rsa", { modulusLength: modulusBits, publicExponent }));
    return new HostPrivateKey(privateKey);
  } catch (cause) {
    throw new DataError(`no RSA key of ${modulusBits} bits with exponent ${publicExponent}`, { cause });
  }
}

export async function generateEcKey(curve: NamedCurve): Promise<HostPrivateKey> {
  const { privateKey } = await generate("ec", { namedCurve: curveInfo(curve).openssl });
  return new HostPrivateKey(privateKey);
}

export async function generateCurve25519Key(curve: "Ed25519" | "X25519"): Promise<HostPrivateKey> {
  const { privateKey } = curve === "Ed25519" ? await generate("ed25519") : await generate("x25519");
  return new HostPrivateKey(privateKey);
}
