import {
  type BlockCipher,
  blockLength,
  blockStream,
  type BlockStream,
  counterStream,
  type Direction,
} from "../../crypto/index.ts";
import { DataError } from "../../bytes/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import { readNoParameter } from "./parameters.ts";
import type { Cipher, SecretKey, SecretMechanism } from "./scheme.ts";
import { readCtrParameters, readIv } from "./symmetric-parameters.ts";

type Maker = NonNullable<SecretMechanism["encrypt"]>;
type Directions = Required<Pick<SecretMechanism, "encrypt" | "decrypt">>;

const both = (make: (direction: Direction) => Maker): Directions => ({
  encrypt: make("encrypt"),
  decrypt: make("decrypt"),
});

/** Blocks one by one (ECB). */
export const ecb = (cipher: BlockCipher): Directions =>
  both((direction) => (key, parameter) => {
    readNoParameter(parameter);
    return blockwise(direction, cipher, key, { padding: false });
  });

/** Blocks chained (CBC); the parameter is the IV. @param padding PKCS #7 at the end. */
export const cbc = (cipher: BlockCipher, padding: boolean): Directions =>
  both((direction) => (key, parameter) => {
    const iv = readIv(parameter, blockLength(cipher));
    return blockwise(direction, cipher, key, { iv, padding });
  });

/** AES in counter mode. What would overflow the counter is CKR_DATA_LEN_RANGE in both directions (PKCS#11 3.1, AES with Counter). */
export const ctr: Directions = both(() => (key, parameter) => {
  const { counterBits, block } = readCtrParameters(parameter);
  const stream = opened(() => counterStream(key.value, counterBits, block));
  return {
    update: (part) => blame(CKR.DATA_LEN_RANGE, () => stream.update(part)),
    final: () => stream.final(),
    wipe: () => undefined,
  };
});

function blockwise(
  direction: Direction,
  cipher: BlockCipher,
  key: SecretKey,
  options: { readonly iv?: Uint8Array; readonly padding: boolean },
): Cipher {
  const stream = opened(() => blockStream(direction, { cipher, key: key.value, ...options }));
  const block = blockLength(cipher);
  let length = 0;
  return {
    update(part) {
      length += part.length;
      return stream.update(part);
    },
    final() {
      const whole = length % block === 0;
      if (direction === "encrypt") {
        if (!whole && !options.padding) throw new CryptokiError(CKR.DATA_LEN_RANGE, WHOLE(block));
      } else if (!whole || (options.padding && length === 0)) {
        throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, WHOLE(block));
      }
      return blame(CKR.ENCRYPTED_DATA_INVALID, () => stream.final());
    },
    wipe: () => undefined,
  };
}

const WHOLE = (block: number): string => `the mechanism takes whole blocks of ${block} bytes`;

/** A key of a length that the cipher has not, though its type may have it. */
function opened(open: () => BlockStream): BlockStream {
  try {
    return open();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, cause.message, { cause });
  }
}
