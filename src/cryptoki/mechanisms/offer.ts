import type { CardMechanism, CardToken, KeyPrimitive } from "../../card/index.ts";
import type { PublicKey } from "../../crypto/index.ts";
import { CKF_MECHANISM } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { CK_MECHANISM, CK_MECHANISM_INFO } from "../structures.ts";
import { type MechanismEntry, MECHANISM_BY_TYPE, MECHANISMS } from "./table.ts";

/** What of an operation's functions a mechanism is for. */
export type MechanismUse = "sign" | "verify" | "encrypt" | "decrypt" | "derive" | "digest" | "generate-key-pair";

/** The mechanisms that a token offers: bare hashes, and those for which its card has a primitive. */
export function offeredMechanisms(token: CardToken): readonly number[] {
  return MECHANISMS.filter((entry) => isOffered(token, entry)).map(({ type }) => type);
}

/** Those of them that work with keys of a type. */
export function offeredForKey(token: CardToken, type: PublicKey["type"]): readonly number[] {
  return MECHANISMS.filter((entry) => entry.family?.keyType === type && isOffered(token, entry)).map(
    (entry) => entry.type,
  );
}

/**
 * What a token can do with a mechanism. CKF_HW stands with those that the card has a part in.
 * @throws {CryptokiError} CKR_MECHANISM_INVALID if it has not the mechanism.
 */
export function mechanismInfo(token: CardToken, type: number): CK_MECHANISM_INFO {
  const entry = requireOffered(token, type);
  const { family, hash, generates } = entry;
  const keyType = family?.keyType ?? generates;
  if (!keyType) return { ulMinKeySize: 0, ulMaxKeySize: 0, flags: CKF_MECHANISM.DIGEST };
  const own = cardMechanisms(token, entry);
  return {
    ulMinKeySize: Math.min(...own.map(({ minBits }) => minBits)),
    ulMaxKeySize: Math.max(...own.map(({ maxBits }) => maxBits)),
    flags:
      CKF_MECHANISM.HW |
      (family?.signature ? CKF_MECHANISM.SIGN | CKF_MECHANISM.VERIFY : 0) |
      (family?.cipher && !hash ? CKF_MECHANISM.ENCRYPT | CKF_MECHANISM.DECRYPT : 0) |
      (family?.agreement ? CKF_MECHANISM.DERIVE : 0) |
      (generates ? CKF_MECHANISM.GENERATE_KEY_PAIR : 0) |
      (keyType === "ec" ? EC_FLAGS : 0),
  };
}

/** Named curves by their OID, and no point but uncompressed ones on the card (PKCS#11 3.1, elliptic curve mechanisms). */
const EC_FLAGS = CKF_MECHANISM.EC_F_P | CKF_MECHANISM.EC_OID | CKF_MECHANISM.EC_UNCOMPRESS;

/**
 * The mechanism that a caller named, if the token has it for this use.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID.
 */
export function requireMechanism(token: CardToken, mechanism: CK_MECHANISM, use: MechanismUse): MechanismEntry {
  const given: unknown = mechanism;
  if (typeof given !== "object" || given === null || !("mechanism" in given)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "a mechanism is an object: { mechanism: CKM.SHA256_RSA_PKCS }");
  }
  const entry = requireOffered(token, mechanism.mechanism);
  if (!isFor(entry, use)) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return entry;
}

function requireOffered(token: CardToken, type: number): MechanismEntry {
  const entry = MECHANISM_BY_TYPE.get(type);
  if (!entry || !isOffered(token, entry)) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return entry;
}

function isFor({ family, hash, generates }: MechanismEntry, use: MechanismUse): boolean {
  switch (use) {
    case "sign":
    case "verify":
      return family?.signature !== undefined;
    case "encrypt":
    case "decrypt":
      return family?.cipher !== undefined && !hash;
    case "derive":
      return family?.agreement !== undefined;
    case "digest":
      return !family && !generates;
    case "generate-key-pair":
      return generates !== undefined;
  }
}

function isOffered(token: CardToken, entry: MechanismEntry): boolean {
  if (entry.generates && !token.generateKeyPair) return false;
  return (!entry.family && !entry.generates) || cardMechanisms(token, entry).length > 0;
}

/** What the card has for a mechanism. */
function cardMechanisms(token: CardToken, { family, generates }: MechanismEntry): readonly CardMechanism[] {
  const primitives = family?.primitives ?? (generates ? PRIMITIVES[generates] : []);
  return token.mechanisms.filter(({ primitive }) => primitives.includes(primitive));
}

const PRIMITIVES: Readonly<Record<PublicKey["type"], readonly KeyPrimitive[]>> = {
  rsa: ["rsa-raw", "rsa-pkcs1"],
  ec: ["ecdsa", "ecdh"],
};
