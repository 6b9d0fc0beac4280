import type { KeyObject } from "node:crypto";
import { inThreadPool } from "../../../async/index.ts";
import { DataError, wipe } from "../../../bytes/index.ts";
import { curveInfo, type NamedCurve } from "../../codec/elliptic-curve.ts";
import {
  type EcPublicKey,
  type EdwardsPublicKey,
  encodePublicKey,
  type PublicKey,
  type RsaPublicKey,
  withoutLimits,
} from "../../codec/public-key.ts";
import type { HashName } from "../../codec/hashes.ts";
import type {
  HostKey,
  HostSigner,
  HostVerifier,
  KeyKind,
  MaybePromise,
  PrivateKeyForm,
  RsaPrivateNumbers,
} from "../host-crypto.ts";
import { nodeCrypto, plain } from "./crypto.ts";

/** Keys that were imported: a card's key is imported once, however often results are checked with it. */
const IMPORTED = new WeakMap<PublicKey, KeyObject>();

function importOnce(key: PublicKey): KeyObject {
  const imported = IMPORTED.get(key) ?? importPublicKey(encodePublicKey(withoutLimits(key)));
  IMPORTED.set(key, imported);
  return imported;
}

/** @throws {DataError} if OpenSSL refuses it. */
function importPublicKey(spki: Uint8Array): KeyObject {
  try {
    return nodeCrypto().createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (cause) {
    throw new DataError("public key: refused, not a valid key", { cause });
  }
}

export function rsaPublic(key: RsaPublicKey, block: Uint8Array): Uint8Array {
  const { constants, publicEncrypt } = nodeCrypto();
  const imported = importOnce(key);
  try {
    return plain(publicEncrypt({ key: imported, padding: constants.RSA_NO_PADDING }, block));
  } catch (cause) {
    throw new DataError("RSA: the block is not less than the modulus", { cause });
  }
}

/** Bytes of a message for Ed25519, which Node hashes at once, from which on a thread of its own does it. */
const LONG = 256 * 1024;

export function verifyEddsa(key: EdwardsPublicKey, message: Uint8Array, signature: Uint8Array): MaybePromise<boolean> {
  const { verify } = nodeCrypto();
  const own = importOnce(key);
  if (message.length <= LONG) return verify(null, message, own, signature);
  return new Promise((resolve, reject) => {
    verify(null, message, own, signature, (error, isValid) => {
      if (error) reject(error);
      else resolve(isValid);
    });
  });
}

export function createEcdsaVerifier(key: EcPublicKey, hash: HashName): HostVerifier {
  const imported = { key: importOnce(key), dsaEncoding: "ieee-p1363" } as const;
  const verifier = nodeCrypto().createVerify(hash);
  return {
    update: (part) => void verifier.update(part),
    verify: (signature) => verifier.verify(imported, signature),
  };
}

export function importPrivateKey(form: PrivateKeyForm): HostKey {
  if ("pkcs8" in form) return new NodeKey(fromPkcs8(form.pkcs8));
  return new NodeKey("rsa" in form ? fromNumbers(form.rsa) : fromSecret(form.curve, form.secret));
}

function fromPkcs8(der: Uint8Array): KeyObject {
  const key = Buffer.from(der);
  try {
    return nodeCrypto().createPrivateKey({ key, format: "der", type: "pkcs8" });
  } catch (cause) {
    throw new DataError("private key: not PKCS #8, or of an unsupported type", { cause });
  } finally {
    wipe(key);
  }
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

function fromNumbers(numbers: RsaPrivateNumbers): KeyObject {
  try {
    return nodeCrypto().createPrivateKey({
      format: "jwk",
      key: {
        kty: "RSA",
        n: base64url(numbers.modulus),
        e: base64url(numbers.publicExponent),
        d: base64url(numbers.privateExponent),
        p: base64url(numbers.prime1),
        q: base64url(numbers.prime2),
        dp: base64url(numbers.exponent1),
        dq: base64url(numbers.exponent2),
        qi: base64url(numbers.coefficient),
      },
    });
  } catch (cause) {
    throw new DataError("RSA private key: refused, not a valid key", { cause });
  }
}

function fromSecret(curve: NamedCurve, secret: Uint8Array): KeyObject {
  const { bytes, openssl } = curveInfo(curve);
  const { createECDH, createPrivateKey } = nodeCrypto();
  try {
    const ecdh = createECDH(openssl);
    ecdh.setPrivateKey(secret);
    const point = ecdh.getPublicKey();
    return createPrivateKey({
      format: "jwk",
      key: {
        kty: "EC",
        crv: curve,
        d: base64url(secret),
        x: base64url(point.subarray(1, 1 + bytes)),
        y: base64url(point.subarray(1 + bytes)),
      },
    });
  } catch (cause) {
    throw new DataError("EC private key: not from 1 to the order of the curve", { cause });
  }
}

class NodeKey implements HostKey {
  /** Node overwrites it when it is collected. */
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    this.#key = key;
  }

  publicKey(): Uint8Array {
    return plain(nodeCrypto().createPublicKey(this.#key).export({ format: "der", type: "spki" }));
  }

  pkcs8(): Uint8Array {
    return plain(this.#key.export({ format: "der", type: "pkcs8" }));
  }

  rsaNumbers(): RsaPrivateNumbers {
    const { n, e, d, p, q, dp, dq, qi } = this.#key.export({ format: "jwk" });
    return {
      modulus: numberOf(n),
      publicExponent: numberOf(e),
      privateExponent: numberOf(d),
      prime1: numberOf(p),
      prime2: numberOf(q),
      exponent1: numberOf(dp),
      exponent2: numberOf(dq),
      coefficient: numberOf(qi),
    };
  }

  secret(): Uint8Array {
    const { d } = this.#key.export({ format: "jwk" });
    if (d === undefined) throw new DataError("not a key with a secret number");
    return new Uint8Array(Buffer.from(d, "base64url"));
  }

  rsaRaw(block: Uint8Array): Uint8Array {
    const { constants, privateDecrypt } = nodeCrypto();
    return plain(privateDecrypt({ key: this.#key, padding: constants.RSA_NO_PADDING }, block));
  }

  agree(peer: Uint8Array): Uint8Array {
    return plain(nodeCrypto().diffieHellman({ privateKey: this.#key, publicKey: importPublicKey(peer) }));
  }

  createEcdsaSigner(hash: HashName): HostSigner {
    const signer = nodeCrypto().createSign(hash);
    return {
      update: (part) => void signer.update(part),
      sign: () => plain(signer.sign({ key: this.#key, dsaEncoding: "ieee-p1363" })),
    };
  }

  signEddsa(message: Uint8Array): MaybePromise<Uint8Array> {
    const { sign } = nodeCrypto();
    if (message.length <= LONG) return plain(sign(null, message, this.#key));
    return new Promise((resolve, reject) => {
      sign(null, message, this.#key, (error, signature) => {
        if (error) reject(error);
        else resolve(plain(signature));
      });
    });
  }
}

function numberOf(text: string | undefined): Uint8Array {
  if (text === undefined) throw new DataError("not an RSA private key");
  return new Uint8Array(Buffer.from(text, "base64url"));
}

export function generateKey(kind: KeyKind): Promise<HostKey> {
  if (kind.type === "rsa") return inThreadPool(generate(kind));
  return generate(kind);
}

function generate(kind: KeyKind): Promise<HostKey> {
  const { generateKeyPair } = nodeCrypto();
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _publicKey: KeyObject, privateKey: KeyObject): void => {
      if (error) reject(error);
      else resolve(new NodeKey(privateKey));
    };
    if (kind.type === "rsa") {
      generateKeyPair("rsa", { modulusLength: kind.modulusBits, publicExponent: kind.publicExponent }, done);
    } else if (kind.type === "ec") {
      generateKeyPair("ec", { namedCurve: curveInfo(kind.curve).openssl }, done);
    } else if (kind.curve === "Ed25519") {
      generateKeyPair("ed25519", undefined, done);
    } else {
      generateKeyPair("x25519", undefined, done);
    }
  });
}

export function isPrime(candidate: bigint): Promise<boolean> {
  return new Promise((resolve, reject) => {
    nodeCrypto().checkPrime(candidate, (error, prime) => {
      if (error) reject(error);
      else resolve(prime);
    });
  });
}
