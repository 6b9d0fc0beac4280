import { untilAborted } from "../../async/index.ts";
import { derLength } from "../../asn1/index.ts";
import { wipe } from "../../bytes/index.ts";
import { HostPrivateKey } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { copyBytes, requireBytes } from "../arguments.ts";
import type { Template } from "../attributes/kinds.ts";
import { type NewObject, newObject } from "../attributes/new-object.ts";
import { setOrigin } from "../attributes/origin.ts";
import { incomplete } from "../attributes/refusals.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { numberOf } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKM } from "../constants/ckm.ts";
import { CKO } from "../constants/cko.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame, cancelled } from "../error-map.ts";
import { keyTypeOf } from "../objects/curve-parameters.ts";
import { setPrivateKey } from "../objects/software-private-key.ts";
import { isKeyLength, wantedLength } from "../objects/software-secret-key.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { whole } from "./cipher.ts";
import { keepObject } from "./keep.ts";
import { decryptOperation } from "./key-operation.ts";
import { withKeyTemplate } from "./key-template.ts";
import { renamed } from "./renamed.ts";
import { BLOCKS } from "./wrap.ts";

/** What the unwrapping key is blamed for has names of its own, and so has what the ciphertext is. */
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
      const { stream } = await renamed(NAMES, () => untilAborted(decryptOperation(request), signal, cancelled));
      try {
        requireBytes(wrappedKey, "the wrapped key");
        const unwrapping = application.objects.get(unwrappingKey, token);
        const given = await withKeyTemplate(readTemplate(template), unwrapping, CKA.UNWRAP_TEMPLATE);
        const made = newObject(given, "unwrap", application.logins.userOf(token));
        const length = wantedLength(made.values);
        const plain = await renamed(NAMES, () => whole(stream, wrappedKey, signal));
        try {
          setMaterial(made, plain, length, mechanism.mechanism);
        } finally {
          wipe(plain);
        }
        setOrigin(made, { from: "elsewhere" });
        return await keepObject(application, session, made, given, signal);
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
    const key = blame(CKR.WRAPPED_KEY_INVALID, () => HostPrivateKey.fromPkcs8(plain.subarray(0, derLength(plain))));
    if (keyTypeOf(key.publicKey) !== values.get(CKA.KEY_TYPE)) {
      throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the wrapped key is of another CKA_KEY_TYPE");
    }
    setPrivateKey(values, key);
    return;
  }
  if (values.get(CKA.CLASS) !== CKO.SECRET_KEY)
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "no such key is wrapped");
  values.set(CKA.VALUE, secretOf(made, cut(plain, length, mechanism), length));
}

/** @throws {CryptokiError} CKR_WRAPPED_KEY_LEN_RANGE. */
function secretOf({ values }: NewObject, value: Uint8Array, length = value.length): Uint8Array {
  if (value.length !== length || !isKeyLength(numberOf(values, CKA.KEY_TYPE), value.length)) {
    throw new CryptokiError(CKR.WRAPPED_KEY_LEN_RANGE);
  }
  return copyBytes(value);
}

/** Takes off what came before or after the key because the mechanism takes blocks. */
function cut(plain: Uint8Array, length: number | undefined, mechanism: number): Uint8Array {
  // The bare RSA operation: "the key is taken from the end".
  if (mechanism === CKM.RSA_X_509) {
    if (length === undefined) throw incomplete(CKA.VALUE_LEN);
    return plain.subarray(Math.max(0, plain.length - length));
  }
  const block = BLOCKS.get(mechanism);
  if (block === undefined || length === undefined || plain.length - length >= block) return plain;
  return plain.subarray(0, length);
}
