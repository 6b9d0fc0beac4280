import type { Hash } from "node:crypto";
import { inThreadPool } from "../../../async/index.ts";
import { DataError } from "../../../bytes/index.ts";
import type { HashName } from "../../codec/hashes.ts";
import type { BlockStream, HostCipherOptions, HostHash, HostMac } from "../host-crypto.ts";
import { nodeCrypto, plain } from "./builtin.ts";

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
