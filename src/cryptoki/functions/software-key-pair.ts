import {
  curve25519KeyFromRandom,
  ecKeyFromRandom,
  generateCurve25519Key,
  generateEcKey,
  generateRsaKey,
  type HostPrivateKey,
  type RandomSource,
  rsaKeyFromRandom,
} from "../../crypto/index.ts";
import { DataError } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import { setOrigin } from "../attributes/origin.ts";
import { invalid } from "../attributes/refusals.ts";
import { bytesOf, numberOf } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame, cancelled } from "../error-map.ts";
import type { PairGenerationMechanism } from "../mechanisms/scheme.ts";
import { curveOf } from "../objects/curve-parameters.ts";
import { softwareObject } from "../objects/software-object.ts";
import { setPrivateKey } from "../objects/software-private-key.ts";
import { setPublicKey } from "../objects/software-public-key.ts";
import type { Session } from "../sessions/session.ts";
import { requireAccess, wipeSecrets } from "./keep.ts";
import type { KeyPair, PairTemplates } from "./pair.ts";

/** Makes a key pair of the session: both of them or neither. */
export async function generateInSoftware(
  application: Application,
  session: Session,
  made: PairTemplates,
  mechanism: PairGenerationMechanism,
  signal?: AbortSignal,
): Promise<KeyPair> {
  for (const half of [made.publicKey, made.privateKey]) requireAccess(application, session, half);
  const { random } = application.engines;
  const key = await (random ? ofEngine(generate(made, mechanism, random)) : generate(made, mechanism));
  setPublicKey(made.publicKey.values, key.publicKey);
  const parameters = made.publicKey.values.get(CKA.EC_PARAMS);
  if (parameters !== undefined) made.privateKey.values.set(CKA.EC_PARAMS, parameters);
  setPrivateKey(made.privateKey.values, key);
  key.wipe();
  for (const half of [made.publicKey, made.privateKey]) {
    setOrigin(half, { from: "generation", mechanism: mechanism.type });
    requireAccess(application, session, half);
  }
  // The caller would not get the handles.
  if (signal?.aborted) {
    wipeSecrets(made.privateKey);
    throw cancelled(signal.reason);
  }
  const [publicKey, privateKey] = [softwareObject(made.publicKey), softwareObject(made.privateKey)];
  return {
    publicKey: application.objects.create(session, publicKey),
    privateKey: application.objects.create(session, privateKey),
  };
}

/** Random numbers that make no key are the engine's failure. */
async function ofEngine<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new CryptokiError(CKR.FUNCTION_FAILED, error.message, { cause: error });
  }
}

/** @param random An engine's; left out: the host's own. */
async function generate(
  { publicKey: { values } }: PairTemplates,
  mechanism: PairGenerationMechanism,
  random?: RandomSource,
): Promise<HostPrivateKey> {
  const { keyType, sizes } = mechanism;
  if (keyType === CKK.RSA) {
    const bits = numberOf(values, CKA.MODULUS_BITS) ?? 0;
    if (bits < sizes.min || bits > sizes.max || bits % 8 !== 0) {
      throw invalid(CKA.MODULUS_BITS, `is ${bits}, not ${sizes.min} to ${sizes.max} in whole bytes`);
    }
    const exponent = exponentOf(values.get(CKA.PUBLIC_EXPONENT));
    return random ? rsaKeyFromRandom(bits, exponent, random) : generateRsaKey(bits, exponent);
  }
  const curve = blame(CKR.CURVE_NOT_SUPPORTED, () => curveOf(keyType, bytesOf(values, CKA.EC_PARAMS)));
  if (curve === "Ed25519" || curve === "X25519") {
    return random ? curve25519KeyFromRandom(curve, random) : generateCurve25519Key(curve);
  }
  return random ? ecKeyFromRandom(curve, random) : generateEcKey(curve);
}

/** 65,537 unless the template names another. @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID. */
function exponentOf(given: unknown): number {
  if (!(given instanceof Uint8Array)) return 65_537;
  const exponent = given.reduce((number, byte) => number * 256 + byte, 0);
  if (exponent < 3 || exponent > 0xffffffff || exponent % 2 === 0) {
    throw invalid(CKA.PUBLIC_EXPONENT, "is an odd number from 3 to 2^32 - 1");
  }
  return exponent;
}
