import { concat, DataError, wipe } from "../../bytes/index.ts";
import {
  type BlockCipher,
  blockLength,
  type BlockStream,
  blockStream,
  counterStream,
  decryptCcm,
  type Direction,
  encryptCcm,
  type KeyWrap,
  openGcm,
  type OpeningStream,
  sealGcm,
  unwrapKey,
  wrapKey,
} from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, CryptokiError } from "../errors.ts";
import type { Cipher, SecretKey, SecretMechanism } from "./family.ts";
import { collecting, Collector } from "./operation.ts";
import { readCcmParameters, readCtrParameters, readGcmParameters, readIv, readNoParameter } from "./parameters.ts";

type Maker = NonNullable<SecretMechanism["encrypt"]>;
type Directions = Required<Pick<SecretMechanism, "encrypt" | "decrypt">>;

const both = (make: (direction: Direction) => Maker): Directions => ({
  encrypt: make("encrypt"),
  decrypt: make("decrypt"),
});

/** Independent blocks (ECB). */
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

/** AES in counter mode. A counter overflow is CKR_DATA_LEN_RANGE in both directions (PKCS#11 3.1, AES with Counter). */
export const ctr: Directions = both(() => (key, parameter) => {
  const { counterBits, block } = readCtrParameters(parameter);
  const stream = opened(() => counterStream(key.value, counterBits, block));
  return {
    update: (part) => asCallerError(CKR.DATA_LEN_RANGE, () => stream.update(part)),
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
      return asCallerError(CKR.ENCRYPTED_DATA_INVALID, () => stream.final());
    },
    wipe: () => undefined,
  };
}

const WHOLE = (block: number): string => `the mechanism takes whole blocks of ${block} bytes`;

/** A key length that the cipher does not support, although the key type allows it. */
function opened(open: () => BlockStream): BlockStream {
  try {
    return open();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, cause.message, { cause });
  }
}

/** Longest message: it is kept until its tag is verified. */
const MAX_MESSAGE = 2 ** 28;

type Makers = Required<Pick<SecretMechanism, "encrypt" | "decrypt">>;

/** CKM_AES_GCM: the tag follows the ciphertext (PKCS#11 3.1 section 6.13.4). */
export const gcm: Makers = {
  encrypt: (key, parameter) => {
    const parameters = readGcmParameters(parameter);
    const stream = asCallerError(CKR.MECHANISM_PARAM_INVALID, () => sealGcm({ ...parameters, key: key.value }));
    return {
      update: (part) => asCallerError(CKR.DATA_LEN_RANGE, () => stream.update(part)),
      final: () => stream.final(),
      wipe: () => undefined,
    };
  },
  decrypt: (key, parameter) => {
    const parameters = readGcmParameters(parameter);
    const stream = asCallerError(CKR.MECHANISM_PARAM_INVALID, () => openGcm({ ...parameters, key: key.value }));
    return openingInParts(stream, parameters.tagLength);
  },
};

/** CKM_AES_CCM: the tag follows the ciphertext (PKCS#11 3.1 section 6.13.5). */
export const ccm: Makers = {
  encrypt: (key, parameter) => {
    const { dataLength, ...parameters } = readCcmParameters(parameter);
    return collecting(new Collector(Math.min(dataLength, MAX_MESSAGE), CKR.DATA_LEN_RANGE), (message) => {
      if (message.length !== dataLength) throw new CryptokiError(CKR.DATA_LEN_RANGE, NOT_AS_TOLD);
      return sealed(message, () => encryptCcm({ ...parameters, key: key.value }, message));
    });
  },
  decrypt: (key, parameter) => {
    const { dataLength, ...parameters } = readCcmParameters(parameter);
    return opening(
      parameters.tagLength,
      (ciphertext, tag) => decryptCcm({ ...parameters, key: key.value }, ciphertext, tag),
      (length) => {
        if (length !== dataLength) throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, NOT_AS_TOLD);
      },
    );
  },
};

const NOT_AS_TOLD = "the message has another length than ulDataLen";

function sealed(
  message: Uint8Array,
  seal: () => { readonly ciphertext: Uint8Array; readonly tag: Uint8Array },
): Uint8Array {
  try {
    const { ciphertext, tag } = asCallerError(CKR.DATA_LEN_RANGE, seal);
    return concat(ciphertext, tag);
  } finally {
    wipe(message);
  }
}

function opening(
  tagLength: number,
  open: (ciphertext: Uint8Array, tag: Uint8Array) => Uint8Array,
  check: (length: number) => void = () => undefined,
) {
  return collecting(new Collector(MAX_MESSAGE + tagLength, CKR.ENCRYPTED_DATA_LEN_RANGE), (all) => {
    const length = all.length - tagLength;
    if (length < 0) throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, "shorter than its tag");
    check(length);
    return asCallerError(CKR.ENCRYPTED_DATA_INVALID, () => open(all.subarray(0, length), all.subarray(length)));
  });
}

/** Decrypts as the message comes, and keeps the plaintext back until its tag, which comes last, is verified. */
function openingInParts(stream: OpeningStream, tagLength: number): Cipher {
  /** The last bytes that came: perhaps the tag. */
  let tail: Uint8Array = new Uint8Array();
  const plaintext = new Collector(MAX_MESSAGE, CKR.ENCRYPTED_DATA_LEN_RANGE);
  return {
    update(part) {
      const all = concat(tail, part);
      const length = Math.max(0, all.length - tagLength);
      tail = all.slice(length);
      plaintext.add(asCallerError(CKR.ENCRYPTED_DATA_LEN_RANGE, () => stream.update(all.subarray(0, length))));
      return new Uint8Array();
    },
    final() {
      if (tail.length < tagLength) throw new CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, "shorter than its tag");
      plaintext.add(asCallerError(CKR.ENCRYPTED_DATA_INVALID, () => stream.final(tail)));
      return plaintext.take();
    },
    wipe: () => {
      plaintext.wipe();
    },
  };
}

/** Longer than any key. */
const MAX_KEY = 65_536;
const IV_LENGTH = { plain: 8, padded: 4, pkcs7: 8 } as const;

/** CKM_AES_KEY_WRAP and its padding variants; the parameter may be an IV. */
export function keyWrap(form: KeyWrap): Required<Pick<SecretMechanism, "encrypt" | "decrypt">> {
  return {
    encrypt: (key, parameter) => {
      const iv = readOwnIv(form, parameter);
      return collecting(new Collector(MAX_KEY, CKR.DATA_LEN_RANGE), (data) => {
        try {
          return asCallerError(CKR.DATA_LEN_RANGE, () => wrapKey(form, key.value, data, iv));
        } finally {
          wipe(data);
        }
      });
    },
    decrypt: (key, parameter) => {
      const iv = readOwnIv(form, parameter);
      return collecting(new Collector(MAX_KEY + 16, CKR.ENCRYPTED_DATA_LEN_RANGE), (wrapped) =>
        asCallerError(CKR.ENCRYPTED_DATA_INVALID, () => unwrapKey(form, key.value, wrapped, iv)),
      );
    },
  };
}

function readOwnIv(form: KeyWrap, parameter: unknown): Uint8Array | undefined {
  if (parameter instanceof Uint8Array && parameter.length > 0) return readIv(parameter, IV_LENGTH[form]);
  if (!(parameter instanceof Uint8Array)) readNoParameter(parameter);
  return undefined;
}
