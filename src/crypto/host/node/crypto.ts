import type * as NodeCrypto from "node:crypto";
import type { Hash } from "node:crypto";
import { inThreadPool } from "../../../async/index.ts";
import { concat, concatSecret, DataError, wipe } from "../../../bytes/index.ts";
import type { HashName } from "../../codec/hashes.ts";
import type { BlockStream, HostCipherOptions, HostHash, HostMac } from "../host-crypto.ts";

// Node's own modules by process.getBuiltinModule, which is no import: a bundle for a browser needs nothing in their place.

/** Whether the runtime has Node's modules. */
export function hasNode(): boolean {
  return typeof process !== "undefined" && typeof process.getBuiltinModule === "function";
}

let loaded: typeof NodeCrypto | undefined;

/** node:crypto, loaded at the first use. */
export function nodeCrypto(): typeof NodeCrypto {
  loaded ??= process.getBuiltinModule("node:crypto");
  return loaded;
}

/** A Node Buffer as the Uint8Array that the rest of the package works with: same bytes, without Buffer's own methods. */
export function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

export function createHash(hash: HashName): HostHash {
  return hostHash(nodeCrypto().createHash(hash));
}

function hostHash(hash: Hash): HostHash {
  return {
    update: (part) => void hash.update(part),
    digest: () => plain(hash.digest()),
    copy: () => hostHash(hash.copy()),
  };
}

export function createHmac(hash: HashName, key: Uint8Array): HostMac {
  const hmac = nodeCrypto().createHmac(hash, key);
  return { update: (part) => void hmac.update(part), digest: () => plain(hmac.digest()) };
}

export function fillRandom(bytes: Uint8Array): Uint8Array {
  return nodeCrypto().randomFillSync(bytes);
}

export function isSameSecret(a: Uint8Array, b: Uint8Array): boolean {
  return nodeCrypto().timingSafeEqual(a, b);
}

export function createCipher({ direction, cipher, mode, key, iv, padding }: HostCipherOptions): BlockStream {
  const { createCipheriv, createDecipheriv } = nodeCrypto();
  const create = direction === "encrypt" ? createCipheriv : createDecipheriv;
  const family = cipher === "3des" ? "des-ede3" : `aes-${key.length * 8}`;
  const stream = create(`${family}-${mode}`, key, iv ?? null).setAutoPadding(padding);
  return {
    update: (part) => plain(stream.update(part)),
    final: () => {
      try {
        return plain(stream.final());
      } catch (cause) {
        throw new DataError(`${cipher}: not a whole number of blocks, or wrong padding`, { cause });
      }
    },
  };
}

export function pbkdf2(
  hash: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Promise<Uint8Array> {
  return inThreadPool(
    new Promise((resolve, reject) => {
      nodeCrypto().pbkdf2(password, salt, iterations, length, hash, (error, key) => {
        if (error) reject(error);
        else resolve(plain(key));
      });
    }),
  );
}

export function gunzip(bytes: Uint8Array, maxLength: number): Uint8Array {
  try {
    return plain(process.getBuiltinModule("node:zlib").unzipSync(bytes, { maxOutputLength: maxLength }));
  } catch (cause) {
    throw new DataError(`compressed data: damaged, or more than ${maxLength} bytes`, { cause });
  }
}

export function wrapKey(padded: boolean, key: Uint8Array, data: Uint8Array, iv: Uint8Array): Uint8Array {
  return refusing(() => {
    const cipher = nodeCrypto().createCipheriv(nameOf(padded, key), key, iv);
    return concat(cipher.update(data), cipher.final());
  });
}

export function unwrapKey(padded: boolean, key: Uint8Array, wrapped: Uint8Array, iv: Uint8Array): Uint8Array {
  return refusing(() => {
    const decipher = nodeCrypto().createDecipheriv(nameOf(padded, key), key, iv);
    const plain = decipher.update(wrapped);
    try {
      return concatSecret(plain, decipher.final());
    } finally {
      wipe(plain);
    }
  });
}

/** OpenSSL's name of the algorithm. */
const nameOf = (padded: boolean, key: Uint8Array): string => `id-aes${key.length * 8}-wrap${padded ? "-pad" : ""}`;

function refusing(work: () => Uint8Array): Uint8Array {
  try {
    return work();
  } catch (cause) {
    throw new DataError("key wrap: not wrapped with this key, or changed since", { cause });
  }
}
