import { afterReset } from "../../card/index.ts";
import { untilAborted } from "../../async/index.ts";
import { concatSecret, copySecret, wipe } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import { readTemplate } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { cancelled } from "../error-map.ts";
import { hostPrivateKey } from "../objects/software-private-key.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { whole } from "./cipher.ts";
import { encryptOperation } from "./key-operation.ts";
import { renamed } from "./renamed.ts";

/** What the wrapping key is blamed for has names of its own. */
const OF_WRAPPING_KEY: ReadonlyMap<number, number> = new Map([
  [CKR.KEY_HANDLE_INVALID, CKR.WRAPPING_KEY_HANDLE_INVALID],
  [CKR.KEY_TYPE_INCONSISTENT, CKR.WRAPPING_KEY_TYPE_INCONSISTENT],
  [CKR.KEY_SIZE_RANGE, CKR.WRAPPING_KEY_SIZE_RANGE],
]);

/** "If it cannot be wrapped solely because of its length": the key is the message. */
const OF_KEY: ReadonlyMap<number, number> = new Map([
  [CKR.DATA_LEN_RANGE, CKR.KEY_SIZE_RANGE],
  [CKR.DATA_INVALID, CKR.KEY_NOT_WRAPPABLE],
]);

/** Mechanisms that take whole blocks: the key is followed by zeros (PKCS#11 3.1, AES-ECB, AES-CBC and AES Key Wrap: wrapping). */
export const BLOCKS: ReadonlyMap<number, number> = new Map([
  [CKM.AES_ECB, 16],
  [CKM.AES_CBC, 16],
  [CKM.AES_KEY_WRAP, 8],
  [CKM.DES_ECB, 8],
  [CKM.DES_CBC, 8],
  [CKM.DES3_ECB, 8],
  [CKM.DES3_CBC, 8],
]);

export function wrapKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  wrappingKey: number,
  key: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    async (session) => {
      const request = { application, session, use: "wrap", mechanism, key: wrappingKey } as const;
      const { stream } = await renamed(OF_WRAPPING_KEY, () =>
        untilAborted(encryptOperation(request), signal, cancelled),
      );
      try {
        const wrapping = application.objects.get(wrappingKey, session.token);
        const object = await wrappable(application, session, key, wrapping);
        const plain = materialOf(object, wrapping);
        const padded = concatSecret(plain, new Uint8Array(paddingOf(plain.length, BLOCKS.get(mechanism.mechanism))));
        try {
          return await renamed(OF_KEY, () => whole(stream, padded, signal));
        } finally {
          wipe(plain, padded);
        }
      } finally {
        stream.wipe();
      }
    },
    signal,
  );
}

const paddingOf = (length: number, block = 1): number => (block - (length % block)) % block;

/**
 * The key to be wrapped.
 * @throws {CryptokiError} CKR_KEY_HANDLE_INVALID, also if it is not what CKA_WRAP_TEMPLATE of the wrapping key wants;
 *   CKR_KEY_UNEXTRACTABLE; CKR_KEY_NOT_WRAPPABLE for what only a trusted key may wrap.
 */
async function wrappable(
  application: Application,
  { token }: Session,
  key: number,
  wrapping: StoredObject,
): Promise<StoredObject> {
  const object = application.objects.get(key, token, CKR.KEY_HANDLE_INVALID);
  if (!application.isVisible(object)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  if (!object.key) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
  if (object.key.class === "public") throw new CryptokiError(CKR.KEY_NOT_WRAPPABLE, "public keys are not wrapped");
  if (object.attributes.known(CKA.EXTRACTABLE) !== true) throw new CryptokiError(CKR.KEY_UNEXTRACTABLE);
  const trusted = wrapping.attributes.known(CKA.TRUSTED) === true;
  if (object.attributes.known(CKA.WRAP_WITH_TRUSTED) === true && !trusted) {
    throw new CryptokiError(CKR.KEY_NOT_WRAPPABLE, "CKA_WRAP_WITH_TRUSTED wants a wrapping key with CKA_TRUSTED");
  }
  const wanted = readTemplate(wrapping.attributes.known(CKA.WRAP_TEMPLATE) ?? {});
  if (!(await afterReset(() => object.attributes.matches(wanted)))) {
    throw new CryptokiError(CKR.KEY_HANDLE_INVALID, "the key is not one of those that CKA_WRAP_TEMPLATE describes");
  }
  return object;
}

/** The bytes of a secret key; a private key as PKCS #8, for secret wrapping keys only. The caller's to wipe. */
function materialOf({ key, attributes }: StoredObject, wrapping: StoredObject): Uint8Array {
  if (key?.class === "secret") return copySecret(key.value);
  if (wrapping.key?.class !== "secret") {
    throw new CryptokiError(CKR.KEY_NOT_WRAPPABLE, "a private key is wrapped with a secret key");
  }
  return hostPrivateKey(attributes.atHand()).toPkcs8();
}
