import { decodePem, encodePem, toBase64Url, DataError, toHex, tryParse } from "../bytes/index.ts";
import {
  curveInfo,
  digest,
  digestInfo,
  ecdsaFromDer,
  encodeOaep,
  encodePkcs1Encryption,
  encodePublicKey,
  encodeSshPublicKey,
  parsePublicKey,
  type PublicKey as ParsedKey,
  type RsaPublicKey,
  rsaPublic,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
  verifyPss,
} from "../crypto/index.ts";
import { requireBytes } from "./data-input.ts";
import { TokenError } from "./error.ts";
import { type Encryption, encryptionOf, type KeyAlgorithm, schemeFor, type SignatureScheme } from "./scheme.ts";

/** A public key in this process: verifies, encrypts, and is written in the forms that other programs read. */
export class PublicKey {
  /** SubjectPublicKeyInfo, DER (RFC 5280 section 4.1). */
  readonly spki: Uint8Array;
  readonly algorithm: KeyAlgorithm;
  /** The parsed key, for the rest of this layer. @internal */
  readonly parsed: ParsedKey;

  /**
   * @param spki SubjectPublicKeyInfo, DER, or the same as PEM.
   * @throws {TokenError} BAD_INPUT for anything else, and for a key of a type that is not known here.
   */
  constructor(spki: Uint8Array | string) {
    const der = typeof spki === "string" ? readPem("PUBLIC KEY", spki) : spki;
    if (!(der instanceof Uint8Array)) {
      throw new TokenError("BAD_INPUT", `not a public key: a Uint8Array or PEM text is wanted, not ${typeof der}`);
    }
    try {
      this.parsed = parsePublicKey(der);
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new TokenError("BAD_INPUT", `not a public key: ${cause.message}`, { cause });
    }
    this.spki = Uint8Array.from(der);
    this.algorithm = algorithmOf(this.parsed);
  }

  /** A key that was read from a token. */
  static of(key: ParsedKey): PublicKey {
    return new PublicKey(encodePublicKey(key));
  }

  /** SHA-256 of {@link spki}, hexadecimal. */
  fingerprint(): string {
    return toHex(digest("sha256", this.spki));
  }

  toPem(): string {
    return encodePem("PUBLIC KEY", this.spki);
  }

  /** RFC 7517; OKP for the keys of Curve25519 (RFC 8037). */
  toJwk(): Readonly<Record<string, string>> {
    const key = this.parsed;
    if (key.type === "rsa") return { kty: "RSA", n: toBase64Url(key.modulus), e: toBase64Url(key.publicExponent) };
    if (key.type !== "ec") return { kty: "OKP", crv: key.curve, x: toBase64Url(key.point) };
    const { bytes } = curveInfo(key.curve);
    const [x, y] = [key.point.subarray(1, 1 + bytes), key.point.subarray(1 + bytes)];
    return { kty: "EC", crv: key.curve, x: toBase64Url(x), y: toBase64Url(y) };
  }

  /**
   * A line of authorized_keys (RFC 4253 section 6.6).
   * @throws {TokenError} KEY_CANNOT for X25519, with which ssh does not sign.
   */
  toSsh(comment = ""): string {
    const line = tryParse(() => encodeSshPublicKey(this.parsed));
    if (line === undefined) throw new TokenError("KEY_CANNOT", "ssh has no keys of this type");
    return comment === "" ? line : `${line} ${comment}`;
  }

  /** Of a key on a curve: its uncompressed point, or the 32 bytes of Curve25519. @throws {TokenError} KEY_CANNOT for RSA. */
  toPoint(): Uint8Array {
    if (this.parsed.type === "rsa") throw new TokenError("KEY_CANNOT", "an RSA key has no point");
    return Uint8Array.from(this.parsed.point);
  }

  /**
   * Whether `signature` is this key's over `data`.
   * @param scheme As the signature was made. ECDSA: r || s, or DER with `encoding: "der"`.
   * @throws {TokenError} KEY_CANNOT for a key that does not sign.
   */
  async verify(data: Uint8Array, signature: Uint8Array, scheme: SignatureScheme = {}): Promise<boolean> {
    const { hash, pss, encoding } = schemeFor(this.algorithm, scheme);
    requireBytes(data, "the data");
    requireBytes(signature, "the signature");
    const key = this.parsed;
    try {
      if (key.type === "edwards") return await verifyEddsa(key, data, signature);
      if (hash === undefined || key.type === "montgomery") return false;
      const hashed = digest(hash, data);
      if (key.type === "ec") {
        return await verifyEcdsa(key, hashed, encoding === "der" ? ecdsaFromDer(signature, key.curve) : signature);
      }
      if (pss) return verifyPss(key, hashed, pss, signature);
      return verifyPkcs1(key, digestInfo(hash, hashed), signature);
    } catch (error) {
      // A signature, or a salt, that cannot be one of this key's.
      if (error instanceof DataError) return false;
      throw error;
    }
  }

  /**
   * Encrypts a short message for the holder of the private key.
   * @throws {TokenError} KEY_CANNOT for a key that is not RSA; BAD_INPUT for a message that is too long for the key.
   */
  async encrypt(data: Uint8Array, options: Encryption = {}): Promise<Uint8Array> {
    return Promise.resolve(this.#encrypted(data, options));
  }

  #encrypted(data: Uint8Array, options: Encryption): Uint8Array {
    const key = this.parsed;
    requireBytes(data, "the message");
    if (key.type !== "rsa") throw new TokenError("KEY_CANNOT", "only RSA keys encrypt; agree on a secret instead");
    try {
      return rsaPublic(key, paddedFor(key, data, options));
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new TokenError("BAD_INPUT", cause.message, { cause });
    }
  }
}

function paddedFor(key: RsaPublicKey, data: Uint8Array, options: Encryption): Uint8Array {
  const { hash, label } = encryptionOf(options);
  if (hash === undefined) return encodePkcs1Encryption(data, key.modulus.length);
  return encodeOaep(data, { hash, mgfHash: hash, label }, key.modulus.length);
}

function algorithmOf(key: ParsedKey): KeyAlgorithm {
  switch (key.type) {
    case "rsa":
      return { type: "rsa", bits: key.modulusBits };
    case "ec":
      return { type: "ec", curve: key.curve };
    case "edwards":
      return { type: "ed25519" };
    case "montgomery":
      return { type: "x25519" };
  }
}

/**
 * The first block of PEM with this label.
 * @throws {TokenError} BAD_INPUT for text without one, and for one that is not base64.
 */
export function readPem(label: string, text: string): Uint8Array {
  try {
    const der = decodePem(label, text);
    if (der) return der;
  } catch (cause) {
    throw new TokenError("BAD_INPUT", "PEM whose lines are not base64", { cause });
  }
  throw new TokenError("BAD_INPUT", `no PEM block ${label}`);
}
