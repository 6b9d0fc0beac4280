import { untilAborted } from "../../async/index.ts";
import { DataError } from "../../bytes/index.ts";
import { afterReset } from "../../card/index.ts";
import type { KeyShape, PublicKey } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { inconsistent } from "../attributes/errors.ts";
import { type AttributeList, readTemplate, sameValue } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import { type MechanismUse, requireMechanism } from "../mechanisms/availability.ts";
import type {
  Cipher,
  MechanismFamily,
  PairMechanism,
  SchemeMaker,
  SecretKey,
  SecretMechanism,
  Signer,
  Operation,
  Verifier,
} from "../mechanisms/family.ts";
import { MessageCipher } from "../mechanisms/message-cipher.ts";
import {
  macVerifier,
  type Recoverer,
  schemeDecrypter,
  schemeEncrypter,
  schemeRecoverer,
  SchemeSigner,
  SchemeVerifier,
} from "../mechanisms/operation.ts";
import { readUnusedParameter } from "../mechanisms/parameters.ts";
import type { PrivateKey } from "../objects/object-copy.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import { GuardedKey, VerifiedKey } from "../sessions/guarded-key.ts";
import { MessageOperation, SessionOperation, type OperationKind, type OperationTypes } from "../sessions/operations.ts";
import type { Session } from "../sessions/session.ts";
import type { Token } from "../slots/token.ts";
import type { AnyMechanism } from "../mechanisms/declarations.ts";

/** The attribute that must be true of a key for each use. */
const PERMISSION = {
  sign: CKA.SIGN,
  verify: CKA.VERIFY,
  "sign-recover": CKA.SIGN_RECOVER,
  "verify-recover": CKA.VERIFY_RECOVER,
  encrypt: CKA.ENCRYPT,
  decrypt: CKA.DECRYPT,
  wrap: CKA.WRAP,
  unwrap: CKA.UNWRAP,
  derive: CKA.DERIVE,
} as const satisfies Partial<Record<MechanismUse, CKA>>;

type KeyUse = keyof typeof PERMISSION;

/** Which half of a key pair it needs. */
const HALF: Readonly<Record<KeyUse, "private" | "public">> = {
  sign: "private",
  verify: "public",
  "sign-recover": "private",
  "verify-recover": "public",
  encrypt: "public",
  decrypt: "private",
  wrap: "public",
  unwrap: "private",
  derive: "private",
};

interface KeyRequest<Use extends KeyUse = KeyUse> {
  readonly application: Application;
  readonly session: Session;
  readonly use: Use;
  readonly mechanism: AnyMechanism;
  /** The key's handle. */
  readonly key: number;
}

/** A key that is suitable for a mechanism and a use. */
export type UsableKey = { readonly object: StoredObject; readonly parameter: unknown } & (
  | {
      readonly kind: "public";
      readonly mechanism: PairMechanism;
      readonly publicKey: PublicKey;
    }
  | {
      readonly kind: "private";
      readonly mechanism: PairMechanism;
      readonly shape: KeyShape;
      readonly guard: GuardedKey;
    }
  | { readonly kind: "secret"; readonly mechanism: SecretMechanism; readonly secret: SecretKey }
);

/**
 * The key that a caller named, for a mechanism and a use.
 * @throws {CryptokiError} what the ...Init functions of the standard return.
 */
export async function useKey({ application, session, use, mechanism, key }: KeyRequest): Promise<UsableKey> {
  const { token } = session;
  const entry = requireMechanism(token.cardToken, mechanism, use);
  const object = application.objects.get(key, token, CKR.KEY_HANDLE_INVALID);
  // Found before the login was lost: the error is the missing login, not the key.
  if (!application.isVisible(object)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  const material = object.key;
  if (!material) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
  const common = { object, parameter: mechanism.parameter };
  if (entry.kind === "secret" && material.class === "secret") {
    await requirePermission(object, use, mechanism.mechanism, entry.keyTypes);
    const secret: SecretKey = {
      keyType: object.attributes.known(CKA.KEY_TYPE) ?? 0,
      // A key that was destroyed during its use is all zeros.
      get value() {
        application.objects.get(key, token, CKR.KEY_HANDLE_INVALID);
        return material.value;
      },
    };
    return { ...common, kind: "secret", mechanism: entry, secret };
  }
  if (entry.kind !== "pair" || material.class === "secret" || material.class !== HALF[use]) {
    throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  }
  await requirePermission(object, use, mechanism.mechanism, entry.family.keyTypes);
  if (material.class !== "private") {
    return { ...common, kind: "public", mechanism: entry, publicKey: await computable(material.publicKey()) };
  }
  // No public key can check an agreed secret.
  const verifies = application.verifiesResults && use !== "derive";
  const privateKey = verifies ? await afterReset(() => VerifiedKey.of(material.key)) : material.key;
  if (!entry.family.primitives.some((primitive) => privateKey.primitives.includes(primitive))) {
    throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the card does not support this operation with this key");
  }
  const shape = await computable(shapeFor(use, privateKey));
  const guard = new GuardedKey(privateKey, token, application.logins, object.copy.life);
  return { ...common, kind: "private", mechanism: entry, shape, guard };
}

/** A key agreement needs the curve beforehand, for the other party's point. */
async function shapeFor(use: KeyUse, key: PrivateKey): Promise<KeyShape> {
  const shape = await key.shape();
  return use === "derive" && shape.type === "ec" && !shape.curve ? key.publicKey() : shape;
}

/** @throws {CryptokiError} CKR_KEY_TYPE_INCONSISTENT for an unsupported curve or key type. */
async function computable<T>(key: Promise<T>): Promise<T> {
  try {
    return await key;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, `this driver does not support such keys: ${error.message}`, {
      cause: error,
    });
  }
}

