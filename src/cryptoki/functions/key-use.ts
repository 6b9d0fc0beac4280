import { afterReset } from "../../card/index.ts";
import { DataError } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import type { KeyShape, PublicKey } from "../../crypto/index.ts";
import { CryptokiError } from "../error.ts";
import { type MechanismUse, requireMechanism } from "../mechanisms/offer.ts";
import type { MechanismFamily, PairMechanism, SchemeMaker, SecretKey, SecretMechanism } from "../mechanisms/scheme.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import { GuardedKey } from "../sessions/guarded-key.ts";
import { VerifiedKey } from "../sessions/verified-key.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../structures.ts";

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

export type KeyUse = keyof typeof PERMISSION;

/** Which half of a key pair does it. */
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

export interface KeyRequest<Use extends KeyUse = KeyUse> {
  readonly application: Application;
  readonly session: Session;
  readonly use: Use;
  readonly mechanism: CK_MECHANISM;
  /** The key's handle. */
  readonly key: number;
}

/** A key, found fit for a mechanism and a use. */
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
  // Found before the login was lost: it is the login that is missing, not the key.
  if (!application.isVisible(object)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  const material = object.key;
  if (!material) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
  const common = { object, parameter: mechanism.parameter };
  if (entry.kind === "secret" && material.class === "secret") {
    await requirePermission(object, use, mechanism.mechanism, entry.keyTypes);
    const secret: SecretKey = {
      keyType: object.attributes.known(CKA.KEY_TYPE) ?? 0,
      // A key that was destroyed while it is in use is all zeros.
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
  // No public key tells whether an agreed secret is right.
  const verifies = application.verifiesResults && use !== "derive";
  const privateKey = verifies ? await afterReset(() => VerifiedKey.of(material.key)) : material.key;
  const guard = new GuardedKey(privateKey, token, application.logins, () => object.copy.ended);
  if (!entry.family.primitives.some((primitive) => guard.primitives.includes(primitive))) {
    throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the card computes nothing of the kind with this key");
  }
  return { ...common, kind: "private", mechanism: entry, shape: await computable(privateKey.shape()), guard };
}

/** @throws {CryptokiError} CKR_KEY_TYPE_INCONSISTENT for a key on a curve, or of a type, that is not known here. */
async function computable<T>(key: Promise<T>): Promise<T> {
  try {
    return await key;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, `this driver does not work with such keys: ${error.message}`, {
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
      throw new CryptokiError(CKR.MECHANISM_INVALID, "CKA_ALLOWED_MECHANISMS of the key does not name it");
    }
  });
}

/** @throws {CryptokiError} CKR_MECHANISM_INVALID; what the scheme's maker throws. */
export function makeScheme<Scheme>(
  key: Exclude<UsableKey, { kind: "secret" }>,
  maker: (family: MechanismFamily) => SchemeMaker<Scheme> | undefined,
): Scheme {
  const { mechanism, parameter } = key;
  const make = maker(mechanism.family);
  if (!make) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return make(key.kind === "public" ? key.publicKey : key.shape, mechanism.hash, parameter);
}
