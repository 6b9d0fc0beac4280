import { type CallOptions, untilAborted } from "../../async/index.ts";
import { wipe } from "../../bytes/index.ts";
import { randomBytes, type RandomSource } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { inconsistent } from "../attributes/errors.ts";
import type { Template } from "../attributes/kinds.ts";
import { newObject, setOrigin } from "../attributes/new-object.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { CKK, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import { requireMechanism } from "../mechanisms/availability.ts";
import type { SecretKey, SecretKeyLookup } from "../mechanisms/family.ts";
import { wantedLength } from "../objects/software-objects.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { makeScheme, type UsableKey, useKey, withKeyTemplate } from "./key-use.ts";
import { storeObject, requireAccess } from "./object-changes.ts";
import { generateKeyPair, type KeyPair } from "./key-pairs.ts";
import { unwrapKey, wrapKey } from "./wrapping.ts";
import { type Chapter, SESSION, MECHANISM, TEMPLATE, KEY } from "../chapter.ts";

/** Key management functions (PKCS#11 3.1 section 5.18). Errors of templates are those of {@link ObjectFunctions.C_CreateObject}. */
export interface KeyFunctions {
  /** Generates a secret key that ends with the session. */
  C_GenerateKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<CK_OBJECT_HANDLE>;

  /**
   * Generates a key pair: for the session; or if both templates have CKA_TOKEN, on the card, in the slot that CKA_ID
   * names, replacing its key.
   * @param publicKeyTemplate CKA_MODULUS_BITS or CKA_EC_PARAMS; CKA_ID for the card.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN: a PIV card needs its management key first, C_Login with CKU.SO.
   */
  C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    publicKeyTemplate: Template | AttributeList,
    privateKeyTemplate: Template | AttributeList,
    options?: CallOptions,
  ): Promise<KeyPair>;

  /**
   * Encrypts a key: a secret key with an RSA public key or a secret key, a private key (as PKCS #8) with a secret key.
   * @throws {CryptokiError} CKR_KEY_UNEXTRACTABLE for every key of a card; CKR_KEY_NOT_WRAPPABLE; CKR_KEY_SIZE_RANGE;
   *   CKR_WRAPPING_KEY_HANDLE_INVALID and similar ones.
   */
  C_WrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    wrappingKey: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<Uint8Array>;

  /**
   * Decrypts a key, with a secret key or an RSA private key of the card or the session, and creates an object for it.
   * @param template CKA_CLASS, CKA_KEY_TYPE, and CKA_VALUE_LEN if the key's length is not determined otherwise.
   * @throws {CryptokiError} CKR_WRAPPED_KEY_INVALID; CKR_WRAPPED_KEY_LEN_RANGE; CKR_UNWRAPPING_KEY_HANDLE_INVALID and
   *   similar ones.
   */
  C_UnwrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    unwrappingKey: CK_OBJECT_HANDLE,
    wrappedKey: Uint8Array,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<CK_OBJECT_HANDLE>;

  /**
   * Derives a secret key: with ECDH from a private key of the card or the session, with HKDF and similar mechanisms
   * from a secret key.
   */
  C_DeriveKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    baseKey: CK_OBJECT_HANDLE,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<CK_OBJECT_HANDLE>;
}

const hostRandom: RandomSource = (length) => Promise.resolve(randomBytes(length));

/** C_GenerateKey: the host generates secret keys, which end with their session. */
function generateKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      const entry = requireMechanism(token.cardToken, mechanism, "generate");
      if (entry.kind !== "generation") throw new CryptokiError(CKR.MECHANISM_INVALID);
      const given = readTemplate(template);
      const named = given.find(([type]) => type === CKA.KEY_TYPE)?.[1];
      const keyType = entry.keyTypes.find((type) => named === undefined || type === named);
      if (keyType === undefined) throw inconsistent(CKA.KEY_TYPE, "does not match the mechanism");
      const made = newObject(given, "generate", application.logins.userOf(token), [
        [CKA.CLASS, CKO.SECRET_KEY],
        [CKA.KEY_TYPE, keyType],
      ]);
      requireAccess(application, session, made);
      const request = {
        keyType,
        length: wantedLength(made.values),
        parameter: mechanism.parameter,
        random: application.engines.random ?? hostRandom,
      };
      made.values.set(CKA.VALUE, await entry.generate(request));
      setOrigin(made, { from: "generation", mechanism: mechanism.mechanism });
      return storeObject(application, session, made, given, signal);
    },
    signal,
  );
}

function deriveKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  baseKey: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    async (session) => {
      const request = { application, session, use: "derive", mechanism, key: baseKey } as const;
      const key = await untilAborted(useKey(request), signal, cancelled);
      const given = await withKeyTemplate(readTemplate(template), key.object, CKA.DERIVE_TEMPLATE);
      const user = application.logins.userOf(session.token);
      const toData = key.kind === "secret" && key.mechanism.derivesData === true;
      const made = toData
        ? newObject(without(given, CKA.VALUE_LEN), "derive", user, [[CKA.CLASS, CKO.DATA]])
        : newObject(withKeyType(given), "derive", user, [[CKA.CLASS, CKO.SECRET_KEY]]);
      const length = wantedLength(toData ? new Map(given) : made.values);
      const derive = deriver(key, (other) => secretKey(application, session, other));
      requireAccess(application, session, made);
      made.values.set(CKA.VALUE, await derive(length, signal));
      setOrigin(made, { from: "derivation", ...secrecyOf(key.object) });
      return storeObject(application, session, made, given, signal);
    },
    signal,
  );
}

type Deriver = (length: number | undefined, signal?: AbortSignal) => Promise<Uint8Array>;

/** @throws {CryptokiError} as the ...Init functions, before anything is computed. */
function deriver(key: UsableKey, other: SecretKeyLookup): Deriver {
  if (key.kind === "secret") {
    const { mechanism, secret, parameter } = key;
    return async (length) => mechanism.derive?.(secret, parameter, length, other) ?? refuse();
  }
  if (key.kind === "public") return refuse();
  const { guard } = key;
  const scheme = makeScheme(key, ({ agreement }) => agreement);
  return async (length, signal) => {
    const shared = await scheme.agree(guard, signal);
    try {
      return scheme.derive(shared, length);
    } finally {
      wipe(shared);
    }
  };
}

/** A second key, which the parameter names. */
function secretKey(application: Application, { token }: Session, handle: number): SecretKey {
  const object = application.objects.get(handle, token, CKR.KEY_HANDLE_INVALID);
  if (!application.isVisible(object) || !object.key) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
  if (object.key.class !== "secret")
    throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "this parameter needs a secret key");
  if (object.attributes.known(CKA.DERIVE) !== true) {
    throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "CKA_DERIVE is false for this key");
  }
  return { keyType: object.attributes.known(CKA.KEY_TYPE) ?? 0, value: object.key.value };
}

function refuse(): never {
  throw new CryptokiError(CKR.MECHANISM_INVALID);
}

const without = (template: AttributeList, unwanted: number): AttributeList =>
  template.filter(([type]) => type !== unwanted);

/** Without a type in the template the key is a generic secret. */
const withKeyType = (template: AttributeList): AttributeList =>
  template.some(([type]) => type === CKA.KEY_TYPE) ? template : [...template, [CKA.KEY_TYPE, CKK.GENERIC_SECRET]];

/** The derived key is at best as protected as its base key (PKCS#11 3.1, ECDH and HKDF key derivation). */
function secrecyOf({ attributes }: StoredObject): { alwaysSensitive: boolean; neverExtractable: boolean } {
  return {
    alwaysSensitive: attributes.known(CKA.ALWAYS_SENSITIVE) === true,
    neverExtractable: attributes.known(CKA.NEVER_EXTRACTABLE) === true,
  };
}

export const KEYS: Chapter<KeyFunctions> = {
  title: "Key management",
  source: "PKCS#11 3.1 section 5.18",
  functions: {
    C_GenerateKey: {
      state: "software",
      parameters: [SESSION, MECHANISM, TEMPLATE],
      result: "handle",
      body: generateKey,
    },
    C_GenerateKeyPair: {
      state: "card and software",
      parameters: [SESSION, MECHANISM, ["pPublicKeyTemplate", "template"], ["pPrivateKeyTemplate", "template"]],
      result: "value",
      body: generateKeyPair,
    },
    C_WrapKey: {
      state: "software",
      parameters: [SESSION, MECHANISM, ["hWrappingKey", "key"], KEY],
      result: "bytes",
      body: wrapKey,
    },
    C_UnwrapKey: {
      state: "card and software",
      parameters: [SESSION, MECHANISM, ["hUnwrappingKey", "key"], ["pWrappedKey", "bytes"], TEMPLATE],
      result: "handle",
      body: unwrapKey,
    },
    C_DeriveKey: {
      state: "card and software",
      parameters: [SESSION, MECHANISM, ["hBaseKey", "key"], TEMPLATE],
      result: "handle",
      body: deriveKey,
    },
  },
};
