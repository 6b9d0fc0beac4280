import { DataError, wipe } from "../bytes/index.ts";
import { type KeyPrimitive, UnsupportedError } from "../card/index.ts";
import {
  decodeOaep,
  decodePkcs1Encryption,
  digest,
  digestInfo,
  ecdsaToDer,
  encodePkcs1Signature,
  encodePss,
  hashLength,
  type HashName,
  type PublicKey,
  truncateDigest,
} from "../crypto/index.ts";

export type PivHash = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";

const HASHES: Readonly<Record<PivHash, HashName>> = {
  "SHA-1": "sha1",
  "SHA-256": "sha256",
  "SHA-384": "sha384",
  "SHA-512": "sha512",
};

/** How data is signed; what is left out follows from the key. */
export interface PivSignature {
  /** Default: SHA-256; for keys on P-384 SHA-384. Ed25519 takes none. */
  readonly hash?: PivHash;
  /** RSA only; default: "pkcs1" (RFC 8017 section 8.2). */
  readonly padding?: "pkcs1" | "pss";
  /** PSS only, in bytes; default: as long as the hash. */
  readonly saltLength?: number;
  /** ECDSA only; default: "ieee-p1363", which is r || s. */
  readonly encoding?: "ieee-p1363" | "der";
}

/** How a short message was encrypted for an RSA key. */
export interface PivEncryption {
  /** Default: "oaep" (RFC 8017 section 7.1). */
  readonly padding?: "oaep" | "pkcs1";
  /** OAEP only, also of its MGF1; default: SHA-256. */
  readonly hash?: PivHash;
  /** OAEP only; default: empty. */
  readonly label?: Uint8Array;
}

/** What the card computes, and how its result is finished. */
export interface KeyOperation {
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  readonly finish: (result: Uint8Array) => Uint8Array;
}

/** @throws {DataError} for a hash that there is not. */
function hashNamed(hash: PivHash): HashName {
  if (Object.hasOwn(HASHES, hash)) return HASHES[hash];
  throw new DataError(`no hash "${hash}"; there are ${Object.keys(HASHES).join(", ")}`);
}

const asItIs = (result: Uint8Array): Uint8Array => result;

/** @throws {UnsupportedError} for a key that does not sign; {@link DataError} for options that its type does not have. */
export function signing(key: PublicKey, data: Uint8Array, scheme: PivSignature): KeyOperation {
  switch (key.type) {
    case "rsa": {
      const hash = hashNamed(scheme.hash ?? "SHA-256");
      const hashed = digest(hash, data);
      const { saltLength = hashLength(hash) } = scheme;
      const block =
        scheme.padding === "pss"
          ? encodePss(hashed, { hash, mgfHash: hash, saltLength }, key.modulusBits)
          : encodePkcs1Signature(digestInfo(hash, hashed), key.modulus.length);
      return { primitive: "rsa-raw", input: block, finish: asItIs };
    }
    case "ec": {
      const hash = hashNamed(scheme.hash ?? (key.curve === "P-384" ? "SHA-384" : "SHA-256"));
      const finish = scheme.encoding === "der" ? ecdsaToDer : asItIs;
      return { primitive: "ecdsa", input: truncateDigest(digest(hash, data), key.curve), finish };
    }
    case "edwards":
      if (scheme.hash !== undefined) throw new DataError("Ed25519 signs the message itself: leave out the hash");
      return { primitive: "eddsa", input: data, finish: asItIs };
    case "montgomery":
      throw new UnsupportedError("an X25519 key agrees on secrets; it does not sign");
  }
}

/** @throws {UnsupportedError} for a key that is not RSA. */
export function decryption(key: PublicKey, box: Uint8Array, options: PivEncryption): KeyOperation {
  if (key.type !== "rsa") throw new UnsupportedError("only RSA keys decrypt; agree on a secret instead");
  const hash = hashNamed(options.hash ?? "SHA-256");
  const finish = (block: Uint8Array): Uint8Array => {
    try {
      if (options.padding === "pkcs1") return decodePkcs1Encryption(block);
      return decodeOaep(block, { hash, mgfHash: hash, ...(options.label && { label: options.label }) });
    } finally {
      wipe(block);
    }
  };
  return { primitive: "rsa-raw", input: box, finish };
}

/** @throws {UnsupportedError} for a key without agreement; {@link DataError} for a key on another curve. */
export function agreement(key: PublicKey, peer: PublicKey): KeyOperation {
  const isSame =
    (key.type === "ec" && peer.type === "ec" && key.curve === peer.curve) ||
    (key.type === "montgomery" && peer.type === "montgomery");
  if (key.type !== "ec" && key.type !== "montgomery") throw new UnsupportedError("the key agrees on no secrets");
  if (!isSame) throw new DataError("the other party's key is on another curve");
  return { primitive: "ecdh", input: peer.point, finish: asItIs };
}
