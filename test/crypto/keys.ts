import { constants, generateKeyPairSync, type KeyObject, privateDecrypt } from "node:crypto";
import { type EcPublicKey, type NamedCurve, parsePublicKey, type RsaPublicKey } from "../../src/crypto/index.ts";

export interface RsaPair {
  readonly privateKey: KeyObject;
  readonly publicKey: RsaPublicKey;
  /** block^d mod n: what a card's rsa-raw primitive does. */
  readonly raw: (block: Uint8Array) => Uint8Array;
}

export function rsaPair(modulusLength: number): RsaPair {
  const pair = generateKeyPairSync("rsa", { modulusLength });
  const publicKey = parsePublicKey(spkiOf(pair.publicKey));
  if (publicKey.type !== "rsa") throw new TypeError("not an RSA key");
  const { privateKey } = pair;
  const raw = (block: Uint8Array): Uint8Array =>
    Uint8Array.from(privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block));
  return { privateKey, publicKey, raw };
}

export function ecPair(namedCurve: NamedCurve): { readonly privateKey: KeyObject; readonly publicKey: EcPublicKey } {
  const pair = generateKeyPairSync("ec", { namedCurve });
  const publicKey = parsePublicKey(spkiOf(pair.publicKey));
  if (publicKey.type !== "ec") throw new TypeError("not an EC key");
  return { privateKey: pair.privateKey, publicKey };
}

export function spkiOf(key: KeyObject): Uint8Array {
  return Uint8Array.from(key.export({ format: "der", type: "spki" }));
}
