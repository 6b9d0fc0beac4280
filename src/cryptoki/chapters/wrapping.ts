import { derLength } from "../../asn1/index.ts";
import { untilAborted } from "../../async/index.ts";
import { concatSecret, copySecret, wipe } from "../../bytes/index.ts";
import { afterReset } from "../../card/index.ts";
import { HostPrivateKey } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { incomplete } from "../attributes/errors.ts";
import type { Template } from "../attributes/kinds.ts";
import { type NewObject, newObject, numberOf, setOrigin } from "../attributes/new-object.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, cancelled, CryptokiError, requireBytes } from "../errors.ts";
import { keyTypeOf } from "../objects/card-keys.ts";
import { hostPrivateKey, setPrivateKey } from "../objects/software-keys.ts";
import { isKeyLength, wantedLength } from "../objects/software-objects.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import { transformWhole } from "../mechanisms/operation.ts";
import { decryptOperation, encryptOperation, withKeyTemplate } from "./key-use.ts";
import { storeObject } from "./object-changes.ts";

/** Runs `work`, and replaces its return values according to `names`. */
async function remapReturnValues<T>(names: ReadonlyMap<number, number>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const rv = error instanceof CryptokiError ? names.get(error.rv) : undefined;
    if (rv === undefined) throw error;
    throw new CryptokiError(rv, undefined, { cause: error });
  }
}

/** Errors of the wrapping key have their own names. */
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

/**
 * Mechanisms for whole blocks: the key is padded with zeros (PKCS#11 3.1, AES-ECB, AES-CBC and AES Key Wrap: wrapping).
 */
const BLOCKS: ReadonlyMap<number, number> = new Map([
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
      const { stream } = await remapReturnValues(OF_WRAPPING_KEY, () =>
        untilAborted(encryptOperation(request), signal, cancelled),
      );
      try {
        const wrapping = application.objects.get(wrappingKey, session.token);
        const object = await wrappable(application, session, key, wrapping);
        const plain = materialOf(object, wrapping);
        const padded = concatSecret(plain, new Uint8Array(paddingOf(plain.length, BLOCKS.get(mechanism.mechanism))));
        try {
          return await remapReturnValues(OF_KEY, () => transformWhole(stream, padded, signal));
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
 * @throws {CryptokiError} CKR_KEY_HANDLE_INVALID, also if it does not match CKA_WRAP_TEMPLATE of the wrapping key;
 *   CKR_KEY_UNEXTRACTABLE; CKR_KEY_NOT_WRAPPABLE if it needs a trusted key.
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
  if (object.key.class === "public") throw new CryptokiError(CKR.KEY_NOT_WRAPPABLE, "public keys cannot be wrapped");
  if (object.attributes.known(CKA.EXTRACTABLE) !== true) throw new CryptokiError(CKR.KEY_UNEXTRACTABLE);
  const trusted = wrapping.attributes.known(CKA.TRUSTED) === true;
  if (object.attributes.known(CKA.WRAP_WITH_TRUSTED) === true && !trusted) {
    throw new CryptokiError(CKR.KEY_NOT_WRAPPABLE, "CKA_WRAP_WITH_TRUSTED needs a wrapping key with CKA_TRUSTED");
  }
  const wanted = readTemplate(wrapping.attributes.known(CKA.WRAP_TEMPLATE) ?? {});
  if (!(await afterReset(() => object.attributes.matches(wanted)))) {
    throw new CryptokiError(CKR.KEY_HANDLE_INVALID, "the key does not match CKA_WRAP_TEMPLATE");
  }
  return object;
}

/** The bytes of a secret key; a private key as PKCS #8, for secret wrapping keys only. The caller wipes them. */
function materialOf({ key, attributes }: StoredObject, wrapping: StoredObject): Uint8Array {
  if (key?.class === "secret") return copySecret(key.value);
  if (wrapping.key?.class !== "secret") {
    throw new CryptokiError(CKR.KEY_NOT_WRAPPABLE, "a private key can be wrapped only with a secret key");
  }
  return hostPrivateKey(attributes.atHand()).toPkcs8();
}

/** Errors of the unwrapping key have their own names, and so have those of the ciphertext. */
const NAMES: ReadonlyMap<number, number> = new Map([
  [CKR.KEY_HANDLE_INVALID, CKR.UNWRAPPING_KEY_HANDLE_INVALID],
  [CKR.KEY_TYPE_INCONSISTENT, CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT],
  [CKR.KEY_SIZE_RANGE, CKR.UNWRAPPING_KEY_SIZE_RANGE],
  [CKR.ENCRYPTED_DATA_INVALID, CKR.WRAPPED_KEY_INVALID],
  [CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.WRAPPED_KEY_LEN_RANGE],
]);

export function unwrapKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  unwrappingKey: number,
  wrappedKey: Uint8Array,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      const request = { application, session, use: "unwrap", mechanism, key: unwrappingKey } as const;
      const { stream } = await remapReturnValues(NAMES, () =>
        untilAborted(decryptOperation(request), signal, cancelled),
      );
      try {
        requireBytes(wrappedKey, "the wrapped key");
        const unwrapping = application.objects.get(unwrappingKey, token);
        const given = await withKeyTemplate(readTemplate(template), unwrapping, CKA.UNWRAP_TEMPLATE);
        const made = newObject(given, "unwrap", application.logins.userOf(token));
        const length = wantedLength(made.values);
        const plain = await remapReturnValues(NAMES, () => transformWhole(stream, wrappedKey, signal));
        try {
          setMaterial(made, plain, length, mechanism.mechanism);
        } finally {
          wipe(plain);
        }
        setOrigin(made, { from: "elsewhere" });
        return await storeObject(application, session, made, given, signal);
      } finally {
        stream.wipe();
      }
    },
    signal,
  );
}

function setMaterial(made: NewObject, plain: Uint8Array, length: number | undefined, mechanism: number): void {
  const { values } = made;
  if (values.get(CKA.CLASS) === CKO.PRIVATE_KEY) {
    const key = asCallerError(CKR.WRAPPED_KEY_INVALID, () =>
      HostPrivateKey.fromPkcs8(plain.subarray(0, derLength(plain))),
    );
    if (keyTypeOf(key.publicKey) !== values.get(CKA.KEY_TYPE)) {
      throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the wrapped key has another CKA_KEY_TYPE");
    }
    setPrivateKey(values, key);
    return;
  }
  if (values.get(CKA.CLASS) !== CKO.SECRET_KEY)
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "such keys cannot be unwrapped");
  values.set(CKA.VALUE, secretOf(made, cut(plain, length, mechanism), length));
}

/** @throws {CryptokiError} CKR_WRAPPED_KEY_LEN_RANGE. */
function secretOf({ values }: NewObject, value: Uint8Array, length = value.length): Uint8Array {
  if (value.length !== length || !isKeyLength(numberOf(values, CKA.KEY_TYPE), value.length)) {
    throw new CryptokiError(CKR.WRAPPED_KEY_LEN_RANGE);
  }
  return copySecret(value);
}

/** Removes the padding before or after the key. */
function cut(plain: Uint8Array, length: number | undefined, mechanism: number): Uint8Array {
  // Raw RSA: "the key is taken from the end".
  if (mechanism === CKM.RSA_X_509) {
    if (length === undefined) throw incomplete(CKA.VALUE_LEN);
    return plain.subarray(Math.max(0, plain.length - length));
  }
  const block = BLOCKS.get(mechanism);
  if (block === undefined || length === undefined || plain.length - length >= block) return plain;
  return plain.subarray(0, length);
}
