import { wipe } from "../../bytes/index.ts";
import { type KeyWrap, unwrapKey, wrapKey } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { blame } from "../error-map.ts";
import { Collector } from "./collector.ts";
import { readNoParameter } from "./parameters.ts";
import type { SecretMechanism } from "./scheme.ts";
import { collecting } from "./streams.ts";
import { readIv } from "./symmetric-parameters.ts";

/** Longer than any key. */
const MAX_KEY = 65_536;
const IV_LENGTH = { plain: 8, padded: 4, pkcs7: 8 } as const;

/** CKM_AES_KEY_WRAP and its padding kin; an IV of one's own may be the parameter. */
export function keyWrap(form: KeyWrap): Required<Pick<SecretMechanism, "encrypt" | "decrypt">> {
  return {
    encrypt: (key, parameter) => {
      const iv = readOwnIv(form, parameter);
      return collecting(new Collector(MAX_KEY, CKR.DATA_LEN_RANGE), (data) => {
        try {
          return blame(CKR.DATA_LEN_RANGE, () => wrapKey(form, key.value, data, iv));
        } finally {
          wipe(data);
        }
      });
    },
    decrypt: (key, parameter) => {
      const iv = readOwnIv(form, parameter);
      return collecting(new Collector(MAX_KEY + 16, CKR.ENCRYPTED_DATA_LEN_RANGE), (wrapped) =>
        blame(CKR.ENCRYPTED_DATA_INVALID, () => unwrapKey(form, key.value, wrapped, iv)),
      );
    },
  };
}

function readOwnIv(form: KeyWrap, parameter: unknown): Uint8Array | undefined {
  if (parameter instanceof Uint8Array && parameter.length > 0) return readIv(parameter, IV_LENGTH[form]);
  if (!(parameter instanceof Uint8Array)) readNoParameter(parameter);
  return undefined;
}
