import {
  constants,
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  privateDecrypt,
  sign,
} from "node:crypto";
import { DataError, wipe } from "../bytes/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";
import { signEcdsa } from "./ecdsa-sign.ts";
import { plain } from "./plain.ts";
import { importPublicKey, parsePublicKey, type PublicKey } from "./public-key.ts";
import { importRsaPrivateKey, type RsaPrivateNumbers } from "./rsa-private.ts";

/** What the host computes with a private key, as cards do: the paddings around it are made elsewhere. */
export type HostPrimitive = "rsa-raw" | "ecdsa" | "ecdh" | "eddsa";

const PRIMITIVES: Readonly<Record<PublicKey["type"], readonly HostPrimitive[]>> = {
  rsa: ["rsa-raw"],
  ec: ["ecdsa", "ecdh"],
  edwards: ["eddsa"],
  montgomery: ["ecdh"],
};

/** A private key in this process. */
export class HostPrivateKey {
  readonly publicKey: PublicKey;
  #key: KeyObject | undefined;

  constructor(key: KeyObject) {
    this.#key = key;
    this.publicKey = parsePublicKey(plain(createPublicKey(key).export({ format: "der", type: "spki" })));
    if (this.publicKey.type === "rsa" && this.publicKey.pss !== undefined) {
      throw new DataError("private key: no PKCS #8 for RSASSA-PSS alone; give the key as rsaEncryption");
    }
  }

  /** PKCS #8 PrivateKeyInfo, DER, not encrypted (RFC 5958). @throws {DataError} if it is none of a type that is known here. */
  static fromPkcs8(der: Uint8Array): HostPrivateKey {
    const copy = Buffer.from(der);
    try {
      return new HostPrivateKey(createPrivateKey({ key: copy, format: "der", type: "pkcs8" }));
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError("private key: not PKCS #8, or of no type that is known here", { cause });
    } finally {
      wipe(copy);
    }
  }

  static fromRsaNumbers(numbers: Parameters<typeof importRsaPrivateKey>[0]): HostPrivateKey {
    return new HostPrivateKey(importRsaPrivateKey(numbers));
  }

  /** @param secret Most significant byte first, at most as long as the order. */
  static fromEcSecret(curve: NamedCurve, secret: Uint8Array): HostPrivateKey {
    return new HostPrivateKey(importEcSecret(curve, secret));
  }

  /** The 32 bytes of RFC 8032 (Ed25519) or RFC 7748 (X25519). */
  static fromSeed(curve: "Ed25519" | "X25519", seed: Uint8Array): HostPrivateKey {
    if (seed.length !== 32) throw new DataError(`${curve} private key: ${seed.length} bytes, 32 wanted`);
    const der = Buffer.concat([SEED_PREFIX[curve], seed]);
    try {
      return new HostPrivateKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
    } finally {
      wipe(der);
    }
  }

  get primitives(): readonly HostPrimitive[] {
    return PRIMITIVES[this.publicKey.type];
  }

  /** PKCS #8 PrivateKeyInfo, DER; the caller's to wipe. */
  toPkcs8(): Uint8Array {
    return plain(this.#required().export({ format: "der", type: "pkcs8" }));
  }

  /** @throws {DataError} for a key that is not RSA. */
  rsaNumbers(): RsaPrivateNumbers {
    const { n, e, d, p, q, dp, dq, qi } = this.#required().export({ format: "jwk" });
    const part = (text: string | undefined): Uint8Array => {
      if (text === undefined) throw new DataError("not an RSA private key");
      return new Uint8Array(Buffer.from(text, "base64url"));
    };
    return {
      modulus: part(n),
      publicExponent: part(e),
      privateExponent: part(d),
      prime1: part(p),
      prime2: part(q),
      exponent1: part(dp),
      exponent2: part(dq),
      coefficient: part(qi),
    };
  }

  /** The secret number of an EC key, or the seed of an Edwards or Montgomery key; the caller's to wipe. */
  secret(): Uint8Array {
    const { d } = this.#required().export({ format: "jwk" });
    if (d === undefined) throw new DataError("not a key with a secret number");
    return new Uint8Array(Buffer.from(d, "base64url"));
  }

  /**
   * @param input rsa-raw: a block as long as the modulus. ecdsa: a digest, as truncateDigest leaves it. ecdh: the other public
   *   key's point. eddsa: the message.
   * @throws {DataError} for input that the key does not take, a primitive that it has not, and after {@link wipe}.
   */
  compute(primitive: HostPrimitive, input: Uint8Array): Uint8Array {
    const key = this.#required();
    const { publicKey } = this;
    if (!this.primitives.includes(primitive)) throw new DataError(`${primitive} is nothing for a key of this type`);
    try {
      switch (primitive) {
        case "rsa-raw":
          return plain(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, input));
        case "ecdsa":
          return this.#ecdsa(input);
        case "ecdh":
          return plain(diffieHellman({ privateKey: key, publicKey: importPublicKey(withPoint(publicKey, input)) }));
        case "eddsa":
          return plain(sign(null, input, key));
      }
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError(`${primitive}: refused by OpenSSL`, { cause });
    }
  }

  #ecdsa(hashed: Uint8Array): Uint8Array {
    const { publicKey } = this;
    if (publicKey.type !== "ec") throw new DataError("not an EC key");
    const secret = this.secret();
    try {
      return signEcdsa(publicKey.curve, secret, hashed);
    } finally {
      wipe(secret);
    }
  }

  /** The key is let go of. Node overwrites it when nobody holds it any more. */
  wipe(): void {
    this.#key = undefined;
  }

  #required(): KeyObject {
    if (!this.#key) throw new DataError("the key was destroyed");
    return this.#key;
  }
}

function withPoint(own: PublicKey, point: Uint8Array): PublicKey {
  if (own.type === "ec") return { type: "ec", curve: own.curve, point };
  if (own.type === "montgomery") return { type: "montgomery", curve: own.curve, point };
  throw new DataError("the key agrees on no secrets");
}

/** PKCS #8 up to the seed (RFC 8410 section 7). */
const SEED_PREFIX = {
  Ed25519: Buffer.from("302e020100300506032b657004220420", "hex"),
  X25519: Buffer.from("302e020100300506032b656e04220420", "hex"),
} as const;

function importEcSecret(curve: NamedCurve, secret: Uint8Array): KeyObject {
  const { bytes, openssl } = curveInfo(curve);
  if (secret.length > bytes) throw new DataError(`EC private key: ${secret.length} bytes, ${bytes} at most`);
  const padded = Buffer.concat([Buffer.alloc(bytes - secret.length), secret]);
  try {
    const ecdh = createECDH(openssl);
    ecdh.setPrivateKey(padded);
    const point = ecdh.getPublicKey();
    return createPrivateKey({
      format: "jwk",
      key: {
        kty: "EC",
        crv: curve,
        d: padded.toString("base64url"),
        x: point.subarray(1, 1 + bytes).toString("base64url"),
        y: point.subarray(1 + bytes).toString("base64url"),
      },
    });
  } catch (cause) {
    throw new DataError("EC private key: not from 1 to the order of the curve", { cause });
  } finally {
    wipe(padded);
  }
}
