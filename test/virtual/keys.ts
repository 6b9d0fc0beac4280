import { createPrivateKey, generateKeyPairSync, KeyObject } from "node:crypto";
import { toHex } from "../../src/bytes/index.ts";
import {
  type Pkcs15CardOptions,
  type PivCardOptions,
  type KeyTypeName,
  VirtualPivCard,
  VirtualPkcs15Card,
} from "../../src/virtual/index.ts";
import { decodeImage as decodeFileCard } from "../../src/virtual/iso7816/image.ts";
import { decodeImage as decodePivCard } from "../../src/virtual/piv/image.ts";
import { madeOnce, madeOnceSync } from "./made-once.ts";

const made = new Map<string, KeyObject>();

/** A private key of a kind, made once in a run of the tests for each `name`. */
export function testKey(type: KeyTypeName, name = ""): KeyObject {
  const id = `${type} ${name}`;
  const key = made.get(id) ?? createPrivateKey(madeOnceSync(`key ${id}`, () => pemOf(generate(type))));
  made.set(id, key);
  return key;
}

const pemOf = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

function generate(type: KeyTypeName): KeyObject {
  if (type === "ed25519") return generateKeyPairSync("ed25519").privateKey;
  if (type === "x25519") return generateKeyPairSync("x25519").privateKey;
  const [family, bits] = type.split("-");
  return family === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: Number(bits) }).privateKey
    : generateKeyPairSync("ec", { namedCurve: type.toUpperCase() }).privateKey;
}

/** Cards of one description that differ in what is random, such as the serial number. No test has more of them at once. */
const DIFFERENT = 4;
const counts = new Map<string, number>();

/** Images of {@link DIFFERENT} cards of this description, by turns; each is made once in a run of the tests. */
function imageOf(kind: string, options: object, make: () => Promise<{ image(): string }>): Promise<string> {
  const description = `${kind} ${JSON.stringify(options, describable)}`;
  const count = counts.get(description) ?? 0;
  counts.set(description, count + 1);
  return madeOnce(`${description} ${count % DIFFERENT}`, async () => (await make()).image());
}

function describable(_name: string, value: unknown): unknown {
  if (value instanceof KeyObject) return pemOf(value);
  if (value instanceof Uint8Array) return toHex(value);
  return value instanceof Map ? [...value] : value;
}

/** As {@link VirtualPivCard.create}; the contents are made once in a run of the tests. */
export async function pivCard(options: PivCardOptions = {}): Promise<VirtualPivCard> {
  return new VirtualPivCard(decodePivCard(await imageOf("PIV", options, () => VirtualPivCard.create(options))));
}

/** As {@link VirtualPkcs15Card.create}; the contents are made once in a run of the tests. */
async function pkcs15Card(options: Pkcs15CardOptions = {}): Promise<VirtualPkcs15Card> {
  return new VirtualPkcs15Card(
    decodeFileCard(await imageOf("PKCS #15", options, () => VirtualPkcs15Card.create(options))),
  );
}

/** A card with the default kinds of keys, which are made once. */
export function testCard(options: PivCardOptions = {}): Promise<VirtualPivCard> {
  return pivCard({
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
  return pkcs15Card({
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