async function requirePermission(
  { attributes }: StoredObject,
  use: KeyUse,
  mechanism: number,
  keyTypes: readonly number[],
): Promise<void> {
  await afterReset(async () => {
    const type = await attributes.value(CKA.KEY_TYPE);
    if (type !== undefined && !keyTypes.includes(type)) throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
    if ((await attributes.value(PERMISSION[use])) !== true) {
      throw new CryptokiError(
        CKR.KEY_FUNCTION_NOT_PERMITTED,
        `${nameOf("CKA", PERMISSION[use])} is false for this key`,
      );
    }
    const allowed = (await attributes.value(CKA.ALLOWED_MECHANISMS)) ?? [];
    if (allowed.length > 0 && !allowed.includes(mechanism)) {
      throw new CryptokiError(CKR.MECHANISM_INVALID, "CKA_ALLOWED_MECHANISMS of the key does not include it");
    }
  });
}

/** @throws {CryptokiError} CKR_MECHANISM_INVALID; the error of the scheme's maker. */
export function makeScheme<Scheme>(
  key: Exclude<UsableKey, { kind: "secret" }>,
  maker: (family: MechanismFamily) => SchemeMaker<Scheme> | undefined,
): Scheme {
  const { mechanism, parameter } = key;
  const make = maker(mechanism.family);
  if (!make) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return make(key.kind === "public" ? key.publicKey : key.shape, mechanism.hash, parameter);
}

// Operations with suitable keys.

export async function signOperation(request: KeyRequest<"sign" | "sign-recover">): Promise<SessionOperation<Signer>> {
  return signWith(await useKey(request));
}

/** One signature for each message. */
export async function signMessages(request: KeyRequest<"sign">): Promise<MessageOperation<Signer>> {
  const key = await useKey(request);
  // Reports an error in the parameter at once.
  const { key: guard } = signWith(key);
  return new MessageOperation(() => signWith(key), guard);
}

function signWith(key: UsableKey): SessionOperation<Signer> {
  if (key.kind === "secret") return withSecret(key, required(key.mechanism.mac)(key.secret, key.parameter));
  if (key.kind !== "private") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const { guard } = key;
  return new SessionOperation(
    new SchemeSigner(
      makeScheme(key, ({ signature }) => signature),
      guard,
    ),
    guard,
  );
}

export async function verifyOperation(request: KeyRequest<"verify">): Promise<SessionOperation<Verifier>> {
  return verifyWith(await useKey(request), request);
}

export async function verifyMessages(request: KeyRequest<"verify">): Promise<MessageOperation<Verifier>> {
  const key = await useKey(request);
  verifyWith(key, request).stream.wipe();
  return new MessageOperation(() => verifyWith(key, request), undefined);
}

function verifyWith(key: UsableKey, request: KeyRequest<"verify">): SessionOperation<Verifier> {
  if (key.kind === "secret")
    return withSecret(key, macVerifier(required(key.mechanism.mac)(key.secret, key.parameter)));
  if (key.kind !== "public") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const scheme = makeScheme(key, ({ signature }) => signature);
  const { engines } = request.application;
  return new SessionOperation(engines.verifier(request.mechanism, key.publicKey, scheme) ?? new SchemeVerifier(scheme));
}

export async function recoverOperation(request: KeyRequest<"verify-recover">): Promise<SessionOperation<Recoverer>> {
  const key = await useKey(request);
  if (key.kind === "secret") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  return new SessionOperation(schemeRecoverer(makeScheme(key, ({ signature }) => signature)));
}

export async function encryptOperation(request: KeyRequest<"encrypt" | "wrap">): Promise<SessionOperation<Cipher>> {
  const key = await useKey(request);
  if (key.kind === "secret") return withSecret(key, required(key.mechanism.encrypt)(key.secret, key.parameter));
  if (key.kind !== "public") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const scheme = makeScheme(key, ({ cipher }) => cipher);
  const { engines } = request.application;
  return new SessionOperation(engines.encrypter(request.mechanism, key.publicKey, scheme) ?? schemeEncrypter(scheme));
}

