import type { Application } from "../application.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import type { PublicKey } from "../../crypto/index.ts";
import { CryptokiError } from "../error.ts";
import { type MechanismUse, requireMechanism } from "../mechanisms/offer.ts";
import type { MechanismFamily, SchemeMaker } from "../mechanisms/scheme.ts";
import type { KeyMaterial } from "../objects/key.ts";
import { afterReset } from "../sessions/after-reset.ts";
import { GuardedKey } from "../sessions/guarded-key.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../structures.ts";

/** The attribute that must be true of a key for each use. */
const PERMISSION = {
  sign: CKA.SIGN,
  verify: CKA.VERIFY,
  encrypt: CKA.ENCRYPT,
  decrypt: CKA.DECRYPT,
  derive: CKA.DERIVE,
} as const satisfies Partial<Record<MechanismUse, CKA>>;

interface KeyRequest {
  readonly application: Application;
  readonly session: Session;
  readonly use: keyof typeof PERMISSION;
  readonly mechanism: CK_MECHANISM;
  /** The key's handle. */
  readonly key: number;
}

/**
 * The scheme of a mechanism for a private key, and the key under guard.
 * @throws {CryptokiError} what the ...Init functions of the standard return.
 */
export async function withPrivateKey<Scheme>(
  request: KeyRequest,
  maker: (family: MechanismFamily) => SchemeMaker<Scheme> | undefined,
): Promise<{ readonly scheme: Scheme; readonly key: GuardedKey }> {
  const { application, session } = request;
  const { material, make } = await prepare(request, "private", maker);
  const scheme = make(await material.key.publicKey());
  return { scheme, key: new GuardedKey(material.key, session.token, application.logins) };
}

/** The scheme of a mechanism for a public key. Errors as {@link withPrivateKey}. */
export async function withPublicKey<Scheme>(
  request: KeyRequest,
  maker: (family: MechanismFamily) => SchemeMaker<Scheme> | undefined,
): Promise<Scheme> {
  const { material, make } = await prepare(request, "public", maker);
  return make(await material.publicKey());
}

async function prepare<Scheme, Class extends KeyMaterial["class"]>(
  { application, session, use, mechanism, key }: KeyRequest,
  keyClass: Class,
  maker: (family: MechanismFamily) => SchemeMaker<Scheme> | undefined,
): Promise<{
  readonly material: Extract<KeyMaterial, { readonly class: Class }>;
  readonly make: (publicKey: PublicKey) => Scheme;
}> {
  const { family, hash } = requireMechanism(session.token.cardToken, mechanism, use);
  const make = family && maker(family);
  if (!make) throw new CryptokiError(CKR.MECHANISM_INVALID);
  const object = application.objects.get(key, session.token, CKR.KEY_HANDLE_INVALID);
  // Found before the login was lost: it is the login that is missing, not the key.
  if (!application.isVisible(object)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  if (!isOfClass(object.key, keyClass)) {
    throw object.key ? new CryptokiError(CKR.KEY_TYPE_INCONSISTENT) : new CryptokiError(CKR.KEY_HANDLE_INVALID);
  }
  const material = object.key;
  await afterReset(async () => {
    const type = await object.attributes.value(CKA.KEY_TYPE);
    const allowed = (await object.attributes.value(CKA.ALLOWED_MECHANISMS)) ?? [];
    if (type !== undefined && !allowed.includes(mechanism.mechanism)) {
      throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
    }
    if ((await object.attributes.value(PERMISSION[use])) !== true) {
      throw new CryptokiError(
        CKR.KEY_FUNCTION_NOT_PERMITTED,
        `${nameOf("CKA", PERMISSION[use])} is false for this key`,
      );
    }
  });
  return { material, make: (publicKey) => make(publicKey, hash, mechanism.parameter) };
}

function isOfClass<Class extends KeyMaterial["class"]>(
  key: KeyMaterial | undefined,
  keyClass: Class,
): key is Extract<KeyMaterial, { readonly class: Class }> {
  return key?.class === keyClass;
}
