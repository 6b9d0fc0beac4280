import { DataError, equalBytes } from "../../bytes/index.ts";
import {
  type CardObject,
  type KeyPairRequest,
  type KeyType,
  type KeyUsage,
  UnsupportedError,
} from "../../card/index.ts";
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
import type { Application } from "../application.ts";
import { inconsistent, invalid, noSuch } from "../attributes/errors.ts";
import type { Template } from "../attributes/kinds.ts";
import {
  bytesOf,
  isTrue,
  type NewObject,
  newObject,
  numberOf,
  setOrigin,
  textOf,
  withoutVendorAttributes,
} from "../attributes/new-object.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { CKK, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, cancelled, CryptokiError } from "../errors.ts";
import { requireMechanism } from "../mechanisms/availability.ts";
import type { PairGenerationMechanism } from "../mechanisms/family.ts";
import { readNoParameter } from "../mechanisms/parameters.ts";
import { curveOf } from "../objects/card-keys.ts";
import { setPrivateKey, setPublicKey } from "../objects/software-keys.ts";
import { softwareObject } from "../objects/software-objects.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE } from "../structures.ts";
import { orDoubt, renewKin, requireReadWrite, requireWriter } from "./card-objects.ts";
import { requireAccess, wipeSecrets } from "./object-changes.ts";

/** Handles of the two halves of a key pair. */
export interface KeyPair {
  readonly publicKey: CK_OBJECT_HANDLE;
  readonly privateKey: CK_OBJECT_HANDLE;
}

/** The templates of both halves, checked. */
interface PairTemplates {
  readonly publicKey: NewObject;
  readonly privateKey: NewObject;
}

/** Creates a key pair of the session: both keys or neither. */
async function generateInSoftware(
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
  // After an abort the caller would not get the handles.
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

/** Random numbers of an engine that give no key are the engine's failure. */
async function ofEngine<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new CryptokiError(CKR.FUNCTION_FAILED, error.message, { cause: error });
  }
}

/** @param random An engine's; default: the host's own. */
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
  const curve = asCallerError(CKR.CURVE_NOT_SUPPORTED, () => curveOf(keyType, bytesOf(values, CKA.EC_PARAMS)));
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

/** C_GenerateKeyPair: on the card, or for the session. */
export function generateKeyPair(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  publicKeyTemplate: Template | AttributeList,
  privateKeyTemplate: Template | AttributeList,
  signal?: AbortSignal,
): Promise<KeyPair> {
  return application.inSession(
    handle,
    (session) => {
      const { token } = session;
      const entry = requireMechanism(token.cardToken, mechanism, "generate-key-pair");
      readNoParameter(mechanism.parameter);
      if (entry.kind !== "pair-generation") throw new CryptokiError(CKR.MECHANISM_INVALID);
      const user = application.logins.userOf(token);
      const read = (template: Template | AttributeList, objectClass: number): NewObject =>
        newObject(readTemplate(template), "generate", user, [
          [CKA.CLASS, objectClass],
          [CKA.KEY_TYPE, entry.keyType],
        ]);
      const { standard, vendor } = withoutVendorAttributes(token.cardToken, readTemplate(privateKeyTemplate));
      const made = {
        publicKey: read(publicKeyTemplate, CKO.PUBLIC_KEY),
        privateKey: read(standard, CKO.PRIVATE_KEY),
      };
      const onCard = isTrue(made.privateKey.values, CKA.TOKEN);
      if (onCard !== isTrue(made.publicKey.values, CKA.TOKEN)) {
        throw inconsistent(CKA.TOKEN, "is the same for both keys of a pair: both are created in one place");
      }
      if (!onCard) {
        for (const type of vendor.keys()) throw noSuch(type);
        return generateInSoftware(application, session, made, entry, signal);
      }
      requireReadWrite(session);
      const named = new Set(standard.map(([type]) => type));
      const request = {
        ...requestOf(made, entry.keyType, named),
        ...(vendor.size > 0 && { vendorAttributes: vendor }),
      };
      return generateOnCard(application, session, request, signal);
    },
    signal,
  );
}