export async function decryptOperation(request: KeyRequest<"decrypt" | "unwrap">): Promise<SessionOperation<Cipher>> {
  const key = await useKey(request);
  if (key.kind === "secret") return withSecret(key, required(key.mechanism.decrypt)(key.secret, key.parameter));
  if (key.kind !== "private") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const { guard } = key;
  return new SessionOperation(
    schemeDecrypter(
      makeScheme(key, ({ cipher }) => cipher),
      guard,
    ),
    guard,
  );
}

/** Messages that are encrypted or decrypted, each with its own nonce. */
export async function cipherMessages(
  request: KeyRequest<"encrypt" | "decrypt">,
): Promise<SessionOperation<MessageCipher>> {
  const key = await useKey(request);
  if (key.kind !== "secret") throw new CryptokiError(CKR.MECHANISM_INVALID, "the mechanism does not support messages");
  readUnusedParameter(key.parameter);
  return new SessionOperation(new MessageCipher(key.secret, key.mechanism.type));
}

/** An operation that ends with its key, although Node's crypto has a copy of it. */
function withSecret<Kind extends Operation>(
  { secret }: { readonly secret: SecretKey },
  stream: Kind,
): SessionOperation<Kind> {
  return new SessionOperation(stream, undefined, () => secret.value);
}

function required<T>(maker: T | undefined): T {
  if (maker === undefined) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return maker;
}

/** The common arguments of C_...Init. */
interface InitRequest<Kind extends OperationKind> {
  readonly application: Application;
  readonly handle: number;
  readonly kind: Kind;
  /** Null ends the active operation (PKCS#11 3.1, each ...Init function). */
  readonly mechanism: AnyMechanism | null;
  /** The handle of its key. */
  readonly key?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Begins an operation that `make` creates, or ends the active one. Reading the key for it can be cancelled. */
export function initialise<Kind extends OperationKind>(
  { application, handle, kind, mechanism, key, signal }: InitRequest<Kind>,
  make: (session: Session, mechanism: AnyMechanism) => OperationTypes[Kind] | Promise<OperationTypes[Kind]>,
): Promise<void> {
  return application.inSession(
    handle,
    (session) => {
      const { operations } = session;
      if (mechanism === null) {
        operations.cancel(kind);
        return;
      }
      const made = (): Promise<OperationTypes[Kind]> =>
        untilAborted(Promise.resolve(make(session, mechanism)), signal, cancelled);
      return operations.begin(kind, made, key);
    },
    signal,
  );
}

/** A C_...Init with a key: `make` creates its operation from a key that is suitable for `use`. */
export const keyedInit =
  <Kind extends OperationKind, Use extends KeyUse>(
    kind: Kind,
    use: Use,
    make: (request: KeyRequest<Use>) => Promise<OperationTypes[Kind]>,
  ) =>
  (
    application: Application,
    handle: number,
    mechanism: AnyMechanism | null,
    key: number,
    signal?: AbortSignal,
  ): Promise<void> =>
    initialise({ application, handle, kind, mechanism, key, signal }, (session, wanted) =>
      make({ application, session, use, mechanism: wanted, key }),
    );

/**
 * The error for an operation that a token lacks: CKR_TOKEN_WRITE_PROTECTED if its contents cannot change at all.
 * @param rv The error otherwise.
 */
export async function unsupportedError(
  token: Token,
  detail: string,
  rv: number = CKR.FUNCTION_NOT_SUPPORTED,
  options?: ErrorOptions,
): Promise<CryptokiError> {
  const { writeProtected } = await token.info();
  return new CryptokiError(writeProtected ? CKR.TOKEN_WRITE_PROTECTED : rv, detail, options);
}

/**
 * Combines a caller's template with a key's template for derived or unwrapped keys (PKCS#11 3.1, C_UnwrapKey and
 * C_DeriveKey).
 * @throws {CryptokiError} CKR_TEMPLATE_INCONSISTENT if they contradict each other.
 */
export async function withKeyTemplate(
  template: AttributeList,
  { attributes }: StoredObject,
  type: typeof CKA.UNWRAP_TEMPLATE | typeof CKA.DERIVE_TEMPLATE,
): Promise<AttributeList> {
  const own = readTemplate((await attributes.value(type)) ?? {});
  const added = own.filter(([wanted, value]) => {
    const named = template.find(([attribute]) => attribute === wanted);
    if (named && !sameValue(named[1], value)) throw inconsistent(wanted, "contradicts the key's template");
    return !named;
  });
  return [...template, ...added];
}
