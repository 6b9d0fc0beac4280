import { generateKeyPairSync, type KeyObject } from "node:crypto";
import {
  type Pkcs15CardOptions,
  type PivCardOptions,
  type KeyTypeName,
  VirtualPivCard,
  VirtualPkcs15Card,
} from "../../src/virtual/index.ts";

const made = new Map<string, KeyObject>();

/** A private key of a kind, made once in this process for each `name`. */
export function testKey(type: KeyTypeName, name = ""): KeyObject {
  const id = `${type} ${name}`;
  const key = made.get(id) ?? generate(type);
  made.set(id, key);
  return key;
}

function generate(type: KeyTypeName): KeyObject {
  if (type === "ed25519") return generateKeyPairSync("ed25519").privateKey;
  if (type === "x25519") return generateKeyPairSync("x25519").privateKey;
  const [family, bits] = type.split("-");
  return family === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: Number(bits) }).privateKey
    : generateKeyPairSync("ec", { namedCurve: type.toUpperCase() }).privateKey;
}

/** A card with the default kinds of keys, which are made once. */
export function testCard(options: PivCardOptions = {}): Promise<VirtualPivCard> {
  return VirtualPivCard.create({
    ...options,
    keys: {
      "9a": { privateKey: testKey("rsa-2048", "9a") },
      "9c": { privateKey: testKey("p-256", "9c") },
      "9d": { privateKey: testKey("rsa-2048", "9d") },
      "9e": { privateKey: testKey("p-256", "9e") },
      ...options.keys,
    },
  });
}

/** A PKCS #15 card with keys that are made once; undefined has the card make its own. */
export function testPkcs15Card(options: Pkcs15CardOptions = {}): Promise<VirtualPkcs15Card> {
  return VirtualPkcs15Card.create({
    ...options,
    keys: {
      "authentication-rsa": testKey("rsa-2048", "authentication"),
      "authentication-ec": testKey("p-256", "authentication"),
      "signature-rsa": testKey("rsa-3072", "signature"),
      "signature-ec": testKey("p-384", "signature"),
      ...options.keys,
    },
  });
}
