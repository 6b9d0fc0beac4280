import { concat, concatSecret, DataError, wipe } from "../../../bytes/index.ts";
import { nodeCrypto } from "./builtin.ts";

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
