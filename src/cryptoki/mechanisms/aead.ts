import { concat, wipe } from "../../bytes/index.ts";
import { decryptCcm, decryptGcm, encryptCcm, encryptGcm } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import { Collector } from "./collector.ts";
import type { SecretMechanism } from "./scheme.ts";
import { collecting } from "./streams.ts";
import { readCcmParameters, readGcmParameters } from "./symmetric-parameters.ts";

/** What one message may have: it is kept until its tag is known to be right. */
const MAX_MESSAGE = 2 ** 28;

type Makers = Required<Pick<SecretMechanism, "encrypt" | "decrypt">>;

/** CKM_AES_GCM: the tag follows the ciphertext (PKCS#11 3.1 section 6.13.4). */
export const gcm: Makers = {
  encrypt: (key, parameter) => {
    const parameters = readGcmParameters(parameter);
    return collecting(new Collector(MAX_MESSAGE, CKR.DATA_LEN_RANGE), (message) =>
      sealed(message, () => encryptGcm({ ...parameters, key: key.value }, message)),
    );
  },
  decrypt: (key, parameter) => {
    const parameters = readGcmParameters(parameter);
    return opening(parameters.tagLength, (ciphertext, tag) =>
      decryptGcm({ ...parameters, key: key.value }, ciphertext, tag),
    );
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
    const { ciphertext, tag } = blame(CKR.DATA_LEN_RANGE, seal);
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
    return blame(CKR.ENCRYPTED_DATA_INVALID, () => open(all.subarray(0, length), all.subarray(length)));
  });
}
