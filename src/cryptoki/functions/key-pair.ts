import { equalBytes } from "../../bytes/index.ts";
import { type CardObject, type KeyType, UnsupportedError } from "../../card/index.ts";
import { decodeEcParameters, type PublicKey } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import { copyBytes, requireBytes } from "../arguments.ts";
import type { AttributeValue, Template } from "../attributes/kinds.ts";
import { readTemplate } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKO } from "../constants/cko.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import { requireMechanism } from "../mechanisms/offer.ts";
import { readNoParameter } from "../mechanisms/parameters.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { requireReadWrite, requireWriter } from "./card-objects.ts";

/** 65,537, the exponent of every key that a card makes. */
const EXPONENT = Uint8Array.of(0x01, 0x00, 0x01);

export function generateKeyPair(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  publicKeyTemplate: Template,
  privateKeyTemplate: Template,
  signal?: AbortSignal,
): Promise<{ readonly publicKey: number; readonly privateKey: number }> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      const { cardToken } = token;
      const entry = requireMechanism(cardToken, mechanism, "generate-key-pair");
      readNoParameter(mechanism.parameter);
      if (entry.kind !== "pair-generation" || !cardToken.generateKeyPair) {
        throw new CryptokiError(CKR.MECHANISM_INVALID);
      }
      const generates = entry.keyType === CKK.RSA ? "rsa" : "ec";
      const publicKey = read(publicKeyTemplate, CKO.PUBLIC_KEY, generates);
      const privateKey = read(privateKeyTemplate, CKO.PRIVATE_KEY, generates);
      const id = readPlace(publicKey, privateKey);
      const type = generates === "rsa" ? readRsa(publicKey) : readEc(publicKey);
      requireReadWrite(session);
      requireWriter(application, token);
      const made = await cardToken.generateKeyPair({ type, id }, signal).catch((error: unknown) => {
        if (!(error instanceof UnsupportedError)) throw error;
        throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, error.message, { cause: error });
      });
      // In their places may have been others, which other applications know too.
      for (const { reference } of [made.publicKey, made.privateKey]) token.changes.ended(reference);
      const named = (object: CardObject): number =>
        application.objects.publish(application.objects.ofCard(token, object));
      return { publicKey: named(made.publicKey), privateKey: named(made.privateKey) };
    },
    signal,
  );
}

type Wanted = ReadonlyMap<number, AttributeValue>;

/** What both templates must not contradict. How the keys may be used, and their labels, is the card's to say. */
function read(template: Template, objectClass: number, type: PublicKey["type"]): Wanted {
  const wanted: Wanted = new Map(readTemplate(template));
  requireOr(wanted, CKA.CLASS, objectClass);
  requireOr(wanted, CKA.KEY_TYPE, type === "rsa" ? CKK.RSA : CKK.EC);
  if (wanted.get(CKA.TOKEN) !== true) {
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "keys are made on the card: CKA_TOKEN must be true");
  }
  if (objectClass === CKO.PRIVATE_KEY) {
    requireOr(wanted, CKA.SENSITIVE, true);
    requireOr(wanted, CKA.EXTRACTABLE, false);
  }
  return wanted;
}

function requireOr(wanted: Wanted, type: number, value: number | boolean): void {
  const given = wanted.get(type);
  if (given !== undefined && given !== value) {
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, `${nameOf("CKA", type)} cannot be this for such a key`);
  }
}

/** CKA_ID, which either template may name, or both alike. */
function readPlace(publicKey: Wanted, privateKey: Wanted): Uint8Array {
  const [first, second] = [publicKey.get(CKA.ID), privateKey.get(CKA.ID)];
  const id = second ?? first;
  if (!(id instanceof Uint8Array)) {
    throw new CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_ID names the place on the card for the key");
  }
  if (first instanceof Uint8Array && !equalBytes(first, id)) {
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, "both keys of a pair have the same CKA_ID");
  }
  requireBytes(id, "CKA_ID");
  return copyBytes(id);
}

function readRsa(publicKey: Wanted): KeyType {
  const modulusBits = publicKey.get(CKA.MODULUS_BITS);
  if (typeof modulusBits !== "number") throw new CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_MODULUS_BITS is missing");
  const exponent = publicKey.get(CKA.PUBLIC_EXPONENT);
  if (exponent instanceof Uint8Array && !equalBytes(exponent, EXPONENT)) {
    throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_EXPONENT is 010001 on a card");
  }
  return { type: "rsa", modulusBits };
}

function readEc(publicKey: Wanted): KeyType {
  const parameters = publicKey.get(CKA.EC_PARAMS);
  if (!(parameters instanceof Uint8Array)) {
    throw new CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS is missing");
  }
  return { type: "ec", curve: blame(CKR.CURVE_NOT_SUPPORTED, () => decodeEcParameters(parameters)) };
}
