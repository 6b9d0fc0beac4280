import type { HostCrypto } from "../host-crypto.ts";
import { decryptCcm, encryptCcm, openGcm, sealGcm } from "./aead.ts";
import {
  createCipher,
  createHash,
  createHmac,
  fillRandom,
  gunzip,
  isSameSecret,
  pbkdf2,
  hasNode,
  unwrapKey,
  wrapKey,
} from "./crypto.ts";
import { createEcdsaVerifier, generateKey, importPrivateKey, isPrime, rsaPublic, verifyEddsa } from "./keys.ts";

const NODE: HostCrypto = {
  createHash,
  createHmac,
  fillRandom,
  isSameSecret,
  createCipher,
  sealGcm,
  openGcm,
  encryptCcm,
  decryptCcm,
  wrapKey,
  unwrapKey,
  pbkdf2,
  gunzip,
  rsaPublic,
  createEcdsaVerifier,
  verifyEddsa,
  importPrivateKey,
  generateKey,
  isPrime,
};

/** HostCrypto over node:crypto; undefined in a runtime without it. */
export function nodeHostCrypto(): HostCrypto | undefined {
  return hasNode() ? NODE : undefined;
}