async function generateOnCard(
  application: Application,
  { token }: Session,
  request: KeyPairRequest,
  signal?: AbortSignal,
): Promise<KeyPair> {
  const { cardToken } = token;
  if (!cardToken.generateKeyPair) throw new CryptokiError(CKR.MECHANISM_INVALID, "the card cannot generate keys");
  requireWriter(application, token);
  const generated = orDoubt(token, cardToken.generateKeyPair(request, { signal }), signal, request.id);
  const pair = await generated.catch((error: unknown) => {
    if (!(error instanceof UnsupportedError)) throw error;
    const rv = error.lacks === undefined ? CKR.ATTRIBUTE_VALUE_INVALID : CKR.TEMPLATE_INCOMPLETE;
    throw new CryptokiError(rv, error.message, { cause: error });
  });
  // Other keys may have been replaced, which other applications know too.
  for (const { reference } of [pair.publicKey, pair.privateKey]) token.copies.ended(reference);
  await renewKin(token, pair.privateKey);
  const publish = (object: CardObject): number =>
    application.objects.publishMade(application.objects.ofCard(token, object));
  return { publicKey: publish(pair.publicKey), privateKey: publish(pair.privateKey) };
}

/** The card's parameters. The card decides what the templates leave open. */
function requestOf(made: PairTemplates, keyType: number, named: ReadonlySet<number>): KeyPairRequest {
  const [ofPublic, ofPrivate] = [made.publicKey.values, made.privateKey.values];
  if (named.has(CKA.SENSITIVE) && !isTrue(ofPrivate, CKA.SENSITIVE)) {
    throw inconsistent(CKA.SENSITIVE, "is true for every key that a card generates");
  }
  if (isTrue(ofPrivate, CKA.EXTRACTABLE))
    throw inconsistent(CKA.EXTRACTABLE, "is false for every key that a card generates");
  for (const type of RESTRICTIONS) {
    if ([ofPublic, ofPrivate].some((values) => Object.keys(values.get(type) ?? {}).length > 0)) {
      throw inconsistent(type, "cannot be limited on a card");
    }
  }
  const [first, second] = [bytesOf(ofPublic, CKA.ID), bytesOf(ofPrivate, CKA.ID)];
  if (first.length > 0 && second.length > 0 && !equalBytes(first, second)) {
    throw inconsistent(CKA.ID, "is the same for both keys of a pair");
  }
  const id = second.length > 0 ? second : first;
  const label = textOf(ofPrivate, CKA.LABEL) || textOf(ofPublic, CKA.LABEL);
  return {
    type: typeOf(made, keyType),
    ...(id.length > 0 && { id }),
    ...(label !== "" && { label }),
    ...(USES.some((type) => named.has(type)) && { usage: usageOf(made) }),
    ...(named.has(CKA.ALWAYS_AUTHENTICATE) && { alwaysAuthenticate: isTrue(ofPrivate, CKA.ALWAYS_AUTHENTICATE) }),
  };
}

/** Attributes that would allow the key more than intended if the card ignored them. */
const RESTRICTIONS: readonly number[] = [
  CKA.ALLOWED_MECHANISMS,
  CKA.WRAP_TEMPLATE,
  CKA.UNWRAP_TEMPLATE,
  CKA.DERIVE_TEMPLATE,
];

const USES: readonly number[] = [CKA.SIGN, CKA.SIGN_RECOVER, CKA.DECRYPT, CKA.UNWRAP, CKA.DERIVE];

function usageOf({ privateKey: { values } }: PairTemplates): KeyUsage {
  return {
    sign: isTrue(values, CKA.SIGN) || isTrue(values, CKA.SIGN_RECOVER),
    decrypt: isTrue(values, CKA.DECRYPT) || isTrue(values, CKA.UNWRAP),
    derive: isTrue(values, CKA.DERIVE),
  };
}

function typeOf({ publicKey: { values } }: PairTemplates, keyType: number): KeyType {
  if (keyType === CKK.RSA) {
    const exponent = values.get(CKA.PUBLIC_EXPONENT);
    if (exponent instanceof Uint8Array && !equalBytes(exponent, EXPONENT)) {
      throw invalid(CKA.PUBLIC_EXPONENT, "is 010001 on a card");
    }
    return { type: "rsa", modulusBits: numberOf(values, CKA.MODULUS_BITS) ?? 0 };
  }
  const curve = asCallerError(CKR.CURVE_NOT_SUPPORTED, () => curveOf(keyType, bytesOf(values, CKA.EC_PARAMS)));
  if (curve === "Ed25519") return { type: "edwards", curve };
  return curve === "X25519" ? { type: "montgomery", curve } : { type: "ec", curve };
}

/** 65,537, the exponent of every key that a card generates. */
const EXPONENT = Uint8Array.of(0x01, 0x00, 0x01);
